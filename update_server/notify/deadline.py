"""An end to a conversation with a receiver, however slowly it sends.

A socket's own timeout is about each read: who sends a byte now and then is never too late for it.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Final, Self

WHOLE_SECONDS: Final = 30.0
"""How long one message may take in all, from the connection to the answer."""


class Deadline:
    """Breaks off the sockets that it was given when time is up. Use it as a context."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, connected: socket.socket) -> None:
        """Break *connected* off in time, too; of one that is wrapped it is the wrapper to give."""
        with self._lock:
            self._sockets.append(connected)
            if self.is_over:
                _break_off(connected)

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for each in self._sockets:
                _break_off(each)


def _break_off(connected: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        # Not that of ``SSLSocket``, which takes the session from under whoever reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
