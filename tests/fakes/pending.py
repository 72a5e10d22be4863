"""Verbs that wait for a second person, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.state import State
from update_server.service.ports import NotFoundError
from update_server.service.ports.pending import PendingVerb


class FakePendingVerbs:
    """See pending_ports.PendingVerbs."""

    def __init__(self, state: State) -> None:
        self._state = state

    def put(self, pending: PendingVerb) -> None:
        self._state.write()
        self._state.require_app(pending.app)
        self._state.pending[pending.id] = pending

    def get(self, app: str, pending_id: str) -> PendingVerb:
        found = self._state.pending.get(pending_id)
        if found is None or found.app != app:
            raise NotFoundError("pending verb", pending_id)
        return found

    def all(self) -> Sequence[PendingVerb]:
        return sorted(self._state.pending.values(), key=lambda each: (each.asked_at, each.id))

    def of_app(self, app: str) -> Sequence[PendingVerb]:
        return [each for each in self.all() if each.app == app]

    def remove(self, app: str, pending_id: str) -> None:
        self._state.write()
        del self._state.pending[self.get(app, pending_id).id]
