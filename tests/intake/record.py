"""Record what real SDKs send: ``python -m tests.intake.record`` writes ``captures/`` anew.

Each program runs once in each situation, against a server on loopback that keeps what comes.
What tells of the machine that recorded is replaced, always by the same words.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import brotli

from tests.intake.capture import (
    FOLDER,
    HOST,
    KEY,
    RELEASE,
    Capture,
    Request,
    render,
    with_lengths,
)
from tests.intake.capture_server import Captured, CaptureServer, a_capture_server
from tests.intake.node import sdk_folder

PROGRAMS = Path(__file__).parent / "programs"
# By capture: the program's situation, and what its environment has beside the DSN.
PYTHON: Mapping[str, tuple[str, dict[str, str]]] = {
    "exit": ("exit", {}),
    "session": ("session", {}),
    "exit-3": ("exit-3", {}),
    "handled": ("handled", {}),
    "handled-gzip": ("handled", {"GZIP": "1"}),
    "unhandled": ("unhandled", {}),
    "unhandled-init-only": ("unhandled-init-only", {}),
    "thread": ("thread", {}),
    "requests": ("requests", {}),
    "discards": ("discards", {}),
    "abort": ("abort", {}),
}
NODE = ("exit", "handled", "unhandled", "rejection", "requests", "discards", "abort")

_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}
_KEPT_HEADERS = (
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "user-agent",
    "x-sentry-auth",
)
_PROJECT = str(Path(__file__).parents[2])
# What a context tells of the machine: a word or a number instead.
_CONTEXTS: Mapping[str, Any] = {
    "app_memory": 100_000_000,
    "app_start_time": "2026-11-22T03:00:00.000Z",
    "boot_time": "2026-11-22T01:00:00.000Z",
    "build": "a build",
    "cpu_description": "a processor",
    "free_memory": 8_000_000_000,
    "kernel_version": "6.1.0",
    "memory_size": 16_000_000_000,
    "processor_count": 4,
    "processor_frequency": 3_000,
    "timezone": "UTC",
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (situation, more) in PYTHON.items():
        program = [sys.executable, str(PROGRAMS / "python_app.py"), situation, RELEASE]
        _record("python", name, program, more)
    for situation in NODE:
        program = ["node", str(PROGRAMS / "node_app.js"), situation, RELEASE]
        _record("node", situation, program, {"NODE_PATH": str(sdk_folder())})


def _record(sdk: str, name: str, program: Sequence[str], more: Mapping[str, str]) -> None:
    with a_capture_server() as server:
        done = subprocess.run(
            program,
            env={**os.environ, **more, "SENTRY_DSN": server.dsn(KEY)},
            capture_output=True,
            check=False,
            timeout=60,
        )
    capture = Capture(
        sdk=sdk,
        situation=name,
        recorded=datetime.now(UTC).replace(microsecond=0),
        exit_status=done.returncode,
        requests=tuple(_request(one, server) for one in server.requests),
    )
    (FOLDER / f"{capture.name}.json").write_text(render(capture))
    sys.stdout.write(f"{capture.name}: {[request.types for request in capture.requests]}\n")


def _request(captured: Captured, server: CaptureServer) -> Request:
    encoding = captured.headers.get("content-encoding", "")
    text = _UNPACK[encoding](captured.body).decode()
    return Request(
        path=captured.path,
        headers={
            name: captured.headers[name] for name in _KEPT_HEADERS if name in captured.headers
        },
        encoding=encoding,
        lines=with_lengths([_line(line, server) for line in text.split("\n")]),
    )


def _line(line: str, server: CaptureServer) -> str:
    if not line:
        return line
    text = json.dumps(_anonymous(json.loads(line)))
    for found, put in _places(server):
        text = text.replace(found, put)
    return re.sub(r"0x[0-9a-f]{8,}", "0x7f0000000000", text)


def _places(server: CaptureServer) -> list[tuple[str, str]]:
    """Return what stands for this machine's folders and addresses, the longest first."""
    return [
        (str(PROGRAMS), "/home/someone/app"),
        (str(sdk_folder().parent), "/home/someone/app"),
        (_PROJECT, "/home/someone/project"),
        (sys.base_prefix, "/opt/python"),
        (str(Path.home()), "/home/someone"),
        (f"127.0.0.1:{server.port}", HOST),
    ]


def _anonymous(value: Any) -> Any:
    if isinstance(value, list):
        return [_anonymous(one) for one in value]
    if not isinstance(value, dict):
        return "a-machine" if value == socket.gethostname() else value
    known = {name: one for name, one in value.items() if name != "modules"}
    if "modules" in value:
        known["modules"] = {"notes": "2.3.9"}
    return {name: _CONTEXTS.get(name, _anonymous(one)) for name, one in known.items()}


if __name__ == "__main__":
    main()
