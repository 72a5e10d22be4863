"""What ``faulthandler`` wrote when the interpreter itself died, as a crash.

PURE. The text is the interpreter's, but it lies in a file that a dying process wrote: whatever
does not look as it should is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

MAX_BYTES = 64 * 1024
MAX_FRAMES = 64
MAX_TEXT = 256

_FIRST = re.compile(r"(?:Fatal Python error|Windows fatal exception): (.+)")
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|\?\?\?) in (.+)')


@dataclass(frozen=True, slots=True)
class DeadlyFault:
    """``kind`` is such as ``Segmentation fault``; ``frames`` are innermost first."""

    kind: str
    frames: tuple[dict[str, Any], ...]


def parse_fault(data: bytes) -> DeadlyFault | None:
    """Return what *data* tells; None when it tells of no death."""
    lines = data[:MAX_BYTES].decode("utf-8", "replace").splitlines()
    found = next((match for match in map(_FIRST.fullmatch, lines) if match), None)
    if found is None:
        return None
    return DeadlyFault(kind=found[1][:MAX_TEXT], frames=tuple(_frames(lines)))


def _frames(lines: list[str]) -> list[dict[str, Any]]:
    """Return the frames of the thread that died."""
    start = next((n for n, line in enumerate(lines) if line.startswith("Current thread")), None)
    frames: list[dict[str, Any]] = []
    for line in lines[start + 1 :] if start is not None else ():
        match = _FRAME.fullmatch(line)
        if match is None or len(frames) == MAX_FRAMES:
            break
        path, number, function = match.groups()
        frame: dict[str, Any] = {"function": function[:MAX_TEXT], "file": _name(path)[:MAX_TEXT]}
        if number.isdecimal():
            frame["line"] = int(number)
        frames.append(frame)
    return frames


def _name(path: str) -> str:
    return PurePosixPath(PureWindowsPath(path).name).name
