"""The loop that keeps a server going: it digests telemetry, ends what was begun, and renews.

Several controllers may run: the lease of each app lets one of them write at a time, and
everything here is level-triggered, so that a second one finds nothing left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from update_server.service.digest import Digest
from update_server.service.ports import (
    Clock,
    Database,
    LeaseLostError,
)
from update_server.service.reconcile import Reconciler
from update_server.service.renew import Renewer

T = TypeVar("T")

# Whoever watches a rollout is to see a report within two seconds; half of that is its way here.
PAUSE_SECONDS: Final = 0.5
# What was signed and never recorded shows only when the signer is asked.
LOOK_CLOSER_SECONDS: Final = 60.0


class Controller:
    """One round after the other, until it is told to stop.

    Each duty may fail by itself, says so once when it begins to fail and once when it works
    again, and never keeps the others from theirs.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        digest: Digest,
        reconciler: Reconciler,
        renewer: Renewer,
        log: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._digest = digest
        self._reconciler = reconciler
        self._renewer = renewer
        self._log = log
        self._failing: dict[str, str] = {}
        self._looked_closer_at: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until *stop* is set."""
        while not stop.is_set():
            self.round()
            stop.wait(PAUSE_SECONDS)

    def round(self) -> None:
        """Do once all there is to do."""
        self._try("telemetry", self._digest.run)
        closer = self._is_time_to_look_closer()
        for app in self._try("apps", self._registered) or ():
            self._try(f"rollouts of {app}", partial(self._reconcile, app, closer=closer))
            self._try(f"metadata of {app}", partial(self._renew, app))

    def _registered(self) -> list[str]:
        with self._database.reading() as stores:
            return [app.name for app in stores.apps.all() if app.registered]

    def _reconcile(self, app: str, *, closer: bool) -> None:
        if closer or self._reconciler.is_due(app):
            self._reconciler.reconcile(app)

    def _renew(self, app: str) -> None:
        if self._renewer.is_due(app):
            self._renewer.renew(app)

    def _is_time_to_look_closer(self) -> bool:
        now = self._clock.monotonic()
        last = self._looked_closer_at
        if last is not None and now - last < LOOK_CLOSER_SECONDS:
            return False
        self._looked_closer_at = now
        return True

    def _try(self, duty: str, act: Callable[[], T]) -> T | None:
        try:
            result = act()
        except LeaseLostError:
            return None  # somebody else is at it
        except Exception as error:  # noqa: BLE001 - the loop must outlive every outage
            told = f"{type(error).__name__}: {error}"
            if self._failing.get(duty) != told:
                self._log(f"{duty} failed: {told}")
            self._failing[duty] = told
            return None
        if self._failing.pop(duty, None) is not None:
            self._log(f"{duty} work again")
        return result
