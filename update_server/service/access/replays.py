"""Answers to requests that bore an ``Idempotency-Key``, for when they are sent again."""

from __future__ import annotations

import hashlib

from update_server.service.access.caller import Caller
from update_server.service.ports import Clock, Database


class Replays:
    """Remembers answers by caller, request and key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def recall(self, caller: Caller, request: str, key: str) -> bytes | None:
        """Return what the same caller was answered to *request* (method and path), if anything."""
        with self._database.reading() as stores:
            return stores.access.idempotent(_name(caller, request, key))

    def remember(self, caller: Caller, request: str, key: str, answer: bytes) -> None:
        """Keep an answer."""
        with self._database.transaction() as stores:
            name = _name(caller, request, key)
            stores.access.remember_idempotent(name, answer, self._clock.now())


def _name(caller: Caller, request: str, key: str) -> str:
    # Hashed together: keys of two callers, or for two requests, never meet.
    parts = (caller.token_id, request, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
