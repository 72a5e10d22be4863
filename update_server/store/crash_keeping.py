"""Keeps the rows of crash reports, and the counts of crashes with them.

Each change is made in the same way: the rows of all installs that it touches are looked up, and
what they add to the counts after it differs from what they added before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    distinct,
    func,
    insert,
    literal,
    select,
    update,
)

from update_server.service.ports.crashes import Reported
from update_server.store.crash_folding import (
    ALL,
    ROLLOUT,
    SPLIT,
    Counted,
    CrashedIn,
    CrashRow,
    RowKey,
    Sum,
    counted_in,
    crashed_in,
    key_of,
    left,
    noted,
    sums,
)
from update_server.store.crash_hours import count_hours
from update_server.store.rows import chunks, upsert
from update_server.store.tables import (
    crash_aliases,
    crash_counts,
    crash_reports,
    crash_totals,
    crashed_counts,
)

_r = crash_reports.c
_same = and_(crash_aliases.c.app == _r.app, crash_aliases.c.signature == _r.signature)
_with_aliases = crash_reports.outerjoin(crash_aliases, _same)
_group = func.coalesce(crash_aliases.c.same_as, _r.signature)

_Rows = Mapping[RowKey, CrashRow]


class CrashKeeping:
    """Rows and counts over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, reports: Sequence[Reported]) -> None:
        """Count *reports*."""
        held = self._touched({key_of(one) for one in reports})
        now = noted(held, reports)
        self._write([row for key, row in now.items() if held.get(key) != row])
        self._count(held, now)

    def forget(self, app: str, report_keys: Collection[bytes]) -> None:
        """Delete the rows of these installs, and count them no longer."""
        held: dict[RowKey, CrashRow] = {}
        for some in chunks(report_keys):
            mine = and_(_r.app == app, _r.report_key.in_(some))
            held |= self._found(mine)
            self._connection.execute(delete(crash_reports).where(mine))
        self._count(held, {})

    def expire(self, before: datetime) -> None:
        """Delete the rows that were last seen before, and count them no longer."""
        old = _r.last_at < before
        gone = self._found(old)
        held = self._touched(gone)
        self._connection.execute(delete(crash_reports).where(old))
        self._count(held, {key: row for key, row in held.items() if key not in gone})

    def _touched(self, keys: Collection[RowKey]) -> dict[RowKey, CrashRow]:
        """Return what is held of all installs in *keys*; of nobody only what is at these keys."""
        installs: dict[str, set[bytes]] = {}
        nobodys: dict[tuple[str, str], set[str]] = {}
        for key in keys:
            if key.report_key:
                installs.setdefault(key.app, set()).add(key.report_key)
            else:
                nobodys.setdefault((key.app, key.version), set()).add(key.signature)
        held: dict[RowKey, CrashRow] = {}
        for app, names in installs.items():
            for some in chunks(names):
                held |= self._found(and_(_r.app == app, _r.report_key.in_(some)))
        for (app, version), signatures in nobodys.items():
            for some_signatures in chunks(signatures):
                found = self._found(
                    and_(
                        _r.app == app,
                        _r.version == version,
                        _r.signature.in_(some_signatures),
                        _r.handled.in_([False, True]),  # so that it is a look-up by primary key
                        _r.report_key == b"",
                    )
                )
                held |= {key: row for key, row in found.items() if key in keys}
        return held

    def _found(self, where: ColumnElement[bool]) -> dict[RowKey, CrashRow]:
        rows = self._connection.execute(
            select(
                *(crash_reports.c[name] for name in RowKey._fields),
                _r.ring,
                _r.channel,
                _r.platform,
                _r.os,
                _r.first_at,
                _r.last_at,
                _r.reports,
            ).where(where)
        )
        return {(row := _row(one)).key: row for one in rows.all()}

    def _write(self, rows: Sequence[CrashRow]) -> None:
        if not rows:
            return
        statement = upsert(self._connection, crash_reports)
        told = {c.name: statement.excluded[c.name] for c in crash_reports.c if not c.primary_key}
        key = list(crash_reports.primary_key.columns)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=told),
            [
                {
                    **row.key._asdict(),
                    "ring": row.ring,
                    "channel": row.channel,
                    "platform": row.platform,
                    "os": row.os,
                    "first_at": row.first_at,
                    "last_at": row.last_at,
                    "reports": row.reports,
                }
                for row in rows
            ],
        )

    def _count(self, before: _Rows, after: _Rows) -> None:
        """Count rows that were as in *before*, and are as in *after*."""
        groups = self._groups({(key.app, key.signature) for key in (*before, *after)})

        def places(row: CrashRow) -> Iterable[Counted]:
            return counted_in(row, groups[row.key.app, row.key.signature])

        self._change(sums(before.values(), places), sums(after.values(), places))
        self._correct(left(before, after, places))
        self._change_crashed(sums(before.values(), crashed_in), sums(after.values(), crashed_in))
        count_hours(self._connection, before.values(), after.values())

    def _groups(self, signatures: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return under which signature each of *signatures* is counted."""
        groups = {name: name[1] for name in signatures}
        asked: dict[str, list[str]] = {}
        for app, signature in signatures:
            asked.setdefault(app, []).append(signature)
        c = crash_aliases.c
        for app, names in asked.items():
            for some in chunks(names):
                same = select(c.signature, c.same_as).where(c.app == app, c.signature.in_(some))
                for signature, same_as in self._connection.execute(same):
                    groups[app, signature] = same_as
        return groups

    def _change(self, was: Mapping[Counted, Sum], now: Mapping[Counted, Sum]) -> None:
        self._change_totals(was, now)
        here, new = crash_counts.c, upsert(self._connection, crash_counts).excluded
        earlier, later = new.first_at < here.first_at, new.last_at > here.last_at
        self._add(
            crash_counts,
            [
                {
                    **place._asdict(),
                    **_difference(was.get(place), now.get(place)),
                    "first_at": (now.get(place) or was[place]).first_at,
                    "last_at": (now.get(place) or was[place]).last_at,
                }
                for place in was.keys() | now.keys()
                if was.get(place) != now.get(place)
            ],
            {
                "installs": here.installs + new.installs,
                "reports": here.reports + new.reports,
                "first_at": case((earlier, new.first_at), else_=here.first_at),
                "last_at": case((later, new.last_at), else_=here.last_at),
            },
        )

    def _change_totals(self, was: Mapping[Counted, Sum], now: Mapping[Counted, Sum]) -> None:
        totals: dict[tuple[str, str], Counter[str]] = {}
        for place in was.keys() | now.keys():
            if place.facet == ALL:
                by = _difference(was.get(place), now.get(place))
                total = totals.setdefault((place.app, place.signature), Counter())
                total["installs"] += 0 if place.handled else by["installs"]
                total["reports"] += by["reports"]
        here, new = crash_totals.c, upsert(self._connection, crash_totals).excluded
        self._add(
            crash_totals,
            [
                {"app": app, "signature": signature, **total}
                for (app, signature), total in totals.items()
                if any(total.values())
            ],
            {name: here[name] + new[name] for name in ("installs", "reports")},
        )

    def _change_crashed(self, was: Mapping[CrashedIn, Sum], now: Mapping[CrashedIn, Sum]) -> None:
        here, new = crashed_counts.c, upsert(self._connection, crashed_counts).excluded
        names = ("installs", "named", "reports")
        self._add(
            crashed_counts,
            [
                {
                    **place._asdict(),
                    **_difference(was.get(place), now.get(place)),
                    "named": _named(now.get(place)) - _named(was.get(place)),
                }
                for place in was.keys() | now.keys()
                if was.get(place) != now.get(place)
            ],
            {name: here[name] + new[name] for name in names},
        )

    def _add(
        self, table: Table, rows: Sequence[Mapping[str, Any]], sums_up: Mapping[str, Any]
    ) -> None:
        if not rows:
            return
        key = list(table.primary_key.columns)
        statement = upsert(self._connection, table)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=sums_up), rows
        )
        fewer = [row for row in rows if row["reports"] < 0]
        if fewer:
            mine = [column == bindparam(f"its_{column.name}") for column in key]
            self._connection.execute(
                delete(table).where(table.c.reports == 0, *mine),
                [{f"its_{column.name}": row[column.name] for column in key} for row in fewer],
            )

    def _correct(self, places: Collection[Counted]) -> None:
        """Look up when the first and the last report was in *places* that something left."""
        names: dict[tuple[str, str], set[str]] = {}
        for place in places:
            names.setdefault((place.app, place.version), set()).add(place.signature)
        rows: list[dict[str, Any]] = []
        for (app, version), groups in names.items():
            now = sums(
                self._spans(app, version, groups),
                lambda span: counted_in(span, span.key.signature),
            )
            rows += [
                {f"its_{name}": value for name, value in place._asdict().items()}
                | {"first": now[place].first_at, "last": now[place].last_at}
                for place in places
                if place in now
            ]
        if rows:
            key = crash_counts.primary_key.columns
            self._connection.execute(
                update(crash_counts)
                .where(*(column == bindparam(f"its_{column.name}") for column in key))
                .values(first_at=bindparam("first"), last_at=bindparam("last")),
                rows,
            )

    def _spans(self, app: str, version: str, groups: Collection[str]) -> list[CrashRow]:
        """Return from when to when reports of *groups* were in each place, as nobody's rows."""
        by = (_r.rollout, _r.arm, _r.channel, _r.platform, _r.os)
        rows = self._connection.execute(
            select(
                _group.label("group"),
                _r.handled,
                *by,
                func.min(_r.first_at).label("first_at"),
                func.max(_r.last_at).label("last_at"),
            )
            .select_from(_with_aliases)
            .where(
                _r.app == app,
                _r.version == version,
                _r.signature.in_(self._raw(app, groups)),
                _group.in_(groups),
            )
            .group_by(_group, _r.handled, *by)
        )
        return [
            CrashRow(
                key=RowKey(
                    app=app,
                    version=version,
                    signature=row.group,
                    handled=row.handled,
                    report_key=b"",
                    rollout=row.rollout,
                    arm=row.arm,
                ),
                ring="",
                channel=row.channel,
                platform=row.platform,
                os=row.os,
                first_at=row.first_at,
                last_at=row.last_at,
                reports=0,
            )
            for row in rows
        ]

    def _raw(self, app: str, groups: Collection[str]) -> set[str]:
        """Return the signatures that may be counted under one of *groups*."""
        c = crash_aliases.c
        same = select(c.signature).where(c.app == app, c.same_as.in_(groups))
        return {*groups, *self._connection.execute(same).scalars()}

    def recount(self, app: str, groups: Collection[str]) -> None:
        """Count anew what is counted under *groups*, after it was said what is the same."""
        mine = and_(crash_counts.c.app == app, crash_counts.c.signature.in_(groups))
        self._connection.execute(delete(crash_counts).where(mine))
        here = and_(_r.app == app, _r.signature.in_(self._raw(app, groups)), _group.in_(groups))
        for facet, split in SPLIT.items():
            told = {
                name: _r[name] if name in split else literal("")
                for name in ("rollout", "channel", "platform", "os")
            }
            by = [_r.app, _group, _r.version, _r.arm, _r.handled, *(_r[name] for name in split)]
            counted = (
                select(
                    literal(facet),
                    told["rollout"],
                    *by[:5],
                    told["channel"],
                    told["platform"],
                    told["os"],
                    func.count(distinct(case((_r.report_key != b"", _r.report_key)))),
                    func.sum(_r.reports),
                    func.min(_r.first_at),
                    func.max(_r.last_at),
                )
                .select_from(_with_aliases)
                .where(here, *([_r.rollout != ""] if facet == ROLLOUT else []))
                .group_by(*by)
            )
            self._connection.execute(
                insert(crash_counts).from_select(list(crash_counts.c), counted)
            )
        t, c = crash_totals.c, crash_counts.c
        self._connection.execute(delete(crash_totals).where(t.app == app, t.signature.in_(groups)))
        total = (
            select(
                c.app,
                c.signature,
                func.sum(case((c.handled, 0), else_=c.installs)),
                func.sum(c.reports),
            )
            .where(c.facet == ALL, c.rollout == "", c.app == app, c.signature.in_(groups))
            .group_by(c.app, c.signature)
        )
        self._connection.execute(insert(crash_totals).from_select(list(t), total))


def _difference(was: Sum | None, now: Sum | None) -> dict[str, int]:
    installs = (len(now.installs) if now else 0) - (len(was.installs) if was else 0)
    reports = (now.reports if now else 0) - (was.reports if was else 0)
    return {"installs": installs, "reports": reports}


def _named(told: Sum | None) -> int:
    return len(told.named) if told else 0


def _row(one: Any) -> CrashRow:
    *key, ring, channel, platform, system, first_at, last_at, reports = one
    app, version, signature, handled, report_key, rollout, arm = key
    return CrashRow(
        key=RowKey(app, version, signature, handled, bytes(report_key), rollout, arm),
        ring=ring,
        channel=channel,
        platform=platform,
        os=system,
        first_at=first_at,
        last_at=last_at,
        reports=reports,
    )
