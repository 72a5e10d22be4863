"""Waivers in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tests.fakes.state import State
from update_server.service.ports import ExistsError, NotFoundError
from update_server.service.ports.waivers import Waiver


class FakeWaivers:
    """See waiver_ports.WaiverStore."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, waiver: Waiver) -> None:
        self._state.write()
        self._state.require_app(waiver.app)
        if waiver.id in self._state.waivers:
            raise ExistsError("waiver", waiver.id)
        self._state.waivers[waiver.id] = waiver

    def of_app(self, app: str) -> Sequence[Waiver]:
        found = [each for each in self._state.waivers.values() if each.app == app]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    def remove(self, app: str, waiver_id: str) -> None:
        self._state.write()
        found = self._state.waivers.get(waiver_id)
        if found is None or found.app != app:
            raise NotFoundError("waiver", waiver_id)
        del self._state.waivers[waiver_id]

    def expire(self, app: str, now: datetime) -> None:
        self._state.write()
        for each in self.of_app(app):
            if each.expires_at <= now:
                del self._state.waivers[each.id]
