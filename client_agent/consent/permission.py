"""Ask whether an update may go on: the person first, then the policy, whatever that does.

A hook of the app's that raises or hangs must neither stop updates nor hurry them: the download
goes on, and applying is asked about again in an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from client_agent.clock import Clock
from client_agent.consent.policy import Allow, Defer, Policy, UpdateInfo, Verdict
from client_agent.consent.postponed import PostponedFile
from client_agent.errors import AgentError, Code, PolicyError
from client_agent.machine.values import Edition

HOOK_SECONDS = 5.0
BROKEN_HOOK_WAIT = timedelta(hours=1)

Hook = Callable[[UpdateInfo], Verdict]
Tell = Callable[[AgentError], None]
"""Reports an error that stops nothing, once."""


class Permission:
    """Asks for one agent."""

    def __init__(self, policy: Policy, postponed: PostponedFile, clock: Clock, tell: Tell) -> None:
        self._policy = policy
        self._postponed = postponed
        self._clock = clock
        self._tell = tell
        self._hanging: threading.Thread | None = None

    def to_download(self, edition: Edition, info: UpdateInfo) -> Verdict:
        """Return whether the bytes of *edition* may be fetched now."""
        verdict = self._persons(edition, info)
        if isinstance(verdict, Allow):
            verdict = self._asked(self._policy.may_download, info) or Allow()
        if isinstance(verdict, Defer):
            self._note_wait(edition)
        return verdict

    def to_apply(self, edition: Edition, info: UpdateInfo) -> Verdict:
        """Return whether the next start may have *edition*."""
        verdict = self._persons(edition, info)
        if isinstance(verdict, Allow):
            broken = Defer(self._clock.now() + BROKEN_HOOK_WAIT, "broken_policy")
            verdict = self._asked(self._policy.may_apply, info) or broken
        return verdict

    def _persons(self, edition: Edition, info: UpdateInfo) -> Verdict:
        verdict = self._postponed.of(edition).verdict(self._clock.now())
        if isinstance(verdict, Allow) or not info.urgent:
            return verdict
        # What must be reached is a matter between the publisher and the signed policy. The wish
        # is overruled for good: whoever finds it armed must not take it for a mistake.
        try:
            self._postponed.allow()
        except AgentError as error:
            self._tell(error)
        return Allow()

    def _asked(self, hook: Hook, info: UpdateInfo) -> Verdict | None:
        """Return the hook's verdict, or None when it gave none in time."""
        if self._hanging is not None and self._hanging.is_alive():
            return None  # it would hang as well, and threads would pile up
        given: list[Verdict] = []
        raised: list[Exception] = []

        def ask() -> None:
            try:
                given.append(hook(info))
            except Exception as error:  # noqa: BLE001 - whatever the app's code raises
                raised.append(error)

        asking = threading.Thread(target=ask, name="serinus-policy", daemon=True)
        asking.start()
        asking.join(HOOK_SECONDS)
        if given and _is_verdict(given[0]):
            return given[0]
        self._hanging = asking
        found = type(raised[0]).__name__ if raised else "no verdict"
        self._tell(PolicyError(Code.BROKEN_POLICY, found))
        return None

    def _note_wait(self, edition: Edition) -> None:
        try:
            self._postponed.waits_since(edition, self._clock.now())
        except AgentError as error:
            self._tell(error)


def _is_verdict(given: object) -> bool:
    """Return whether an app's policy gave one; a time without a zone is none that we can keep."""
    if isinstance(given, Defer):
        until: object = given.until
        has_zone = isinstance(until, datetime) and until.utcoffset() is not None
        return has_zone and isinstance(given.reason, str)
    return isinstance(given, Allow)
