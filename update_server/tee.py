"""Pass accepted envelopes on to the team's own Sentry, off the request path.

They go as they came, but for the DSN: unscrubbed, which is why nothing goes unless it is set. What
cannot be sent at once is dropped and counted, and never holds an answer up.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from typing import Final

import urllib3

from update_server.config_tee import Dsn, dsn_of
from update_server.service.ports import Clock

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 200
MAX_WAITING_BYTES: Final = 8 << 20

_TIMEOUT: Final = urllib3.Timeout(connect=3.0, read=10.0)
_TOO_MANY: Final = 429
_PAUSE_SECONDS: Final = 60.0
_MAX_PAUSE_SECONDS: Final = 3_600.0
_GZIP: Final = 31


class Tee:
    """The queue of one process, and the thread that empties it.

    ``dropped`` counts what was not passed on: there was no room, or the other side did not take it.
    """

    def __init__(self, dsns: Mapping[str, Dsn], clock: Clock) -> None:
        self._dsns = dsns
        self._clock = clock
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._waiting: deque[tuple[Dsn, bytes]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._not_before: dict[str, float] = {}
        self.dropped = 0

    def pass_on(self, app: str, envelope: bytes) -> None:
        """Have *envelope* passed on if *app* has a DSN for that. Returns at once."""
        dsn = dsn_of(self._dsns, app)
        if dsn is None:
            return
        with self._changed:
            is_full = len(self._waiting) >= MAX_WAITING
            if is_full or self._waiting_bytes + len(envelope) > MAX_WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting.append((dsn, envelope))
            self._waiting_bytes += len(envelope)
            if self._thread is None:  # not before: a process may fork until then
                self._thread = threading.Thread(target=self._run, name="tee", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Send what waits, for at most *seconds*."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                dsn, envelope = self._waiting.popleft()
            try:
                is_sent = self._send(dsn, envelope)
            except Exception:  # noqa: BLE001 - the thread must outlive whatever comes back
                # Neither the URL nor what was sent: both are other people's.
                _log.warning("an envelope could not be passed on")
                is_sent = False
            with self._changed:
                self._waiting_bytes -= len(envelope)
                self.dropped += not is_sent

    def _send(self, dsn: Dsn, envelope: bytes) -> bool:
        now = self._clock.monotonic()
        if now < self._not_before.get(dsn.url, now):
            return False
        packer = zlib.compressobj(level=1, wbits=_GZIP)
        answer = self._http.request(
            "POST",
            dsn.url,
            body=packer.compress(redirected(envelope, dsn)) + packer.flush(),
            headers={
                "Content-Type": "application/x-sentry-envelope",
                "Content-Encoding": "gzip",
                "User-Agent": "serinus",
                "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={dsn.key}",
            },
            redirect=False,
        )
        if answer.status == _TOO_MANY:
            self._not_before[dsn.url] = now + _pause_of(answer.headers.get("Retry-After", ""))
        return 200 <= answer.status < 300  # noqa: PLR2004 - the statuses that mean success


def redirected(envelope: bytes, dsn: Dsn) -> bytes:
    """Return *envelope* with the DSN in its header, if there is one, replaced.

    Raises:
        ValueError: The first line is no header.
    """
    line, end, rest = envelope.partition(b"\n")
    header = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(header, dict):
        raise ValueError("an envelope without a header")  # noqa: TRY004 - as bad JSON is
    if "dsn" in header:
        header["dsn"] = dsn.text
    return json.dumps(header).encode() + end + rest


def _pause_of(told: str) -> float:
    return min(float(told), _MAX_PAUSE_SECONDS) if told.isdecimal() else _PAUSE_SECONDS
