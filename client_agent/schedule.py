"""When to check in next, and when to try again what failed (docs/agent.md, 3).

PURE: random numbers ``u`` in [0, 1) and durations enter, seconds come out. Periods are clamped
here, whoever asks for them: neither a server nor a settings file can make a fleet hammer or fall
silent.

Not here: timers and clocks (``client_agent.running.loop``).
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PERIOD_SECONDS = 14_400
MIN_PERIOD_SECONDS = 300
MAX_PERIOD_SECONDS = 86_400
PROBATION_PERIOD_SECONDS = 900
"""For 24 h after any change of version."""

CLOSE_PERIOD_SECONDS = 3_600
"""While something is staged or armed, so that a pause or a pull soon reaches it."""

HARD_FLOOR_SECONDS = 300
TRIAL_FLOOR_SECONDS = 60
MANUAL_FLOOR_SECONDS = 10
MAX_RETRY_AFTER_SECONDS = 86_400

SLEEP_SLICE_SECONDS = 60
"""The longest wait at a time: a timer compares both clocks after each."""

ASLEEP_SECONDS = 120
"""A wall clock this far ahead of the monotonic one means that the machine slept."""

_NO_SPACE_HOURS = 6
_MAX_RETRY_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The waits of one agent. ``unsafe_speed`` above 1 divides every one of them."""

    unsafe_speed: float = 1.0

    def first(self, u: float, *, soon: bool) -> float:
        """Return the seconds from the start of the app to its first check-in.

        *soon*: on trial, or after a fall-back.
        """
        return self._sped(5 + 25 * u if soon else 60 + 540 * u)

    def success(self, u: float, period: float, *, on_trial: bool = False) -> float:
        """Return the seconds from the last successful check-in to the next."""
        return max(self._sped(period * (0.9 + 0.2 * u)), self.floor(on_trial=on_trial))

    def failure(
        self, u: float, period: float, failures: int, retry_after: float | None = None
    ) -> float:
        """Return the seconds until the next try after *failures* (1 or more) in a row.

        *retry_after*: what the server asked for, in its own seconds, which no speed divides.
        """
        spread = min(3_600, 30 * 2 ** min(failures, 12))
        wait = self._sped(min(30 + u * spread, period * 1.1))
        if retry_after is None:
            return wait
        asked = min(max(0.0, retry_after), MAX_RETRY_AFTER_SECONDS)
        return max(wait, asked * (1 + 0.1 * u))

    def wake(self, v: float) -> float:
        """Return the seconds to wait after waking up with a check-in due."""
        return self._sped(5 + 115 * v)

    def set_back(self, v: float) -> float:
        """Return the seconds to wait when the wall clock went back past the last check-in."""
        return self._sped(60 + 540 * v)

    def floor(self, *, on_trial: bool = False) -> float:
        """Return the least seconds between two automatic check-ins."""
        return self._sped(TRIAL_FLOOR_SECONDS if on_trial else HARD_FLOOR_SECONDS)

    def manual_floor(self) -> float:
        """Return the least seconds between two check-ins that somebody asked for."""
        return self._sped(MANUAL_FLOOR_SECONDS)

    def round_pause(self, u: float, round_number: int) -> float:
        """Return the seconds between two rounds over all mirrors (the first is number 1)."""
        return self._sped(u * min(3_600, 30 * 2 ** min(round_number, 12)))

    def retry_failed(self, count: int, *, no_space: bool) -> float:
        """Return for how long a version is barred after it failed *count* times (1 or more)."""
        hours = _NO_SPACE_HOURS if no_space else min(_MAX_RETRY_HOURS, 2 ** min(count - 1, 8))
        return self._sped(hours * 3_600)

    def slice(self, seconds: float) -> float:
        """Return how long to sleep at a time when *seconds* are left."""
        return max(0.0, min(seconds, self._sped(SLEEP_SLICE_SECONDS)))

    def scaled(self, seconds: float) -> float:
        """Return a wait of the settings (uptime, deadlines) at this speed."""
        return self._sped(seconds)

    def _sped(self, seconds: float) -> float:
        return seconds / self.unsafe_speed


def period_for(*, advised: int | None, probation: bool, close: bool) -> float:
    """Return the check-in period in seconds.

    *advised*: what the last answer, else the rollout document, asks for.
    """
    wanted = DEFAULT_PERIOD_SECONDS if advised is None else advised
    period = min(max(wanted, MIN_PERIOD_SECONDS), MAX_PERIOD_SECONDS)
    if probation:
        period = min(period, PROBATION_PERIOD_SECONDS)
    if close:
        period = min(period, CLOSE_PERIOD_SECONDS)
    return float(period)
