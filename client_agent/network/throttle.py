"""How fast an install may download, and when it waits for the app."""

from __future__ import annotations

import threading
from collections.abc import Callable

from client_agent.clock import Clock

BURST_BYTES = 256 * 1024
MAX_PAUSE_SECONDS = 600.0
"""An app that never lets go of the network does not keep an update away for longer."""

_LOOK_EVERY_SECONDS = 1.0


class Throttle:
    """A token bucket of ``BURST_BYTES``; 0 bytes a second means no throttle."""

    def __init__(self, bytes_per_second: int, clock: Clock) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._tokens = float(BURST_BYTES)
        self._at = clock.monotonic()

    def took(self, count: int, stop: threading.Event) -> None:
        """Wait as long as *count* bytes are ahead of the rate, or until *stop* is set."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._tokens = min(BURST_BYTES, self._tokens + (now - self._at) * self._rate) - count
        self._at = now
        if self._tokens < 0:
            self._clock.wait(stop, -self._tokens / self._rate)


class Pauses:
    """The pauses of one download: while the app says that it needs the network itself."""

    def __init__(self, in_foreground: Callable[[], bool], clock: Clock) -> None:
        self._in_foreground = in_foreground
        self._clock = clock
        self._left = MAX_PAUSE_SECONDS

    def wait(self, stop: threading.Event) -> None:
        """Return when the app does not mind, all pauses are used up, or *stop* is set."""
        while self._left > 0 and not stop.is_set() and self._in_foreground():
            self._clock.wait(stop, _LOOK_EVERY_SECONDS)
            self._left -= _LOOK_EVERY_SECONDS
