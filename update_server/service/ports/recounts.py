"""What can only be told by looking at every install of a rollout, as it was found last.

Other counts change with what they count. These depend on the time, or on two things at once that
an install told, and are counted now and then (``service.rollouts.recount``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rollout.model import RolloutId
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.telemetry import FunnelCell


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """What was found of a rollout, when counting it began at ``counted_at``.

    ``silent`` are cells of the funnel's step of that name; none of them, and no level, is 0: what
    is not told here was not found. ``pull`` is None where the rollout was not pulled by then.
    """

    rollout: RolloutId
    counted_at: datetime
    silent: tuple[FunnelCell, ...] = ()
    levels: tuple[LevelCount, ...] = ()
    pull: PullCounts | None = None


class Recounts(Protocol):
    """The last recount of each rollout."""

    # a rollout that was never counted is not in it: nothing is known of it, which is not 0
    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Recount]: ...
    def put(self, recounts: Sequence[Recount]) -> None: ...
