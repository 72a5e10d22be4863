"""All that recounting finds of a rollout, whatever the size of the slices."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rollout.model import Arm, Rollout, RolloutState
from tests.store.values import NOW
from update_server.service.ports import FunnelCell, Stores
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Slice


def recounted(
    stores: Stores, rollout: Rollout, *, silent_before: datetime = NOW, most: int = 1_000
) -> Slice:
    """Return what all installs of *rollout* are, looked at *most* at a time."""
    silent, levels = Counter[tuple[str, Arm]](), Counter[tuple[str, str]]()
    pull, running = PullCounts(), 0
    for one in _slices(stores, rollout, silent_before, most):
        silent.update({(cell.ring, cell.arm): cell.installs for cell in one.silent})
        levels.update({(level.arm, level.level): level.installs for level in one.levels})
        pull, running = pull + one.pull, running + one.running
    return Slice(
        last=None,
        silent=tuple(
            FunnelCell(ring=ring, arm=arm, step="silent", installs=installs)
            for (ring, arm), installs in sorted(silent.items())
        ),
        levels=tuple(
            LevelCount(arm=arm, level=level, installs=installs)
            for (arm, level), installs in sorted(levels.items())
        ),
        pull=pull,
        running=running,
    )


def _slices(stores: Stores, rollout: Rollout, silent_before: datetime, most: int) -> list[Slice]:
    found = [stores.recounts.slice(rollout, silent_before=silent_before, after=None, most=most)]
    while (last := found[-1].last) is not None:
        found.append(
            stores.recounts.slice(rollout, silent_before=silent_before, after=last, most=most)
        )
    if rollout.state is RolloutState.PULLED:
        found.append(stores.recounts.slice_beside(rollout, after=None, most=most))
        while (last := found[-1].last) is not None:
            found.append(stores.recounts.slice_beside(rollout, after=last, most=most))
    return found
