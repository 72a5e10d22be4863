"""What was found of each rollout when all of its installs were looked at last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from rollout.model import Arm, Rollout, RolloutId
from update_server.service.ports import FunnelCell
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount, Slice
from update_server.store import slices
from update_server.store.rows import chunks, upsert
from update_server.store.tables import recounts


class SqlRecounts:
    """Recounts over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Recount]:
        """Return the last recounts of those of *rollouts* that were counted at all."""
        found: dict[RolloutId, Recount] = {}
        for some in chunks(rollouts):
            rows = self._connection.execute(select(recounts).where(recounts.c.rollout.in_(some)))
            found |= {RolloutId(row.rollout): _recount(row) for row in rows}
        return found

    def slice(
        self, rollout: Rollout, *, silent_before: datetime, after: bytes | None, most: int
    ) -> Slice:
        """Look at the next installs whose progress with *rollout* is known."""
        return slices.slice_of(self._connection, rollout, silent_before, after, most)

    def slice_beside(self, rollout: Rollout, *, after: bytes | None, most: int) -> Slice:
        """Look at the next installs that run the release, if nothing else is known of them."""
        return slices.slice_beside(self._connection, rollout, after, most)

    def running(self, rollout: Rollout) -> int:
        """Return how many installs were last seen on the release of *rollout*."""
        return slices.running(self._connection, rollout)

    def put(self, recounted: Sequence[Recount]) -> None:
        """Store these recounts, each in the place of the one before."""
        if not recounted:
            return
        statement = upsert(self._connection, recounts)
        told = {c.name: statement.excluded[c.name] for c in recounts.c if not c.primary_key}
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=[recounts.c.rollout], set_=told),
            [_row(one) for one in recounted],
        )


def _row(one: Recount) -> dict[str, Any]:
    return {
        "rollout": one.rollout,
        "counted_at": one.counted_at,
        "silent": [[cell.ring, cell.arm, cell.installs] for cell in one.silent],
        "levels": [[level.arm, level.level, level.installs] for level in one.levels],
        "pull": asdict(one.pull) if one.pull else {},
    }


def _recount(row: Any) -> Recount:
    return Recount(
        rollout=RolloutId(row.rollout),
        counted_at=row.counted_at,
        silent=tuple(
            FunnelCell(ring=ring, arm=Arm(arm), step="silent", installs=installs)
            for ring, arm, installs in row.silent
        ),
        levels=tuple(
            LevelCount(arm=arm, level=level, installs=installs)
            for arm, level, installs in row.levels
        ),
        pull=PullCounts(**row.pull) if row.pull else None,
    )
