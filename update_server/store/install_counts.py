"""How many installs there are by what they told last, and by how far they came with a rollout.

The numbers change in the transactions that change ``contacts`` and ``progress``, so that nobody
has to look at these to know how many they are. Writers take turns (``store.engine``): what was
there before a change stays so until it is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, func, literal, select

from rollout.model import Arm, RolloutId
from update_server.service.ports import Contact, FunnelCell
from update_server.store.folding import STEP_BITS, Progress
from update_server.store.rows import add_up, chunks
from update_server.store.tables import contact_counts, contacts, progress, progress_counts


class Told(NamedTuple):
    """What an install told when it last checked in, as far as it is counted."""

    app: str
    channel: str
    platform: str
    version: str
    telemetry: str

    @classmethod
    def by(cls, contact: Contact) -> Told:
        """Return what *contact* tells."""
        return cls(
            contact.app, contact.channel, contact.platform, contact.version, contact.telemetry
        )


class Reached(NamedTuple):
    """How far an install came with a rollout, as it is counted."""

    rollout: str
    ring: str
    arm: str
    steps: int

    @classmethod
    def by(cls, rollout: str, one: Progress) -> Reached:
        """Return how far *one* came: without a contact it is a candidate of ring ``""``."""
        return cls(rollout, one.ring or "", one.arm or Arm.CANDIDATE, one.steps)


TOLD = (
    contacts.c.app,
    contacts.c.channel,
    contacts.c.platform,
    contacts.c.version,
    contacts.c.telemetry,
)
"""The columns of ``Told`` in ``contacts``."""

# Literals: PostgreSQL cannot tell that two parameters of GROUP BY are the same.
RING: ColumnElement[str] = func.coalesce(progress.c.ring, literal("", literal_execute=True))
ARM: ColumnElement[str] = func.coalesce(
    progress.c.arm, literal(Arm.CANDIDATE.value, literal_execute=True)
)
REACHED = (progress.c.rollout, RING, ARM, progress.c.steps)
"""The columns of ``Reached`` in ``progress``."""


class InstallCounts:
    """The numbers, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def change_contacts(self, came: Iterable[Told], gone: Iterable[Told]) -> None:
        """Count those that came, and those that are gone no longer."""
        add_up(self._connection, contact_counts, _difference(came, gone))

    def change_progress(self, came: Iterable[Reached], gone: Iterable[Reached]) -> None:
        """Count those that came, and those that are gone no longer."""
        add_up(self._connection, progress_counts, _difference(came, gone))

    def drop_contacts(self, where: ColumnElement[bool]) -> None:
        """Count the contacts no longer that meet *where*."""
        add_up(self._connection, contact_counts, self._gone(TOLD, where))

    def drop_progress(self, where: ColumnElement[bool]) -> None:
        """Count the progress no longer that meets *where*."""
        add_up(self._connection, progress_counts, self._gone(REACHED, where))

    def _gone(
        self, by: Sequence[ColumnElement[Any]], where: ColumnElement[bool]
    ) -> Mapping[tuple[Any, ...], int]:
        rows = self._connection.execute(select(*by, func.count()).where(where).group_by(*by))
        return {tuple(row[:-1]): -row[-1] for row in rows}

    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]:
        """Return channel, platform, version and the number of installs last seen on it."""
        c = contact_counts.c
        where = (c.channel, c.platform, c.version)
        found = self._connection.execute(
            select(*where, func.sum(c.installs)).where(c.app == app).group_by(*where)
        )
        return sorted(
            (channel, platform, version, int(n)) for channel, platform, version, n in found
        )

    def funnels(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[FunnelCell]]:
        """Return how many installs reached each step, by ring and arm; no cell is 0."""
        c = progress_counts.c
        reached = {
            name: func.sum(case((c.steps.op("&")(bit) != 0, c.installs), else_=0))
            for name, bit in STEP_BITS.items()
        }
        funnels: dict[RolloutId, list[FunnelCell]] = {rollout: [] for rollout in rollouts}
        for some in chunks(funnels):
            found = self._connection.execute(
                select(
                    c.rollout, c.ring, c.arm, *(sums.label(name) for name, sums in reached.items())
                )
                .where(c.rollout.in_(some))
                .group_by(c.rollout, c.ring, c.arm)
                .order_by(c.rollout, c.ring, c.arm)
            )
            for row in found:
                funnels[RolloutId(row.rollout)] += [
                    FunnelCell(ring=row.ring, arm=Arm(row.arm), step=step, installs=int(installs))
                    for step in STEP_BITS
                    if (installs := getattr(row, step))
                ]
        return funnels


def _difference(
    came: Iterable[tuple[Any, ...]], gone: Iterable[tuple[Any, ...]]
) -> Counter[tuple[Any, ...]]:
    changed = Counter(came)
    changed.subtract(gone)
    return changed
