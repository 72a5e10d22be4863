"""What operators set for the telemetry of their app: read it, change it.

Web processes learn of a change with the app's generation (``service.agents.refresh``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from update_server.service.access.caller import Caller
from update_server.service.errors import BadValueError
from update_server.service.ports import Clock, Database, Ids, NotFoundError
from update_server.service.ports.settings import AppSettings

MOST_APP_KEYS: Final = 8
"""A new key goes with a new version, and the old one once nobody runs the old version."""

_KEY_CHARACTERS: Final = 32  # what SDKs take for the key of a DSN


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be set; None leaves it as it is. ``remove_app_key`` names the key."""

    crash_messages: bool | None = None
    tags: Sequence[str] | None = None
    new_app_key: bool = False
    remove_app_key: str | None = None
    atom: bool | None = None
    reason: str = ""


class TelemetrySettings:
    """Shows and changes the settings of apps."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def get(self, app: str) -> AppSettings:
        """Return the settings of *app*. Raises NotFoundError."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return stores.settings.get(app)

    def change(self, caller: Caller, app: str, change: Change) -> AppSettings:
        """Make *change*, and return how the settings are now.

        Raises:
            NotFoundError: There is no such app, or no such key to remove.
            BadValueError: There would be too many keys.
        """
        with self._database.transaction() as stores:
            stores.apps.get(app)
            before = stores.settings.get(app)
            after = self._after(before, change)
            if after != before:
                stores.settings.put(app, after)
                stores.apps.bump(app)
                stores.audit.append(
                    at=self._clock.now(),
                    actor=caller.name,
                    action="app.settings",
                    app=app,
                    subject=app,
                    reason=change.reason,
                    before=_shape(before),
                    after=_shape(after),
                )
        return after

    def _after(self, before: AppSettings, change: Change) -> AppSettings:
        keys = list(before.app_keys)
        if change.remove_app_key is not None:
            if change.remove_app_key not in keys:
                raise NotFoundError("app key", change.remove_app_key)
            keys.remove(change.remove_app_key)
        if change.new_app_key:
            if len(keys) >= MOST_APP_KEYS:
                raise BadValueError("new_app_key", f"at most {MOST_APP_KEYS} keys: remove one")
            keys.append(_app_key(self._ids))
        tags = before.tags if change.tags is None else tuple(dict.fromkeys(change.tags))
        messages = before.crash_messages if change.crash_messages is None else change.crash_messages
        atom = before.atom if change.atom is None else change.atom
        return replace(before, crash_messages=messages, tags=tags, app_keys=tuple(keys), atom=atom)


def _app_key(ids: Ids) -> str:
    return hashlib.sha256(ids.secret("").encode()).hexdigest()[:_KEY_CHARACTERS]


def _shape(settings: AppSettings) -> Mapping[str, Any]:
    return {
        "crash_messages": settings.crash_messages,
        "tags": list(settings.tags),
        "app_keys": list(settings.app_keys),
        "atom": settings.atom,
    }
