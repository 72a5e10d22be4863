"""How many distinct installs crashed where. Reads only, and never a report: counts are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    not_,
    select,
    true,
    tuple_,
)

from rollout.model import RolloutId
from update_server.service.ports.crashes import (
    UNTOLD,
    CrashCount,
    CrashedInstalls,
    CrashPlaces,
    CrashTotal,
    Tally,
)
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

    def last_counts(
        self,
        app: str,
        signatures: Collection[str],
        *,
        most: int,
        version: str | None = None,
        channel: str | None = None,
    ) -> Sequence[CrashCount]:
        """Return of each of *signatures* the *most* counts that were seen last."""
        found: list[CrashCount] = []
        for some in chunks(sorted(signatures)):
            rows = self._connection.execute(self._last(app, version, channel, some, most))
            found += [_count(row) for row in rows if row.signature is not None]
        return sorted(found, key=_order)

    def _last(
        self,
        app: str,
        version: str | None,
        channel: str | None,
        signatures: Collection[str],
        most: int,
    ) -> Select[Any]:
        """Return what finds the last counts of each signature without sorting those of all."""
        name = crash_totals.c
        one = crash_counts.alias("one").c
        mine = select(*([_c.version, _c.arm, _c.handled] if self._is_sqlite else _c)).where(
            *_asked(_c, app, version, channel), _c.signature == name.signature
        )
        ranked = (
            mine.order_by(
                _c.last_at.desc(), self._in_order(_c.version), self._in_order(_c.arm), _c.handled
            )
            .limit(most)
            .correlate(crash_totals)
        )
        asked = and_(name.app == app, name.signature.in_(signatures))
        if not self._is_sqlite:
            here = ranked.lateral("one")
            return select(here).select_from(crash_totals.join(here, true())).where(asked)
        # No LATERAL here. An outer join keeps the signatures outside, each ranked once.
        wanted = and_(
            *_asked(one, app, version, channel),
            one.signature == name.signature,
            tuple_(one.version, one.arm, one.handled).in_(ranked),
        )
        counts = one.signature.table
        return select(counts).select_from(crash_totals.outerjoin(counts, wanted)).where(asked)

    def totals(
        self,
        app: str,
        signatures: Collection[str],
        *,
        version: str | None = None,
        channel: str | None = None,
    ) -> Mapping[str, CrashTotal]:
        """Return what the counts of each of *signatures* add up to."""
        found: dict[str, CrashTotal] = {}
        for some in chunks(sorted(signatures)):
            rows = self._connection.execute(
                select(
                    _c.signature,
                    func.sum(case((_c.handled, 0), else_=_c.installs)),
                    func.sum(case((_c.handled, 0), else_=_c.reports)),
                    func.sum(case((_c.handled, _c.reports), else_=0)),
                    func.min(_c.first_at),
                    func.max(_c.last_at),
                    func.count(),
                )
                .where(*_asked(_c, app, version, channel), _c.signature.in_(some))
                .group_by(_c.signature)
            )
            for signature, installs, reports, errors, first_at, last_at, counts in rows:
                found[signature] = CrashTotal(
                    installs=int(installs),
                    reports=int(reports),
                    errors=int(errors),
                    first_at=first_at,
                    last_at=last_at,
                    counts=counts,
                )
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
        nameless = (
            select(func.coalesce(func.sum(_crashed.installs - _crashed.named), 0))
            .where(*_asked(_crashed, app, version, channel))
            .scalar_subquery()
        )
        # What most people look at is added up already.
        is_of_all = version is None and channel is None
        c: Any = crash_totals.c if is_of_all else _c
        crashed = c.installs if is_of_all else case((_c.handled, 0), else_=_c.installs)
        asked = [c.app == app] if is_of_all else _asked(_c, app, version, channel)
        found = self._connection.execute(
            select(c.signature)
            .where(*asked)
            .group_by(c.signature)
            .order_by(
                case((c.signature == UNTOLD, nameless), else_=func.sum(crashed)).desc(),
                func.sum(c.reports).desc(),
                self._in_order(c.signature),
            )
            .limit(limit)
            .offset(offset)
        )
        return list(found.scalars())

    @property
    def _is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    def _in_order(self, text: Any) -> Any:
        """Return *text* so that it is sorted as Python does: databases do not agree on that."""
        return text if self._is_sqlite else text.collate("C")

    def counts_of(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        """Return the counts of those who took part in each of *rollouts*, all versions together."""
        found: dict[RolloutId, list[CrashCount]] = {rollout: [] for rollout in rollouts}
        for some in chunks(found):
            theirs = and_(_c.facet == ROLLOUT, _c.rollout.in_(some))
            self._add_versions(found, _of_any_version().where(theirs))
        return {rollout: sorted(counts, key=_order) for rollout, counts in found.items()}

    def newest_of(
        self, rollouts: Collection[RolloutId], *, arms: Collection[str], but: Collection[str]
    ) -> Mapping[RolloutId, Sequence[CrashCount]]:
        """Return the same of the signature of each rollout that was seen first most lately."""
        found: dict[RolloutId, list[CrashCount]] = {rollout: [] for rollout in rollouts}
        is_theirs = case((_c.arm.in_(arms), _c.installs), else_=0)
        latest = (func.min(_c.first_at).desc(), self._in_order(_c.signature).desc())
        place = func.row_number().over(partition_by=_c.rollout, order_by=latest)
        for some in chunks(found):
            asked = (_c.facet == ROLLOUT, _c.rollout.in_(some), not_(_c.handled))
            ranked = (
                select(_c.rollout, _c.signature, place.label("place"))
                .where(*asked, _c.signature.not_in(but))
                .group_by(_c.rollout, _c.signature)
                .having(func.sum(is_theirs) > 0)
                .subquery()
            )
            newest = and_(_c.rollout == ranked.c.rollout, _c.signature == ranked.c.signature)
            self._add_versions(
                found,
                _of_any_version().join(ranked, newest).where(*asked, ranked.c.place == 1),
            )
        return {rollout: sorted(counts, key=_order) for rollout, counts in found.items()}

    def _add_versions(
        self, found: Mapping[RolloutId, list[CrashCount]], asked: Select[Any]
    ) -> None:
        for row in self._connection.execute(asked):
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

    def places(self, app: str, signature: str) -> Sequence[CrashCount]:
        """Return the counts of one group, also by platform and operating system."""
        return self.places_and(app, signature, ()).places

    def places_and(self, app: str, signature: str, rollouts: Collection[RolloutId]) -> CrashPlaces:
        """Return the same, and what those have who took part in each of *rollouts*."""
        mine = and_(_c.app == app, _c.signature == signature)
        here = select(crash_counts).where(mine, _c.facet == PLACE, _c.rollout == "")
        there = select(crash_counts).where(
            mine, _c.facet == ROLLOUT, _c.rollout.in_(sorted(rollouts))
        )
        places: list[CrashCount] = []
        found: dict[RolloutId, list[CrashCount]] = {rollout: [] for rollout in rollouts}
        for row in self._connection.execute(here.union_all(there) if rollouts else here):
            (found[RolloutId(row.rollout)] if row.rollout else places).append(_count(row))
        return CrashPlaces(
            places=sorted(places, key=_order),
            rollouts={rollout: sorted(counts, key=_order) for rollout, counts in found.items()},
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
        found = [
            CrashedInstalls(version=version, arm=arm, installs=installs, named=named)
            for version, arm, installs, named in rows
        ]
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


def _of_any_version() -> Select[Any]:
    """Return what counts by rollout, signature, arm and handled or not."""
    by = (_c.rollout, _c.signature, _c.arm, _c.handled)
    return (
        select(
            *by,
            func.sum(_c.installs).label("installs"),
            func.sum(_c.reports).label("reports"),
            func.min(_c.first_at).label("first_at"),
            func.max(_c.last_at).label("last_at"),
        )
        .select_from(crash_counts)
        .group_by(*by)
    )


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
