"""Virtual installs: what one of them is like, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import log

from packaging.version import Version

from rollout.bucket import bucket_of
from rollout.model import Install, InstallId
from update_server.evidence.settings import DAY
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.fleet import Fleet

CHANNEL = "stable"
GROUP = "internal"
OLD = Version("1.0")
NEW = Version("2.0")

_DAYS_OF_HISTORY = 14
_MOST_CRASHES = 10  # more make no difference to the strata
_LONGEST_GAP = 30 * DAY
_SHORTEST_GAP = 60.0


@dataclass(slots=True)
class Virtual:
    """One virtual install. ``rate`` is its crashes a second on the old version.

    ``crashes`` are those of the 14 days before. ``bricked`` ones send nothing any more; ``crashed``
    tells whether it did on the release. It is to come back in the ``window`` seconds that begin at
    ``window_from``.
    """

    key: bytes
    install: Install
    bucket: int
    aged: bool
    internal: bool
    gap: float
    rate: float
    crashes: int
    events: int = 0
    window_from: float = 0.0
    window: float = 0.0
    on_release: bool = False
    bricked: bool = False
    crashed: bool = False


def make_installs(fleet: Fleet, salt: bytes, draws: Draws) -> list[Virtual]:
    """Return the installs of *fleet*; the first ones are internal."""
    mu = log(fleet.median_gap_seconds)
    scale = fleet.crashes_a_day / fleet.frailty / DAY
    limits = list(accumulate(share for _, share in fleet.platforms))
    groups = frozenset({GROUP})
    found = []
    for number in range(fleet.installs):
        internal = number < fleet.internal
        drawn = draws.random() * limits[-1]
        platform = fleet.platforms[sum(drawn >= limit for limit in limits[:-1])][0]
        gap = draws.lognormvariate(mu, fleet.gap_spread)
        rate = draws.gammavariate(fleet.frailty, scale) if scale else 0.0
        name = InstallId(f"00000000-0000-4000-8000-{number:012x}")
        install = Install(
            id=name,
            channel=CHANNEL,
            platform=platform,
            version=OLD,
            high_water=OLD,
            groups=groups if internal else frozenset(),
        )
        found.append(
            Virtual(
                key=number.to_bytes(8, "big"),
                install=install,
                bucket=bucket_of(salt, name),
                aged=draws.random() < fleet.aged_share,
                internal=internal,
                gap=min(_LONGEST_GAP, max(_SHORTEST_GAP, gap)),
                rate=rate,
                crashes=_count(rate * _DAYS_OF_HISTORY * DAY, draws),
            )
        )
    return found


def _count(mean: float, draws: Draws) -> int:
    """Return a Poisson number, at most ``_MOST_CRASHES``."""
    count, left = 0, mean
    while count < _MOST_CRASHES:
        left -= draws.expovariate(1.0)
        if left < 0:
            break
        count += 1
    return count
