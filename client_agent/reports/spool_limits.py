"""PURE: which events are given up when there are too many, and in which order.

2 MiB, 5,000 events, 14 days (docs/agent.md, 12). What the judge of a release needs most stays
longest: detail goes before counts, health before crashes, and steps of updates last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MAX_EVENT_BYTES = 16 * 1024
MAX_BYTES = 2 * 1024 * 1024
MAX_EVENTS = 5_000
MAX_AGE = timedelta(days=14)
CRASHES_KEPT = 20
"""Crashes of one version that outlive everything but update steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One event in the spool, with the version and token of its moment."""

    event: dict[str, Any]
    version: str
    token: str | None
    segment: Path
    changed: bool = False

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def kind(self) -> str:
        return str(self.event["kind"])

    def line(self) -> bytes:
        """Return the line that stands for it."""
        said = {"version": self.version, "token": self.token, "event": self.event}
        return json.dumps(said, separators=(",", ":")).encode() + b"\n"


GivenUp = tuple[Spooled, str]
Applies = Callable[[Spooled], bool]


def without_detail(spooled: Spooled) -> Spooled:
    """Return a crash as its type alone, and anything else as it is."""
    if spooled.kind != "crash":
        return spooled
    return replace(spooled, event=bare(spooled.event), changed=True)


def bare(event: dict[str, Any]) -> dict[str, Any]:
    """Return a crash as its type alone."""
    kept = {name: value for name, value in event.items() if name != "frames"}
    if isinstance(event.get("exception"), dict):
        kept["exception"] = {"type": str(event["exception"].get("type", ""))[:256]}
    return kept


def over_limits(events: Sequence[Spooled], now: datetime) -> bool:
    """Return whether something has to go."""
    return _too_many(events) or any(_is_old(spooled, now) for spooled in events)


def fitted(events: Sequence[Spooled], now: datetime) -> tuple[list[Spooled], list[GivenUp]]:
    """Return what stays, in its order, and what is given up, with why.

    *events* are oldest first within each lane.
    """
    given_up = [(spooled, "too_old") for spooled in events if _is_old(spooled, now)]
    kept = [spooled for spooled in events if not _is_old(spooled, now)]
    first: tuple[Applies, ...] = (is_metric, _is_good_session)
    for applies in first:
        kept, gone = _without(kept, applies)
        given_up += gone
    kept = _without_frames(kept)
    last: tuple[Applies, ...] = (_is_session, _beyond_the_kept(kept), _is_crash, _is_any)
    for applies in last:
        kept, gone = _without(kept, applies)
        given_up += gone
    return kept, given_up


def _without(events: list[Spooled], applies: Applies) -> tuple[list[Spooled], list[GivenUp]]:
    """Give up the oldest that *applies* to, until the rest fits."""
    size, count = sum(len(spooled.line()) for spooled in events), len(events)
    kept: list[Spooled] = []
    gone: list[GivenUp] = []
    for spooled in events:
        if (size > MAX_BYTES or count > MAX_EVENTS) and applies(spooled):
            gone.append((spooled, "too_many"))
            size, count = size - len(spooled.line()), count - 1
        else:
            kept.append(spooled)
    return kept, gone


def _without_frames(events: list[Spooled]) -> list[Spooled]:
    """Take the frames from the oldest crashes until the rest fits."""
    size = sum(len(spooled.line()) for spooled in events)
    kept: list[Spooled] = []
    for spooled in events:
        if size > MAX_BYTES and spooled.event.get("frames"):
            bare = {name: value for name, value in spooled.event.items() if name != "frames"}
            cut = replace(spooled, event=bare, changed=True)
            size -= len(spooled.line()) - len(cut.line())
            kept.append(cut)
        else:
            kept.append(spooled)
    return kept


def _beyond_the_kept(events: Iterable[Spooled]) -> Applies:
    """Return what tells the crashes beyond a version's newest twenty."""
    crashes = Counter(spooled.version for spooled in events if _is_crash(spooled))

    def applies(spooled: Spooled) -> bool:
        if not _is_crash(spooled) or crashes[spooled.version] <= CRASHES_KEPT:
            return False
        crashes[spooled.version] -= 1
        return True

    return applies


def is_metric(spooled: Spooled) -> bool:
    """Return whether this is a number that an app or the agent told."""
    return spooled.kind == "metric"


def _is_session(spooled: Spooled) -> bool:
    return spooled.kind == "session"


def _is_good_session(spooled: Spooled) -> bool:
    return _is_session(spooled) and spooled.event.get("status") in {"ok", "exited"}


def _is_crash(spooled: Spooled) -> bool:
    return spooled.kind == "crash"


def _is_any(spooled: Spooled) -> bool:
    return bool(spooled.kind)


def _too_many(events: Sequence[Spooled]) -> bool:
    size = sum(len(spooled.line()) for spooled in events)
    return len(events) > MAX_EVENTS or size > MAX_BYTES


def _is_old(spooled: Spooled, now: datetime) -> bool:
    try:
        at = datetime.strptime(spooled.event["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return True
    return now - at > MAX_AGE
