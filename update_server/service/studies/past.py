"""How a channel's installs did before a rollout, from what is remembered of each of them.

Crashes are read from the installs' histories, silence from the windows that were counted
(``service.studies.silences``). Read once, when the rollout starts: afterwards some of them run the
release. Of very many histories a sample is read, always the same one: keys are pseudonyms, and so
the lowest are drawn as if by chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import floor
from typing import Final

from rollout.model import Rollout
from update_server.evidence.alarm import HOURS_OF_WEEK
from update_server.evidence.facts import Past
from update_server.evidence.settings import DAY, HOUR, Settings
from update_server.service.ports import Stores
from update_server.service.ports.studies import History
from update_server.service.studies.histories import LAST_CRASHES
from update_server.service.studies.silences import DAYS, measures_alike
from update_server.service.studies.stretch import Stretch

SAMPLE: Final = 10_000
"""Installs whose history is read at most."""

CRASH_SECONDS: Final = 28 * DAY
"""How far back crashes are counted, in the judge's time."""


def past_of(stores: Stores, rollout: Rollout, settings: Settings) -> Past:
    """Return what is known of the installs last seen on the channel, up to the rollout's start."""
    stretch = Stretch(origin=rollout.started_at.timestamp(), speed=settings.speed)
    known = stores.histories.sample(rollout.app, SAMPLE, channel=rollout.channel)
    until = stretch.instant(rollout.started_at)
    crashes, hours = crashes_by_hour(known, until, stretch)
    windows = _windows(stores, rollout) if measures_alike(settings) else ()
    return Past(at=until, crashes=crashes, install_hours=hours, windows=windows)


def _windows(stores: Stores, rollout: Rollout) -> tuple[tuple[int, int, int], ...]:
    """Return windows of silence by stratum, and the silent of them: of the last whole days."""
    today = int(rollout.started_at.timestamp() // DAY)
    counted = stores.histories.windows(
        rollout.app, rollout.channel, since=today - DAYS, until=today
    )
    return tuple((stratum, n, max(0, n - returned)) for stratum, n, returned in counted)


def crashes_by_hour(
    known: Iterable[History], until: float, stretch: Stretch
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return first crashes of a day, and hours watched, by hour of the week (``facts.Past``).

    An install is watched until its last sign, and since the earliest crash that is remembered
    where no more are. *until* is by the judge's clock.
    """
    first_hour = floor((until - CRASH_SECONDS) / HOUR)
    crashes = [0] * HOURS_OF_WEEK
    whole = [0] * (floor(until / HOUR) - first_hour + 2)  # begun less ended, then their sums
    parts = [0.0] * len(whole)
    for one in known:
        signs = [stretch.seconds(at) for at in (one.first_at, *one.seen, *one.crashes)]
        since = max(until - CRASH_SECONDS, signs[0])
        if len(one.crashes) == LAST_CRASHES:
            since = max(since, stretch.seconds(one.crashes[0]))
        end = min(until, max(signs))
        if end <= since:
            continue
        began, ended = floor(since / HOUR) - first_hour, floor(end / HOUR) - first_hour
        whole[began] += 1
        whole[ended] -= 1
        parts[began] -= since / HOUR - floor(since / HOUR)
        parts[ended] += end / HOUR - floor(end / HOUR)
        for at in _first_of_days(signs[len(signs) - len(one.crashes) :], since, end):
            crashes[floor(at / HOUR) % HOURS_OF_WEEK] += 1
    hours = [0.0] * HOURS_OF_WEEK
    for index, (installs, part) in enumerate(zip(accumulate(whole), parts, strict=True)):
        hours[(first_hour + index) % HOURS_OF_WEEK] += installs + part
    return tuple(crashes), tuple(hours)


def _first_of_days(crashes: Iterable[float], since: float, end: float) -> Iterable[float]:
    """Return the first crash of each UTC day from *since* to *end*; *crashes* are in order."""
    first: dict[int, float] = {}
    for at in crashes:
        if since <= at <= end:
            first.setdefault(floor(at / DAY), at)
    return first.values()
