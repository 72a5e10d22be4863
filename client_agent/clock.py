"""The agent's only file that reads the time, and the only one that waits."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the agent asks a clock for. Tests bring one that they move themselves."""

    def now(self) -> datetime:
        """Return the present instant, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring waits and rates."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until *event* is set, at most *seconds*; return whether it is set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, UTC-aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring waits and rates."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until *event* is set, at most *seconds*; return whether it is set."""
        return event.wait(max(0.0, seconds))
