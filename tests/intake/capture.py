"""What real SDKs sent in each situation, as ``record`` wrote it down, and how it is sent again.

A capture is one run of one program. Its requests stand in the order in which they came, bodies
unpacked and line by line; names of machines, people and folders are placeholders. Sent again they
are packed as the SDK packed them, with another key and at another time if need be.
"""

from __future__ import annotations

import gzip
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import brotli

KEY = "A" * 58
"""The key of the DSN in captures: as long as an install token."""

RELEASE = "notes@2.3.9"
"""What the programs call themselves in captures."""

HOST = "updates.example.org"
FOLDER = Path(__file__).parent / "captures"
_PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "br": brotli.compress,
    "gzip": lambda data: gzip.compress(data, mtime=0),
}
_TIMES = frozenset({"timestamp", "started", "sent_at"})
_IDS = re.compile(
    r"\b(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``lines``: those of its envelope; ``encoding``: how they are packed."""

    path: str
    headers: Mapping[str, str]
    encoding: str
    lines: tuple[str, ...]

    @property
    def is_chunked(self) -> bool:
        """Whether it comes in chunks, and so without a length."""
        return "transfer-encoding" in self.headers

    @property
    def body(self) -> bytes:
        """The bytes that follow the headers, before any chunking."""
        return _PACK[self.encoding]("\n".join(self.lines).encode())

    def with_lines(self, change: Callable[[str], str]) -> Request:
        """Return it with each line as *change* makes it."""
        return replace(self, lines=with_lengths([change(line) for line in self.lines]))

    @property
    def types(self) -> tuple[str, ...]:
        """The types of its items."""
        return tuple(json.loads(line)["type"] for line in self.lines[1::2] if line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What one program sent, and how it ended."""

    sdk: str
    situation: str
    recorded: datetime
    exit_status: int
    requests: tuple[Request, ...]

    @property
    def name(self) -> str:
        return f"{self.sdk}-{self.situation}"

    def with_key(self, key: str) -> Capture:
        """Return it as a program sends it whose DSN has *key*."""
        return self._with(lambda text: text.replace(KEY, key))

    def at(self, now: datetime) -> Capture:
        """Return it as if it had been recorded at *now*."""
        by = now - self.recorded

        def moved(line: str) -> str:
            return json.dumps(_moved(json.loads(line), by)) if line else line

        requests = tuple(request.with_lines(moved) for request in self.requests)
        return replace(self, recorded=now, requests=requests)

    def as_run(self, run: str) -> Capture:
        """Return it as another *run* of the program: all its IDs are others."""

        def renamed(found: re.Match[str]) -> str:
            plain = found[0].replace("-", "")
            new = uuid.uuid5(uuid.UUID(plain), run)
            return str(new) if "-" in found[0] else new.hex

        return self._with(lambda text: text if KEY in text else _IDS.sub(renamed, text))

    def with_release(self, release: str) -> Capture:
        """Return it as that *release* of the program sends it."""
        return self._with(lambda text: text.replace(RELEASE, release))

    def _with(self, change: Callable[[str], str]) -> Capture:
        requests = (
            replace(
                request,
                path=change(request.path),
                headers={name: change(text) for name, text in request.headers.items()},
            )
            for request in self.requests
        )
        return replace(self, requests=tuple(one.with_lines(change) for one in requests))


def load(path: Path) -> Capture:
    """Return the capture in the file at *path*."""
    document = json.loads(path.read_text())
    return Capture(
        sdk=document["sdk"],
        situation=document["situation"],
        recorded=datetime.fromisoformat(document["recorded"]),
        exit_status=document["exit_status"],
        requests=tuple(
            Request(
                path=request["path"],
                headers=request["headers"],
                encoding=request["encoding"],
                lines=tuple(request["lines"]),
            )
            for request in document["requests"]
        ),
    )


def all_captures() -> dict[str, Capture]:
    """Return every capture by its name, such as ``python-handled``."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.json"))}


def render(capture: Capture) -> str:
    """Return the text of the capture's file."""
    document = {
        "sdk": capture.sdk,
        "situation": capture.situation,
        "recorded": capture.recorded.isoformat(),
        "exit_status": capture.exit_status,
        "requests": [
            {
                "path": request.path,
                "headers": dict(request.headers),
                "encoding": request.encoding,
                "lines": list(request.lines),
            }
            for request in capture.requests
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def with_lengths(lines: list[str]) -> tuple[str, ...]:
    """Return the *lines* of an envelope with the lengths that their items have now."""
    fixed = list(lines)
    for at in range(1, len(fixed) - 1, 2):
        header = json.loads(fixed[at]) if fixed[at] else {}
        if "length" in header:
            fixed[at] = json.dumps({**header, "length": len(fixed[at + 1].encode())})
    return tuple(fixed)


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, list):
        return [_moved(one, by) for one in value]
    if isinstance(value, dict):
        return {
            name: _later(one, by) if name in _TIMES else _moved(one, by)
            for name, one in value.items()
        }
    return value


def _later(time: Any, by: timedelta) -> Any:
    if isinstance(time, int | float):
        return time + by.total_seconds()
    if not isinstance(time, str):
        return time
    moved = datetime.fromisoformat(time).astimezone(UTC) + by
    return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
