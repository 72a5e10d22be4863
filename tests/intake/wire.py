"""The real web server with the public app, and requests as bytes on a socket."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.intake.wire_app import FOLDER

ROOT = Path(__file__).parents[2]
_SERVE = """
import sys
from update_server import processes
sys.exit(processes._web("tests.intake.wire_app:make", ("127.0.0.1", int(sys.argv[1])), 1))
"""
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. ``status`` 0: the connection was closed without an answer."""

    status: int
    head: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """A running web server with one worker, and what it wrote."""

    port: int
    process: subprocess.Popen[bytes]
    output: Path

    def worker(self) -> int:
        """Return the worker's process ID."""
        (child,) = _children(self.process.pid)
        return child

    def peak_bytes(self) -> int:
        """Return the most memory that the worker ever had."""
        status = Path(f"/proc/{self.worker()}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def connect(self, seconds: float = 30) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def post(self, path: str, body: bytes, *headers: str, chunks: Sequence[int] = ()) -> Reply:
        """POST *body*, with its length; or in chunks of these sizes, and without any length."""
        if chunks:
            return self.send(path, _chunked(body, chunks), *headers, "Transfer-Encoding: chunked")
        return self.send(path, [body], *headers, f"Content-Length: {len(body)}")

    def send(self, path: str, pieces: Iterable[bytes], *headers: str) -> Reply:
        """POST these bytes as they are, until they end or the server has heard enough."""
        lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall("\r\n".join(lines).encode("latin-1"))
                for piece in pieces:
                    connection.sendall(piece)
            return _reply(connection)


def _reply(connection: socket.socket) -> Reply:
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(1 << 16):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return Reply(status=0)
    return Reply(status=int(head.split()[1]), head=head.decode("latin-1").lower(), body=body)


def _chunked(body: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for number in range(len(body) + 1):
        piece = body[at : at + sizes[number % len(sizes)]]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
        at += len(piece)
        if not piece:
            return


@contextlib.contextmanager
def a_web(folder: Path, *, before: str = "") -> Iterator[Web]:
    """Start the web server as ``serinus serve`` does; stop it at the end. *before*: code to run."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-c", before + _SERVE, str(port)],
            cwd=ROOT,
            env={**os.environ, FOLDER: str(folder / "spool"), "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=file,
        )
    web = Web(port=port, process=process, output=output)
    try:
        _wait(web)
        yield web
    finally:
        process.terminate()
        process.wait(30)


def _wait(web: Web) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        assert web.process.poll() is None, web.output.read_text()
        with contextlib.suppress(OSError), web.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if _reply(connection).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the web server did not start")


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in found for child in children.read_text().split()]
