"""How many crash reports one web process takes in detail, from an install and from a network.

Limits cost detail and never the count: what is shed leaves a mark behind. Only who sends far more
than anybody can mean is not noted any more. Each process has buckets of its own, so that a server
of several takes that much more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
# Some 200 bytes each. The longest unused goes first: it is the fullest, too.
_REMEMBERED: Final = 20_000

PLAUSIBLE_STARTS_PER_HOUR: Final = 200
"""More starts of an app than this are no person's (docs/protocol.md, Crash reports)."""


class Kind(StrEnum):
    """What is limited apart. The first three are also how SDKs name what they may hold back."""

    ATTACHMENT = "attachment"
    ERROR = "error"
    SESSION = "session"
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many at once, and how many a second after that."""

    burst: float
    per_second: float


PER_INSTALL: Final[Mapping[Kind, Rate]] = MappingProxyType(
    {
        Kind.ATTACHMENT: Rate(burst=2, per_second=2 / _HOUR),
        Kind.ERROR: Rate(burst=10, per_second=6 / _MINUTE),
        Kind.SESSION: Rate(
            burst=PLAUSIBLE_STARTS_PER_HOUR, per_second=20 * PLAUSIBLE_STARTS_PER_HOUR / _HOUR
        ),
        Kind.MARK: Rate(burst=200, per_second=20 * 6 / _MINUTE),
    }
)
PER_NETWORK: Final[Mapping[Kind, Rate]] = MappingProxyType(
    {
        Kind.ATTACHMENT: Rate(burst=30, per_second=30 / _MINUTE),
        Kind.ERROR: Rate(burst=600, per_second=600 / _MINUTE),
        # Far more than any network's installs tell of, and far less than the digest can take in:
        # else one network could let it fall behind, which ends all automatic decisions.
        Kind.SESSION: Rate(burst=6_000, per_second=6_000 / _MINUTE),
        Kind.MARK: Rate(burst=6_000, per_second=6_000 / _MINUTE),
    }
)


@dataclass(frozen=True, slots=True)
class _Level:
    tokens: float
    at: float


class ReportLimits:
    """The buckets of one web process."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._levels: OrderedDict[tuple[Kind, bytes], _Level] = OrderedDict()
        self._lock = threading.Lock()  # two threads must not spend one token

    def admits(self, kind: Kind, *, install: bytes, network: bytes, now: float) -> bool:
        """Take one of *kind* at the monotonic second *now*; False where there is none left.

        *install* and *network* are any names, and empty where there is nothing to tell them
        apart: then that one does not limit. A refusal costs neither of them anything.
        """
        asked = [
            (rate, (kind, name))
            for rate, name in (
                (PER_INSTALL[kind], b"i" + install if install else b""),
                (PER_NETWORK[kind], b"n" + network if network else b""),
            )
            if name
        ]
        with self._lock:
            left = [self._left(rate, key, now) for rate, key in asked]
            if any(tokens < 1 for tokens in left):
                return False
            for (_, key), tokens in zip(asked, left, strict=True):
                self._levels[key] = _Level(tokens - 1, now)
                self._levels.move_to_end(key)
            while len(self._levels) > self._remembered:
                self._levels.popitem(last=False)
        return True

    def _left(self, rate: Rate, key: tuple[Kind, bytes], now: float) -> float:
        level = self._levels.get(key)
        if level is None:
            return rate.burst
        passed = max(0.0, now - level.at)
        return min(rate.burst, level.tokens + passed * rate.per_second)
