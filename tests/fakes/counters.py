"""Counters in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.state import State
from update_server.service.ports.counters import Counted


class FakeCounters:
    """See counter_ports.Counters."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, counted: Sequence[Counted]) -> None:
        self._state.write()
        for one in counted:
            key = (one.app, one.name, tuple(sorted(one.labels)))
            self._state.counters[key] = self._state.counters.get(key, 0) + one.by

    def all(self, app: str | None) -> Sequence[Counted]:
        return [
            Counted(app=of, name=name, labels=labels, by=by)
            for (of, name, labels), by in sorted(self._state.counters.items())
            if app in {None, of}
        ]
