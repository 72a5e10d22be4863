"""How many distinct installs crashed where. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, distinct, false, func, select

from rollout.model import RolloutId
from update_server.service.ports.crashes import UNTOLD, CrashCount, CrashedInstalls, Tally
from update_server.store.tables import crash_aliases, crash_reports

_r = crash_reports.c
_same = and_(crash_aliases.c.app == _r.app, crash_aliases.c.signature == _r.signature)
_with_aliases = crash_reports.outerjoin(crash_aliases, _same)
_group = func.coalesce(crash_aliases.c.same_as, _r.signature)
_is_crash = _r.handled == false()


def _installs(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """Return the number of distinct installs in rows that meet *conditions*."""
    known = and_(_r.report_key != b"", *conditions)
    return func.count(distinct(case((known, _r.report_key))))


class SqlCrashCounts:
    """The part of the store that counts."""

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
        where = _where(app, version, channel)
        if signatures is not None:
            where = and_(where, _group.in_(signatures))
        return self._counted(where)

    def worst(
        self,
        app: str,
        *,
        version: str | None = None,
        channel: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> Sequence[str]:
        """Return the groups that most installs crashed with, then those of most reports."""
        installs, reports = Counter[str](), Counter[str]()
        for one in self.counts(app, version=version, channel=channel):
            installs[one.signature] += 0 if one.handled else one.installs
            reports[one.signature] += one.reports
        installs[UNTOLD] = sum(
            one.installs - one.named for one in self.crashed(app, version=version, channel=channel)
        )
        worst = sorted(reports, key=lambda name: (-installs[name], -reports[name], name))
        return worst[offset : offset + limit]

    def counts_of(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        """Return the counts of those who took part in each of *rollouts*."""
        return {rollout: self._counted(_r.rollout == rollout) for rollout in rollouts}

    def places(self, app: str, signature: str) -> Sequence[CrashCount]:
        """Return the same of one group, also by platform and operating system."""
        same = select(crash_aliases.c.signature).where(
            crash_aliases.c.app == app, crash_aliases.c.same_as == signature
        )
        names = [signature, *self._connection.execute(same).scalars()]
        mine = and_(_r.app == app, _r.signature.in_(names), _group == signature)
        return self._counted(mine, _r.platform, _r.os)

    def _counted(self, where: ColumnElement[bool], *more: ColumnElement[Any]) -> list[CrashCount]:
        by = (_group.label("group"), _r.version, _r.arm, _r.handled, *more)
        rows = self._connection.execute(
            select(
                *by,
                _installs().label("installs"),
                func.sum(_r.reports).label("reports"),
                func.min(_r.first_at).label("first_at"),
                func.max(_r.last_at).label("last_at"),
            )
            .select_from(_with_aliases)
            .where(where)
            .group_by(_group, *by[1:])
        )
        found = [
            CrashCount(
                signature=row.group,
                version=row.version,
                arm=row.arm,
                handled=row.handled,
                installs=row.installs,
                reports=int(row.reports),
                first_at=row.first_at,
                last_at=row.last_at,
                platform=row.platform if more else "",
                os=row.os if more else "",
            )
            for row in rows
        ]
        return sorted(found, key=_order)  # databases do not agree on the order of texts

    def crashed(
        self, app: str, *, version: str | None = None, channel: str | None = None
    ) -> Sequence[CrashedInstalls]:
        """Return how many installs crashed on each version in each arm."""
        rows = self._connection.execute(
            select(
                _r.version,
                _r.arm,
                _installs().label("installs"),
                _installs(_r.signature != UNTOLD).label("named"),
            )
            .where(_where(app, version, channel), _is_crash)
            .group_by(_r.version, _r.arm)
        )
        found = [CrashedInstalls(**row) for row in rows.mappings()]
        return sorted(found, key=lambda one: (one.version, one.arm))

    def tallies(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Sequence[Tally]]:
        """Return the same for each of *rollouts*."""
        return {rollout: self.crashed_of(rollout) for rollout in rollouts}

    def crashed_of(self, rollout: RolloutId) -> Sequence[Tally]:
        """Return how many installs of a rollout crashed, by version, ring and arm."""
        by = (_r.version, _r.ring, _r.arm)
        rows = self._connection.execute(
            select(*by, _installs().label("crashed_installs"))
            .where(_r.rollout == rollout, _is_crash)
            .group_by(*by)
        )
        found = [Tally(**row) for row in rows.mappings()]
        return sorted(found, key=lambda one: (one.version, one.ring, one.arm))


def _where(app: str, version: str | None, channel: str | None) -> ColumnElement[bool]:
    asked = [_r.app == app]
    if version is not None:
        asked.append(_r.version == version)
    if channel is not None:
        asked.append(_r.channel == channel)
    return and_(*asked)


def _order(one: CrashCount) -> tuple[Any, ...]:
    return one.signature, one.version, one.arm, one.handled, one.platform, one.os
