"""Which versions ran, day by day: counted as days go by, for a day that is over can't be."""

from __future__ import annotations

from collections import Counter, defaultdict
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

EVERY_SECONDS: Final = 3_600.0
SLICE: Final = 20_000
"""Installs that are looked at at once: a twentieth of a second, in which nothing else is done."""

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


class DayCounter:
    """Counts which versions run today, every hour: a day that is over can't be counted any more.

    Counting looks at every install, so it is done in slices between other duties. Whoever checks
    in after the last count of a day for the first time in it is missing there.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._began_at: float | None = None
        self._day = 0
        self._left: list[str] = []  # apps, the present one last
        self._after: bytes | None = None
        self._found: Counter[tuple[str, str, str]] = Counter()

    def step(self) -> bool:
        """Look at the next slice, if a count is due or goes on; return whether there was one."""
        now = self._clock.monotonic()
        if not self._left and not self._begin(now):
            return False
        app = self._left[-1]
        with self._database.reading() as stores:
            counted, self._after = stores.series.count_day(
                app, self._day, after=self._after, most=SLICE
            )
        for one in counted:
            self._found[app, one.channel, one.version] += one.installs
        if self._after is None:
            self._left.pop()
        if not self._left:
            with self._database.transaction() as stores:
                stores.series.put_day(self._day, _common(self._day, self._found))
        return True

    def _begin(self, now: float) -> bool:
        if self._began_at is not None and now - self._began_at < EVERY_SECONDS:
            return False
        self._began_at, self._after, self._found = now, None, Counter()
        self._day = day_of(self._clock.now())
        with self._database.reading() as stores:
            self._left = [app.name for app in stores.apps.all()]
        return bool(self._left)


def expire(stores: Stores, now: datetime) -> None:
    """Forget days that are long over."""
    stores.series.expire_days(day_of(now) - KEPT_DAYS)


def day_of(at: datetime) -> int:
    """Return the UTC day of an instant, counted from 1970."""
    return (at - _EPOCH).days


def instant_of(day: int) -> datetime:
    """Return when a day began."""
    return _EPOCH + timedelta(days=day)


def _common(day: int, found: Mapping[tuple[str, str, str], int]) -> list[VersionDay]:
    """Return the most common versions of each app, and the others of a channel as one."""
    kept: Counter[tuple[str, str, str]] = Counter()
    of_app: Counter[str] = Counter()
    for (app, channel, version), installs in sorted(found.items(), key=lambda one: -one[1]):
        of_app[app] += 1
        told = version if of_app[app] <= MOST_VERSIONS else ""
        kept[app, channel, told] += installs
    return [
        VersionDay(app=app, day=day, channel=channel, version=version, installs=installs)
        for (app, channel, version), installs in kept.items()
    ]


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
