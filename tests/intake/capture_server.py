"""A server that takes whatever comes, keeps it as it came, and answers as intake does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RATE_LIMITS = "X-Sentry-Rate-Limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One request. ``path`` has its query; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class CaptureServer:
    """What came, in order. ``limits``: the rate limits that answers tell."""

    requests: list[Captured] = field(default_factory=list)
    limits: str = ""
    port: int = 0

    def dsn(self, key: str) -> str:
        return f"http://{key}@127.0.0.1:{self.port}/1"


@contextlib.contextmanager
def a_capture_server() -> Iterator[CaptureServer]:
    """Serve on loopback until the block ends."""
    captures = CaptureServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._chunks() if self._is_chunked() else self._whole()
            headers = {name.lower(): value for name, value in self.headers.items()}
            captures.requests.append(
                Captured(method="POST", path=self.path, headers=headers, body=body)
            )
            self.send_response(200)
            if captures.limits:
                self.send_header(RATE_LIMITS, captures.limits)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def _is_chunked(self) -> bool:
            return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

        def _whole(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: tests read the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    captures.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield captures
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
