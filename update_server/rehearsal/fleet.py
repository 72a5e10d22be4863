"""A fleet: what is known of the installs together, and the shares that follow from it.

Each install has its own usual gap between two check-ins, lognormal over the fleet, and its own rate
of crashes, gamma over the fleet, so that a few have most of them. Contacts and crashes of one
install come by chance alone (Poisson), so that time since the last one says nothing.

Not here: the single installs (``installs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, fsum
from statistics import NormalDist

from update_server.evidence.design import silence_window
from update_server.evidence.settings import DAY, HOUR, Settings

_NODES = 41
_NOT_TOO_SOON = 0.75
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The installs of one app and channel, before the release.

    ``platforms`` are (name, share), the shares summing to 1. ``aged_share`` of the installs were
    known for long enough to be counted; the others get the release all the same. ``internal`` are
    those in the internal groups. ``gap_spread`` is the standard deviation of the gaps' logarithm.
    ``crash_a_day`` is the share of installs that crash at all on a day; ``frailty`` the shape of
    the gamma distribution of rates: small ones mean that few installs have most crashes.
    """

    installs: int
    platforms: tuple[tuple[str, float], ...] = (("linux-x86_64", 1.0),)
    aged_share: float = 0.9
    internal: int = 20
    median_gap_seconds: float = 4 * HOUR
    gap_spread: float = 0.5
    crash_a_day: float = 0.005
    frailty: float = 0.2

    def __post_init__(self) -> None:
        if self.installs < 1 or self.internal > self.installs or not self.platforms:
            raise ValueError("a fleet has installs, on platforms, and some of them are internal")
        if not (0 <= self.crash_a_day < 1 and 0 < self.aged_share <= 1 and self.frailty > 0):
            raise ValueError("a share is not between 0 and 1")

    @property
    def counted(self) -> float:
        """How many installs are randomized and old enough to be counted."""
        return (self.installs - self.internal) * self.aged_share

    @property
    def crashes_a_day(self) -> float:
        """Crashes a day of an average install; above ``crash_a_day``, since some have several."""
        return self.frailty * float((1 - self.crash_a_day) ** (-1 / self.frailty) - 1)

    def crashed(self, days: float, ratio: float = 1.0) -> float:
        """Return the share of installs that crash at least once in *days*."""
        rate = self.crashes_a_day * ratio
        return float(1 - (1 + rate * days / self.frailty) ** -self.frailty)

    def gaps(self) -> tuple[float, ...]:
        """Return usual gaps in seconds, each standing for an equal part of the fleet."""
        return _gaps(self.median_gap_seconds, self.gap_spread)

    def heard_of(self, seconds: float) -> float:
        """Return the share of installs that check in at least once within *seconds*."""
        return _heard_of(self.median_gap_seconds, self.gap_spread, seconds)

    def unhealthy(self, settings: Settings) -> float:
        """Return the share of installs that show no sign of health in time, with nothing wrong.

        A sign in the first quarter of the time is too soon to show anything.
        """
        return 1 - self.heard_of(_NOT_TOO_SOON * settings.outcome_seconds)

    def silence(self, settings: Settings) -> list[tuple[float, float]]:
        """Return, by stratum of gaps, the share that is silent with nothing wrong, and its size.

        Sizes sum to the share of installs that are in this metric.
        """
        by_stratum: dict[int, list[float]] = {}
        for gap in self.gaps():
            stratum, window = silence_window(gap, settings)
            if stratum >= 0:
                # A sign of life in the window's first quarter is not a return.
                by_stratum.setdefault(stratum, []).append(exp(-_NOT_TOO_SOON * window / gap))
        return [
            (min(0.999, max(1e-6, fsum(silent) / len(silent))), len(silent) / _NODES)
            for _, silent in sorted(by_stratum.items())
        ]

    def silence_seconds(self, settings: Settings) -> float:
        """Return the window after which the average install is silent."""
        windows = [silence_window(gap, settings)[1] for gap in self.gaps()]
        return max(DAY, fsum(windows) / len(windows))


# The same few hundred hours are asked for again and again.
@lru_cache(maxsize=8)
def _gaps(median_seconds: float, spread: float) -> tuple[float, ...]:
    return tuple(
        median_seconds * exp(spread * _NORMAL.inv_cdf((node + 0.5) / _NODES))
        for node in range(_NODES)
    )


@lru_cache(maxsize=20_000)
def _heard_of(median_seconds: float, spread: float, seconds: float) -> float:
    if seconds <= 0:
        return 0.0
    return 1 - fsum(exp(-seconds / gap) for gap in _gaps(median_seconds, spread)) / _NODES
