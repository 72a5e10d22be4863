"""The times that the agent waits for, on two clocks.

The monotonic clock says when, and the wall clock notices what the other cannot see: that the
machine slept, or that somebody set the clock back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.machine import effects as do
from client_agent.machine.values import When
from client_agent.schedule import ASLEEP_SECONDS, Schedule, period_for

PROBATION = timedelta(hours=24)


class Due(StrEnum):
    """Whether a check-in is due, and why."""

    NO = "no"
    YES = "yes"
    WOKE = "woke"


class Timers:
    """When to check in next. Not for several threads."""

    def __init__(self, clock: Clock, chance: Chance, schedule: Schedule) -> None:
        self._clock = clock
        self._chance = chance
        self._schedule = schedule
        self._due = float("inf")
        self._period = period_for(advised=None, probation=False, close=False)
        self._woke = False
        self._wall = clock.now()
        self._monotonic = clock.monotonic()
        self._changed_at: datetime | None = None
        self.due_at: datetime | None = None
        self.checked_at: datetime | None = None

    def schedule(self, effect: do.Schedule, *, advised: int | None, on_trial: bool) -> None:
        """Set the next check-in as *effect* wants it."""
        u = self._chance.share()
        probation = self._changed_at is not None and (
            self._clock.now() - self._changed_at < PROBATION
        )
        close = effect.when is When.CLOSE
        self._period = period_for(advised=advised, probation=probation, close=close)
        match effect.when:
            case When.NOW:
                seconds = 0.0
            case When.START | When.SOON:
                seconds = self._schedule.first(u, soon=effect.when is When.SOON)
            case When.FAILURE:
                seconds = self._schedule.failure(
                    u, self._period, effect.failures, effect.retry_after_seconds
                )
            case When.SUCCESS | When.CLOSE:
                seconds = self._schedule.success(u, self._period, on_trial=on_trial)
        if effect.by is not None:
            until = (effect.by - self._clock.now()).total_seconds()
            seconds = min(seconds, max(until, self._schedule.floor(on_trial=on_trial)))
        self._set(seconds)

    def now(self) -> None:
        """Make the next check-in due at once."""
        self._set(0.0)

    def came_back(self) -> None:
        """Check in soon, but not with everybody else whose network is back."""
        seconds = self._schedule.wake(self._chance.share())
        if self.due_at is not None and seconds < self.seconds_left():
            self._set(seconds)
            self._woke = True

    def checked(self) -> None:
        """Note that a check-in succeeded."""
        self.checked_at = self._clock.now()

    def version_changed(self, at: datetime | None = None) -> None:
        """Begin a day of closer looks; *at* tells of a change in an earlier life of the app."""
        now = self._clock.now()
        self._changed_at = now if at is None else min(at, now)

    def look(self) -> Due:
        """Compare both clocks, and return whether a check-in is due."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        ahead = (wall - self._wall).total_seconds() - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if self.due_at is None:
            return Due.NO
        if ahead > ASLEEP_SECONDS and wall >= self.due_at:
            # The whole office opens its machines at nine: they must not all ask at once.
            self._set(self._schedule.wake(self._chance.share()))
            self._woke = True
        elif self.due_at > wall + timedelta(seconds=self._schedule.scaled(2 * self._period)):
            self._set(self._schedule.set_back(self._chance.share()))
        if monotonic < self._due and wall < self.due_at:
            return Due.NO
        woke, self._woke = self._woke, False
        self._due, self.due_at = float("inf"), None
        return Due.WOKE if woke else Due.YES

    def seconds_left(self) -> float:
        """Return the seconds until the next check-in by the monotonic clock."""
        return max(0.0, self._due - self._clock.monotonic())

    def _set(self, seconds: float) -> None:
        self._woke = False
        self._due = self._clock.monotonic() + seconds
        self.due_at = self._clock.now() + timedelta(seconds=seconds)
