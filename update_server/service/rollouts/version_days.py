"""Which versions ran, day by day: counted as days go by, for a day that is over can't be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log
from typing import Final

from update_server.service.ports import Clock, Database, Stores
from update_server.service.ports.series import VersionDay

KEPT_DAYS: Final = 400
MOST_VERSIONS: Final = 50
"""Of an app on a day; others are counted together, as version "": anybody may tell any version."""

DRAINED_OVER: Final = 7
"""Days over which is told how fast a version is left."""
FEW: Final = 20
"""Of fewer installs no speed is told."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How fast a version is left: so many installs on two days, and in how many days they halve.

    ``halves_in_days`` is None where they do not become fewer.
    """

    channel: str
    version: str
    first_day: int
    last_day: int
    first: int
    last: int
    halves_in_days: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDays:
    """Counts of an app from the day ``since`` to ``today``, which is not over yet.

    A day of which there is no count was not counted, or nobody came.
    """

    since: int
    today: int
    counts: Sequence[VersionDay]
    drains: Sequence[Drain]


class VersionHistory:
    """Counts days, and tells of them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def look(self, app: str, days: int) -> VersionDays:
        """Return the counts of the last *days*, with today. Raises NotFoundError."""
        today = day_of(self._clock.now())
        since = today - days + 1
        with self._database.reading() as stores:
            stores.apps.get(app)
            counts = stores.series.days(app, since)
        return VersionDays(since=since, today=today, counts=counts, drains=_drains(counts, today))


def count_today(database: Database, clock: Clock) -> None:
    """Count again the installs that checked in today; what was counted before is replaced.

    Counting reads every install, so it is done before there is a transaction to wait for.
    """
    today = day_of(clock.now())
    with database.reading() as stores:
        counted = stores.series.count_day(today)
    with database.transaction() as stores:
        stores.series.put_day(today, _common(counted))


def expire(stores: Stores, now: datetime) -> None:
    """Forget days that are long over."""
    stores.series.expire_days(day_of(now) - KEPT_DAYS)


def day_of(at: datetime) -> int:
    """Return the UTC day of an instant, counted from 1970."""
    return (at - _EPOCH).days


def instant_of(day: int) -> datetime:
    """Return when a day began."""
    return _EPOCH + timedelta(days=day)


def _common(counted: Sequence[VersionDay]) -> list[VersionDay]:
    """Return the most common versions of each app, and the others of a channel as one."""
    by_app: dict[str, list[VersionDay]] = defaultdict(list)
    for one in sorted(counted, key=lambda one: (-one.installs, one.channel, one.version)):
        by_app[one.app].append(one)
    found: list[VersionDay] = []
    for app, counts in by_app.items():
        found += counts[:MOST_VERSIONS]
        others: dict[tuple[int, str], int] = defaultdict(int)
        for one in counts[MOST_VERSIONS:]:
            others[one.day, one.channel] += one.installs
        found += [
            VersionDay(app=app, day=day, channel=channel, version="", installs=installs)
            for (day, channel), installs in others.items()
        ]
    return found


def _drains(counts: Sequence[VersionDay], today: int) -> list[Drain]:
    """Return how fast each version is left, by the days that are over."""
    by_version: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for one in counts:
        if one.version and today - DRAINED_OVER <= one.day < today:
            by_version[one.channel, one.version][one.day] = one.installs
    return [
        _drain(channel, version, days)
        for (channel, version), days in sorted(by_version.items())
        if len(days) > 1
    ]


def _drain(channel: str, version: str, days: Mapping[int, int]) -> Drain:
    first_day, last_day = min(days), max(days)
    first, last = days[first_day], days[last_day]
    falls = first >= FEW and last < first
    return Drain(
        channel=channel,
        version=version,
        first_day=first_day,
        last_day=last_day,
        first=first,
        last=last,
        halves_in_days=(last_day - first_day) * log(2) / log(first / last) if falls else None,
    )
