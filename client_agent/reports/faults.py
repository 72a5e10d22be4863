"""Crashes as others tell them: what ``faulthandler`` wrote, and programs in any language.

PURE. The first is the interpreter's text in a file that a dying process wrote, so whatever does
not look as it should is passed over. The second is a document of docs/protocol.md that a program
gives to ``serinus-agent report --crash``, so whatever does not look as it should is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from rollout.errors import DocumentError
from rollout.strict_json import parse_strict

MAX_BYTES = 64 * 1024
MAX_FRAMES = 64
MAX_TEXT = 256
MAX_MESSAGE = 4_096

_FIRST = re.compile(r"(?:Fatal Python error|Windows fatal exception): (.+)")
_FRAME = re.compile(r'  File "(.*)", line (\d{1,9}|\?\?\?) in (.+)')


@dataclass(frozen=True, slots=True)
class ToldCrash:
    """``kind`` is such as ``Segmentation fault``; ``frames`` are innermost first."""

    kind: str
    frames: tuple[dict[str, Any], ...] = ()
    message: str | None = None


def parse_fault(data: bytes) -> ToldCrash | None:
    """Return what *data* tells; None when it tells of no death."""
    lines = data[:MAX_BYTES].decode("utf-8", "replace").splitlines()
    found = next((match for match in map(_FIRST.fullmatch, lines) if match), None)
    if found is None:
        return None
    return ToldCrash(kind=found[1][:MAX_TEXT], frames=tuple(_frames(lines)))


def parse_crash(data: bytes) -> ToldCrash:
    """Return the crash that the document in *data* tells.

    ``{"exception": {"type": …, "message": …}, "frames": [{"module", "function", "file", "line",
    "in_app"}, …]}``; all but the type may be missing. What is not named here is not taken over.

    Raises:
        DocumentError: It is no such document.
    """
    said = parse_strict(data, max_bytes=MAX_BYTES, max_string=MAX_MESSAGE)
    exception, frames = said.get("exception"), said.get("frames", [])
    if not isinstance(exception, dict) or not isinstance(exception.get("type"), str):
        raise DocumentError("has no type", "exception")
    message = exception.get("message")
    if not isinstance(message, str | None):
        raise DocumentError("is no text", "exception.message")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise DocumentError("is no list of objects", "frames")
    kept = tuple(_taken(number, frame) for number, frame in enumerate(frames[:MAX_FRAMES]))
    return ToldCrash(kind=exception["type"][:MAX_TEXT], frames=kept, message=message)


_FIELDS = {"module": str, "function": str, "file": str, "line": int, "in_app": bool}


def _taken(number: int, frame: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of *frame* that are told, cut; of a file only its name."""
    kept: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        value = frame.get(name)
        if value is None:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise DocumentError(f"is no {kind.__name__}", f"frames[{number}].{name}")
        kept[name] = value[:MAX_TEXT] if isinstance(value, str) else value
    if "file" in kept:
        kept["file"] = file_name(kept["file"])
    return kept


def _frames(lines: list[str]) -> list[dict[str, Any]]:
    """Return the frames of the thread that died."""
    start = next((n for n, line in enumerate(lines) if line.startswith("Current thread")), None)
    frames: list[dict[str, Any]] = []
    for line in lines[start + 1 :] if start is not None else ():
        match = _FRAME.fullmatch(line)
        if match is None or len(frames) == MAX_FRAMES:
            break
        path, number, function = match.groups()
        frame: dict[str, Any] = {
            "function": function[:MAX_TEXT],
            "file": file_name(path)[:MAX_TEXT],
        }
        if number.isdecimal():
            frame["line"] = int(number)
        frames.append(frame)
    return frames


def file_name(path: str) -> str:
    """Return the last part of *path*, as any system or a browser spells it, and nothing behind."""
    if "://" in path:
        path = re.split(r"[?#]", path, maxsplit=1)[0]
    return PurePosixPath(PureWindowsPath(path).name).name
