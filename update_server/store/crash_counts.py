"""How many distinct installs crashed where. Reads only, and never a report: counts are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from rollout.model import RolloutId
from update_server.service.ports.crashes import UNTOLD, CrashCount, CrashedInstalls, Tally
from update_server.store.crash_folding import ALL, CHANNEL, PLACE, ROLLOUT
from update_server.store.rows import chunks
from update_server.store.tables import crash_counts, crash_totals, crashed_counts

_c = crash_counts.c
_crashed = crashed_counts.c


class SqlCrashCounts:
    """The part of the store that tells what was counted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def counts(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        signatures: Collection[str] | None = None,
    ) -> Sequence[CrashCount]:
        """Return how many installs and reports each group has, by version and arm."""
        asked = _asked(_c, app, version, channel)
        if signatures is None:
            return self._found(*asked)
        found: list[CrashCount] = []
        for some in chunks(sorted(signatures)):
            found += self._found(*asked, _c.signature.in_(some))
        return found

    def worst(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[str]:
        """Return the groups that most installs crashed with, then those of most reports."""
        nameless = self._connection.execute(
            select(func.coalesce(func.sum(_crashed.installs - _crashed.named), 0)).where(
                *_asked(_crashed, app, version, channel)
            )
        ).scalar_one()
        # What most people look at is added up already.
        is_of_all = version is None and channel is None
        c: Any = crash_totals.c if is_of_all else _c
        crashed = c.installs if is_of_all else case((_c.handled, 0), else_=_c.installs)
        asked = [c.app == app] if is_of_all else _asked(_c, app, version, channel)
        # Databases do not agree on the order of texts.
        name = func.hex(c.signature) if self._is_sqlite else c.signature.collate("C")
        found = self._connection.execute(
            select(c.signature)
            .where(*asked)
            .group_by(c.signature)
            .order_by(
                case((c.signature == UNTOLD, int(nameless)), else_=func.sum(crashed)).desc(),
                func.sum(c.reports).desc(),
                name,
            )
            .limit(limit)
            .offset(offset)
        )
        return list(found.scalars())

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    def counts_of(
        self, rollouts: Collection[RolloutId], *, signatures: Collection[str] | None = None
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        """Return the counts of those who took part in each of *rollouts*, all versions together."""
        by = (_c.rollout, _c.signature, _c.arm, _c.handled)
        found: dict[RolloutId, list[CrashCount]] = {rollout: [] for rollout in rollouts}
        for some in chunks(found):
            asked = [_c.facet == ROLLOUT, _c.rollout.in_(some)]
            if signatures is not None:
                asked.append(_c.signature.in_(signatures))
            rows = self._connection.execute(
                select(
                    *by,
                    func.sum(_c.installs).label("installs"),
                    func.sum(_c.reports).label("reports"),
                    func.min(_c.first_at).label("first_at"),
                    func.max(_c.last_at).label("last_at"),
                )
                .where(*asked)
                .group_by(*by)
            )
            for row in rows:
                found[RolloutId(row.rollout)].append(
                    CrashCount(
                        signature=row.signature,
                        version="",
                        arm=row.arm,
                        handled=row.handled,
                        installs=int(row.installs),
                        reports=int(row.reports),
                        first_at=row.first_at,
                        last_at=row.last_at,
                    )
                )
        return {rollout: sorted(counts, key=_order) for rollout, counts in found.items()}

    def places(self, app: str, signature: str) -> Sequence[CrashCount]:
        """Return the counts of one group, also by platform and operating system."""
        return self._found(
            _c.facet == PLACE, _c.rollout == "", _c.app == app, _c.signature == signature
        )

    def _found(self, *asked: ColumnElement[bool]) -> list[CrashCount]:
        rows = self._connection.execute(select(crash_counts).where(*asked))
        return sorted(map(_count, rows), key=_order)  # databases do not agree on the order of texts

    def crashed(
        self, app: str, *, version: str | None = None, channel: str | None = None
    ) -> Sequence[CrashedInstalls]:
        """Return how many installs crashed on each version in each arm."""
        rows = self._connection.execute(
            select(_crashed.version, _crashed.arm, _crashed.installs, _crashed.named).where(
                *_asked(_crashed, app, version, channel)
            )
        )
        found = [CrashedInstalls(**row) for row in rows.mappings()]
        return sorted(found, key=lambda one: (one.version, one.arm))

    def tallies(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[Tally]]:
        """Return how many installs of *rollouts* crashed, by version, ring and arm."""
        found: dict[RolloutId, list[Tally]] = {rollout: [] for rollout in rollouts}
        for some in chunks(found):
            rows = select(crashed_counts).where(
                _crashed.facet == ROLLOUT, _crashed.rollout.in_(some)
            )
            for row in self._connection.execute(rows):
                found[RolloutId(row.rollout)].append(
                    Tally(
                        version=row.version,
                        ring=row.ring,
                        arm=row.arm,
                        crashed_installs=row.installs,
                    )
                )
        return {
            rollout: sorted(tallies, key=lambda one: (one.version, one.ring, one.arm))
            for rollout, tallies in found.items()
        }

    def crashed_of(self, rollout: RolloutId) -> Sequence[Tally]:
        """Return how many installs of a rollout crashed, by version, ring and arm."""
        return self.tallies([rollout])[rollout]


def _asked(c: Any, app: str, version: str | None, channel: str | None) -> list[ColumnElement[bool]]:
    """Return what finds the counts in columns *c* that are asked for, by a key or an index."""
    asked = [c.facet == (ALL if channel is None else CHANNEL), c.rollout == "", c.app == app]
    if version is not None:
        asked.append(c.version == version)
    if channel is not None:
        asked.append(c.channel == channel)
    return asked


def _count(row: Any) -> CrashCount:
    return CrashCount(
        signature=row.signature,
        version=row.version,
        arm=row.arm,
        handled=row.handled,
        installs=row.installs,
        reports=row.reports,
        first_at=row.first_at,
        last_at=row.last_at,
        platform=row.platform,
        os=row.os,
    )


def _order(one: CrashCount) -> tuple[Any, ...]:
    return one.signature, one.version, one.arm, one.handled, one.platform, one.os
