"""How fast one web process offers a rollout: a token bucket for each rollout with a rate.

No installs are remembered: each offer costs a token, whoever asks. The processes of a server
share the rate evenly and know nothing of each other, so together they never offer more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

from rollout.model import RolloutId

BURST_SECONDS: Final = 10.0
"""How much of the rate may be saved up; at least one offer, however low the rate is."""

_MINUTE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """*tokens* at the monotonic second *at*, and how many are added a second."""

    per_second: float
    tokens: float
    at: float

    @property
    def capacity(self) -> float:
        """The most that it holds."""
        return max(1.0, self.per_second * BURST_SECONDS)

    def take(self, now: float) -> TokenBucket | None:
        """Return what is left after taking one token at *now*; None if there is none."""
        passed = max(0.0, now - self.at)
        tokens = min(self.capacity, self.tokens + passed * self.per_second)
        if tokens < 1:
            return None
        return replace(self, tokens=tokens - 1, at=max(now, self.at))


def full_bucket(per_second: float, now: float) -> TokenBucket:
    """Return a bucket that nothing was taken from."""
    empty = TokenBucket(per_second=per_second, tokens=0.0, at=now)
    return replace(empty, tokens=empty.capacity)


class Throttle:
    """The buckets of one web process, which has one of *shares* equal parts of every rate."""

    def __init__(self, shares: int = 1) -> None:
        self._shares = shares
        self._buckets: dict[RolloutId, TokenBucket] = {}
        self._lock = threading.Lock()  # two threads must not spend one token

    def admits(self, rollout: RolloutId, offers_per_minute: int, now: float) -> bool:
        """Take a token of *rollout* at the monotonic second *now*, if there is one."""
        per_second = offers_per_minute / _MINUTE_SECONDS / self._shares
        with self._lock:
            bucket = self._buckets.get(rollout) or full_bucket(per_second, now)
            left = bucket.take(now)
            if left is not None:
                self._buckets[rollout] = left
        return left is not None
