"""A real HTTP server on loopback that answers what a test scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server saw it. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    port: int = 0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer. ``raw`` is written as it is, instead of everything else."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Iterable[bytes] | None = None


Respond = Callable[[Asked], Reply]


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that break off are what some tests are about."""


class WebServer:
    """Use as a context manager. Unknown paths answer 404; ``default`` changes that."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.routes: dict[str, Respond] = {}
        self.default: Respond = lambda _: Reply(status=404)
        self._server = _QuietServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, path: str, reply: Reply | Respond) -> None:
        self.routes[path] = reply if callable(reply) else lambda _: reply

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server._answer(self)

            def do_POST(self) -> None:
                server._answer(self)

            def log_request(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        asked = Asked(
            method=handler.command,
            path=handler.path,
            headers={name.lower(): value for name, value in handler.headers.items()},
            body=handler.rfile.read(length),
            port=handler.client_address[1],
        )
        self.asked.append(asked)
        reply = self.routes.get(handler.path, self.default)(asked)
        try:
            self._write(handler, reply)
        except OSError:  # the client had enough
            handler.close_connection = True

    def _write(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.raw is not None:
            handler.close_connection = True
            for piece in reply.raw:
                handler.wfile.write(piece)
            return
        handler.send_response(reply.status)
        headers = dict(reply.headers)
        chunks: Iterable[bytes] = reply.body if not isinstance(reply.body, bytes) else [reply.body]
        if isinstance(reply.body, bytes):
            headers.setdefault("Content-Length", str(len(reply.body)))
        if "Content-Length" not in headers:
            headers["Connection"] = "close"
            handler.close_connection = True
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        written = 0
        for chunk in chunks:
            handler.wfile.write(chunk)
            written += len(chunk)
        if written != int(headers.get("Content-Length", written)):
            handler.close_connection = True
