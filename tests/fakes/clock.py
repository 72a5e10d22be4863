"""Time that moves when a test says so, and names that are the same in each run."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta

from rollout.model import RolloutId

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until ``advance``."""

    def __init__(self, now: datetime = START) -> None:
        self._start = now
        self._now = now

    def now(self) -> datetime:
        """Return the present instant."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Let the time pass without waiting."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> datetime:
        """Move the time on, and return the new instant."""
        self._now += by
        return self._now


class FakeIds:
    """Names drawn by counting."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def rollout_id(self) -> RolloutId:
        """Return a new rollout ID."""
        return RolloutId(f"ro_{next(self._numbers):06}")

    def short_id(self, prefix: str) -> str:
        """Return a new name that begins with *prefix*."""
        return f"{prefix}{next(self._numbers):06}"

    def secret(self, prefix: str) -> str:
        """Return a new secret that begins with *prefix*."""
        return prefix + hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:40]
