"""The fleet that the reference tables are about: some installs are used, and crash, far more.

Activity is lognormal with a mean of 4 sessions a day. A session crashes with probability p times
the install's frailty, gamma of shape 0.2 and mean 1, and not above 1. An install is first heard
from after a time that is exponential in its activity: eager installs come first.

Times are in hours from the opening of the stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.evidence.replica import Bools, Floats, Ints

DAY = 24.0
SESSIONS_A_DAY = 4.0
_ACTIVITY_SPREAD = 1.0  # of the logarithm
_FRAILTY_SHAPE = 0.2
_LARGEST_STRATUM = 10


@dataclass(frozen=True, slots=True)
class Fleet:
    """Installs: sessions an hour, crashes an hour, first contact, first crash, and the arm."""

    sessions: Floats
    crashes: Floats
    entry: Floats
    crash: Floats
    candidate: Bools


def a_fleet(
    rng: np.random.Generator,
    *,
    installs: int,
    crash_share: float,
    exposure: float = 0.1,
    ratio: float = 1.0,
    all_at_once: bool = False,
) -> Fleet:
    """Return a fleet in which candidates crash *ratio* times as often.

    Args:
        rng: Where its random numbers come from.
        installs: How many.
        crash_share: p, the share of sessions that crash on the previous release.
        exposure: The share of candidates.
        ratio: The candidates' hazard ratio.
        all_at_once: Whether everybody is heard from at 0.
    """
    activity = rng.lognormal(
        np.log(SESSIONS_A_DAY) - _ACTIVITY_SPREAD**2 / 2, _ACTIVITY_SPREAD, installs
    )
    sessions = activity / DAY
    frailty = rng.gamma(_FRAILTY_SHAPE, 1 / _FRAILTY_SHAPE, installs)
    crashes = sessions * np.minimum(crash_share * frailty, 1)
    candidate = rng.random(installs) < exposure
    entry = np.zeros(installs) if all_at_once else rng.exponential(1 / sessions)
    rate = crashes * np.where(candidate, ratio, 1.0)
    with np.errstate(divide="ignore", over="ignore"):
        crash = entry + rng.exponential(1.0, installs) / rate
    return Fleet(sessions, crashes, entry, crash, candidate)


def until(times: Floats, horizon: float) -> Floats:
    """Return *times* with those after *horizon* made infinite: they are not seen."""
    return np.where(times <= horizon, times, np.inf)


def hourly_cohorts(entry: Floats, horizon: float) -> Ints:
    """Return the cohort of each install, by the hour of its entry; -1 after *horizon*."""
    return np.where(entry < horizon, np.minimum(entry, horizon), -1.0).astype(np.int64)


def strata(rng: np.random.Generator, fleet: Fleet, *, days: float = 14.0) -> Ints:
    """Return each install's stratum: its crashes in the days before were 0, 1, 2-4, 5-9, 10+."""
    before = np.minimum(rng.poisson(fleet.crashes * DAY * days), _LARGEST_STRATUM)
    stratum: Ints = np.searchsorted([1, 2, 5, _LARGEST_STRATUM], before, side="right")
    return stratum
