"""The last recounts of rollouts in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rollout.model import RolloutId
from tests.fakes.state import State
from update_server.service.ports.recounts import Recount


class FakeRecounts:
    """See ports.recounts.Recounts."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Recount]:
        held = self._state.recounts
        return {rollout: held[rollout] for rollout in rollouts if rollout in held}

    def put(self, recounts: Sequence[Recount]) -> None:
        self._state.write()
        self._state.recounts |= {one.rollout: one for one in recounts}
