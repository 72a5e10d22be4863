"""What can only be told by looking at every install of a rollout, as it was found last.

Other counts change with what they count. These depend on the time, or on two things at once that
an install told, and are counted now and then (``service.rollouts.recount``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rollout.model import Rollout, RolloutId
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What some installs were found to be, in the order of their keys.

    ``last`` is the key of the last of them, None if there is none after it. ``running`` are those
    that were last seen on the release itself; ``pull`` is all 0 where it was not pulled.
    """

    last: bytes | None
    silent: tuple[FunnelCell, ...] = ()
    levels: tuple[LevelCount, ...] = ()
    pull: PullCounts = field(default_factory=PullCounts)
    running: int = 0


class Recounts(Protocol):
    """The last recount of each rollout, and what it takes to make one.

    An install is looked at with ``slice`` if it is known how far it came with the rollout. One that
    only runs the release is looked at with ``slice_beside``; for no more than pulls.
    """

    # a rollout that was never counted is not in it: nothing is known of it, which is not 0
    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Recount]: ...
    def put(self, recounts: Sequence[Recount]) -> None: ...
    # at most *most* installs, whose keys come after *after*; None: from the first on
    def slice(
        self, rollout: Rollout, *, silent_before: datetime, after: bytes | None, most: int
    ) -> Slice: ...
    def slice_beside(self, rollout: Rollout, *, after: bytes | None, most: int) -> Slice: ...
    def running(self, rollout: Rollout) -> int: ...  # installs last seen on the release
