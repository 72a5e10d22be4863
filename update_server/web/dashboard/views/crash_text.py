"""A crash as lines of text: its stack, and all of it to be copied. Pure.

All of it was written by whoever sent the report. Nothing is escaped here, and no character is
made visible: that is the template's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from update_server.web.dashboard.words import count

MOST_FRAMES: Final = 50
MOST_PLACES: Final = 25

_LINKED: Final = re.compile(r"[0-9a-f]{16}|none|other")


def is_linked(signature: str) -> bool:
    """Whether *signature* is one of ours, so that a page may link to it."""
    return _LINKED.fullmatch(signature) is not None


def frame_line(frame: Mapping[str, Any]) -> str:
    """Return where a frame is, as far as it says so."""
    where = frame.get("module") or frame.get("file") or "?"
    what, line = frame.get("function"), frame.get("line")
    if what is None and isinstance(frame.get("offset"), int):
        return f"{where}+{frame['offset']:#x}"
    told = f"{where}:{what or '?'}"
    return told if line is None else f"{told} ({frame.get('file') or where}:{line})"


def stack_of(crash: Mapping[str, Any]) -> list[str]:
    """Return the stack, innermost first, in as many lines as a page has room for."""
    frames = crash["stack"]
    lines = [frame_line(frame) for frame in frames[:MOST_FRAMES]]
    more = len(frames) - len(lines)
    return [*lines, f"… and {more} more"] if more > 0 else lines


def text_of(app: str, crash: Mapping[str, Any]) -> str:
    """Return all of a crash that somebody would put into a bug report."""
    return "\n".join(_lines(app, crash))


def _lines(app: str, crash: Mapping[str, Any]) -> Iterator[str]:
    yield _one_line(crash["title"])
    yield f"{app} {crash['signature']} ({crash['kind'] or 'unknown kind'})"
    yield f"{count(crash['installs'])} installs, {count(crash['reports'])} reports"
    if crash["first_at"]:
        yield f"first {crash['first_at']} in {crash['first_seen_in']['version']}"
        yield f"last  {crash['last_at']}"
    for one in crash["rollouts"]:
        arms = ", ".join(
            f"{arm} {count(one[arm]['installs'])} of {count(one[arm]['of'])}"
            for arm in ("candidate", "control")
        )
        yield f"in the rollout of {one['version']} on {one['channel']}: {arms}"
    yield ""
    for place in crash["counts"][:MOST_PLACES]:
        where = " ".join(
            _one_line(place[name] or "?") for name in ("version", "arm", "platform", "os")
        )
        handled = ", handled" if place["handled"] else ""
        installs, reports = count(place["installs"]), count(place["reports"])
        yield f"{where}: {installs} installs, {reports} reports{handled}"
    yield ""
    yield "parts:"
    yield from (f"  {_one_line(part)}" for part in crash["parts"])
    yield "stack:"
    yield from (f"  {_one_line(line)}" for line in stack_of(crash))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
