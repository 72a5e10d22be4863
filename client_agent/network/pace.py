"""Bounds on how slowly a peer may talk, enforced on every single read of its socket.

``http.client`` waits inside ``read(n)`` and ``readline()`` until it has what it wants, and a
socket's time-out only bounds each gap: one byte every 29 seconds would keep an agent busy for
days, in the headers as well as in the body. So the stream under both is wrapped, and every
``recv`` is counted.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from client_agent.clock import Clock
from client_agent.errors import Code, TrustError

RATE_WINDOW_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 4_096
MAX_OVERHEAD_BYTES = 1024 * 1024
"""What may come beside content, and as much again as there is content: headers, framing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one exchange may take. ``total_seconds`` None: only the rate counts."""

    connect_seconds: float = 10.0
    gap_seconds: float = 30.0
    total_seconds: float | None = 60.0
    min_bytes_per_second: int = 0


SHORT = Limits()
"""For metadata and check-ins."""

LONG = Limits(total_seconds=None, min_bytes_per_second=MIN_BYTES_PER_SECOND)
"""For artifacts."""


class Pace:
    """The stop-watch of one exchange."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._started = clock.monotonic()
        self._waited = 0.0
        self._bytes = 0
        self._read = 0
        self._content = 0

    def time(self, read: Callable[[], int]) -> int:
        """Return what *read* returns, having counted its bytes and its time.

        Only time spent waiting for the peer counts for the rate: a slow disk or our own
        throttle is not the peer's fault.

        Raises:
            TrustError: ``too_slow``.
        """
        before = self._clock.monotonic()
        count = read()
        after = self._clock.monotonic()
        self._bytes += count
        self._read += count
        # http.client would skip answers of 100 and read trailers and chunk extensions for ever.
        if self._read > MAX_OVERHEAD_BYTES + 2 * self._content:
            raise TrustError(Code.TOO_SLOW, f"{self._read} bytes, {self._content} of content")
        self._waited += after - before
        total = self._limits.total_seconds
        if total is not None and after - self._started > total:
            raise TrustError(Code.TOO_SLOW, f"not done after {total:.0f} s")
        if self._waited >= RATE_WINDOW_SECONDS:
            if self._bytes < self._waited * self._limits.min_bytes_per_second:
                raise TrustError(Code.TOO_SLOW, f"{self._bytes} bytes in {self._waited:.0f} s")
            self._waited, self._bytes = 0.0, 0
        return count

    def got(self, count: int) -> None:
        """Note that *count* bytes of content came out of what was read."""
        self._content += count


class _PacedStream(io.RawIOBase):
    """A socket's stream whose every read is timed."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        super().__init__()
        self._raw = raw
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Sockets of http.client block, so None (nothing there yet) is never returned.
        return self._pace.time(lambda: cast("int", self._raw.readinto(buffer)))

    def close(self) -> None:
        self._raw.close()
        super().close()


class PacedManagers:
    """Pool managers whose connections are timed by the pace that is current when they read."""

    def __init__(self) -> None:
        self.pace: Pace | None = None
        self._http, self._https = _connection_classes(self._current)

    def adopt(self, manager: urllib3.PoolManager) -> urllib3.PoolManager:
        """Return *manager*, its connections timed from now on."""
        http_pool = type(
            "PacedHTTPConnectionPool",
            (urllib3.HTTPConnectionPool,),
            {"ConnectionCls": self._http},
        )
        https_pool = type(
            "PacedHTTPSConnectionPool",
            (urllib3.HTTPSConnectionPool,),
            {"ConnectionCls": self._https},
        )
        manager.pool_classes_by_scheme = {"http": http_pool, "https": https_pool}
        return manager

    def _current(self) -> Pace:
        if self.pace is None:  # a connection reads only while a request is under way
            raise RuntimeError("no exchange is under way")
        return self.pace


def _connection_classes(
    current: Callable[[], Pace],
) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    class PacedResponse(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_PacedStream(self.fp.detach(), current()))

    class PacedHTTPConnection(HTTPConnection):
        response_class = PacedResponse

    class PacedHTTPSConnection(HTTPSConnection):
        response_class = PacedResponse

    return PacedHTTPConnection, PacedHTTPSConnection
