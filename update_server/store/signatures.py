"""Runs of sightings of crash signatures, one row a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from update_server.service.ports.signatures import LOOK_BACK, MAX_NEW_A_DAY, OTHER, Run, Sighting
from update_server.store.rows import chunks
from update_server.store.tables import crash_signatures as runs

_Key = tuple[str, str, str, str]  # app, channel, version, comparable
_Day = tuple[str, str, str, datetime]  # app, channel, version, its beginning


@dataclass(slots=True, kw_only=True)
class _Run:
    title: str
    first_at: datetime
    last_at: datetime
    reports: int = 0
    new: bool = False


class SqlSignatures:
    """Signatures over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, sightings: Sequence[Sighting]) -> Sequence[str]:
        """Extend runs by *sightings*, and begin new ones; return the name of each one's run."""
        newest = self._newest(sightings)
        names = [one.comparable for one in sightings]
        begun: dict[_Day, int] = {}
        touched: set[_Key] = set()
        for place, one in sorted(enumerate(sightings), key=lambda numbered: numbered[1].at):
            key = (one.app, one.channel, one.version, one.comparable)
            title = one.title
            day = (*key[:3], one.at.replace(hour=0, minute=0, second=0, microsecond=0))
            if day not in begun:
                begun[day] = self._begun(day)
            if not _goes_on(newest.get(key), one.at) and begun[day] >= MAX_NEW_A_DAY:
                key, title = (*key[:3], OTHER), OTHER
                names[place] = OTHER
            if not _goes_on(newest.get(key), one.at):
                newest[key] = _Run(title=title, first_at=one.at, last_at=one.at, new=True)
                begun[day] += 1
            run = newest[key]
            run.last_at = max(run.last_at, one.at)
            run.reports += 1
            touched.add(key)
        self._write({key: newest[key] for key in touched})
        return names

    def _newest(self, sightings: Sequence[Sighting]) -> dict[_Key, _Run]:
        """Return the newest run of each key that *sightings* may belong to."""
        names: dict[tuple[str, str], set[str]] = {}
        for one in sightings:
            names.setdefault((one.app, one.channel), {OTHER}).add(one.comparable)
        found: dict[_Key, _Run] = {}
        for (app, channel), comparables in names.items():
            here = (runs.c.app == app) & (runs.c.channel == channel)
            for some in chunks(comparables):
                rows = self._connection.execute(
                    select(runs).where(here, runs.c.comparable.in_(some)).order_by(runs.c.first_at)
                )
                for row in rows:
                    found[app, channel, row.version, row.comparable] = _Run(
                        title=row.title,
                        first_at=row.first_at,
                        last_at=row.last_at,
                        reports=row.reports,
                    )
        return found

    def _begun(self, day: _Day) -> int:
        app, channel, version, start = day
        count = select(func.count()).where(
            runs.c.app == app,
            runs.c.channel == channel,
            runs.c.version == version,
            runs.c.first_at >= start,
            runs.c.first_at < start + timedelta(days=1),
        )
        return self._connection.execute(count).scalar_one()

    def _write(self, changed: Mapping[_Key, _Run]) -> None:
        new = [_row(key, run) for key, run in changed.items() if run.new]
        if new:
            self._connection.execute(insert(runs), new)
        old = [_row(key, run) for key, run in changed.items() if not run.new]
        if old:
            this = [
                column == bindparam(f"old_{column.name}", type_=column.type)
                for column in runs.primary_key
            ]
            values: dict[str, Any] = {
                name: bindparam(f"new_{name}") for name in ("last_at", "reports")
            }
            renamed = [
                {f"old_{column.name}": row[column.name] for column in runs.primary_key}
                | {f"new_{name}": row[name] for name in values}
                for row in old
            ]
            self._connection.execute(update(runs).where(*this).values(values), renamed)

    def known(
        self, app: str, channel: str, *, versions: Sequence[str], published_at: datetime
    ) -> frozenset[str]:
        """Return the signatures that were known when a release after *versions* was published."""
        found = self._connection.execute(
            select(runs.c.comparable)
            .distinct()
            .where(
                runs.c.app == app,
                runs.c.channel == channel,
                runs.c.first_at < published_at,
                or_(runs.c.version.in_(versions), runs.c.last_at >= published_at - LOOK_BACK),
            )
        )
        return frozenset(found.scalars())

    def runs(
        self, app: str, channels: Collection[str], comparables: Collection[str]
    ) -> Sequence[Run]:
        """Return the runs of these signatures, by channel, version and time."""
        found: list[Run] = []
        for some in chunks(comparables):
            rows = self._connection.execute(
                select(
                    runs.c.channel,
                    runs.c.version,
                    runs.c.comparable,
                    runs.c.first_at,
                    runs.c.last_at,
                ).where(
                    runs.c.app == app,
                    runs.c.channel.in_(channels),
                    runs.c.comparable.in_(some),
                )
            )
            found += [Run(**row) for row in rows.mappings()]
        return sorted(found, key=lambda one: (one.channel, one.version, one.first_at))

    def titles(self, app: str, channel: str, comparables: Iterable[str]) -> Mapping[str, str]:
        """Return the title first noted of each signature that is known."""
        found: dict[str, str] = {}
        for some in chunks(comparables):
            rows = self._connection.execute(
                select(runs.c.comparable, runs.c.title)
                .where(runs.c.app == app, runs.c.channel == channel, runs.c.comparable.in_(some))
                .order_by(runs.c.first_at.desc())
            )
            found.update((row.comparable, row.title) for row in rows)
        return found

    def expire(self, *, seen_before: datetime) -> None:
        """Delete the runs that ended before."""
        self._connection.execute(delete(runs).where(runs.c.last_at < seen_before))


def _goes_on(run: _Run | None, at: datetime) -> bool:
    return run is not None and at - run.last_at < LOOK_BACK


def _row(key: _Key, run: _Run) -> dict[str, Any]:
    app, channel, version, comparable = key
    return {
        "app": app,
        "channel": channel,
        "version": version,
        "comparable": comparable,
        "title": run.title,
        "first_at": run.first_at,
        "last_at": run.last_at,
        "reports": run.reports,
    }
