"""Events on their way: on disk before anything else, however the process ends.

Each process appends to segments of its own, one event a line with one write; a segment is locked
while its process may still write to it. Whoever holds the install's lock takes every segment that
nobody writes to, sends what is in it, and removes what arrived. A kill in between sends an event
twice, which its ID makes harmless; none is lost.

Not here: what an event says (``client_agent.reports.reporter``), the network
(``client_agent.reports.sender``).
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from client_agent.clock import Clock
from client_agent.disk.os_errors import disk_errors
from client_agent.platforms.port import Lock, Platform
from client_agent.reports.spool_limits import MAX_EVENT_BYTES, Spooled, bare, fitted, over_limits

SEGMENT_BYTES = 64 * 1024
SYNC_EVERY_SECONDS = 5.0
RING_EVENTS = 200
"""Events kept in memory while the disk takes none."""

DOOR_BYTES = 4 * 1024 * 1024
"""Beyond twice the limit nothing is taken any more: whoever trims does not get to it."""


class Lane(StrEnum):
    """Crashes and update steps go first, and to the disk at once."""

    URGENT = "urgent"
    BULK = "bulk"


_URGENT_KINDS = frozenset({"crash", "update"})


@dataclass(slots=True)
class _Segment:
    """The segment that this process writes to, in one lane."""

    lock: Lock
    size: int = 0
    dirty: bool = False
    synced_at: float = 0.0


@dataclass(slots=True)
class Spool:
    """The events of one ROOT, as one process sees them. Safe across threads."""

    folder: Path
    platform: Platform
    clock: Clock
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events that were given up, by kind and why."""

    urgent_waiting: bool = False
    """Whether something urgent came in since the flag was last lowered by whoever sends."""

    _mutex: threading.RLock = field(default_factory=threading.RLock)
    _open: dict[Lane, _Segment] = field(default_factory=dict)
    _ring: deque[tuple[Lane, bytes]] = field(default_factory=lambda: deque(maxlen=RING_EVENTS))
    _bytes: int | None = None
    _is_kept_ready: bool = False

    def keep_ready(self) -> None:
        """Have a file open for a crash at any time: a dying process may get no descriptor more."""
        with self._mutex:
            self._is_kept_ready = True
            self._make_ready()

    def append(self, event: dict[str, Any], *, version: str, token: str | None) -> None:
        """Take *event* in; never raises. Urgent ones are on the disk on return.

        *version* and *token* are those of the moment: an event travels with the token that it
        happened under.
        """
        line = _line(event, version, token)
        if line is None:
            self.dropped[event["kind"], "too_large"] += 1
            return
        lane = lane_of(event)
        with self._mutex:
            self.urgent_waiting |= lane is Lane.URGENT
            if self._stored_bytes() > DOOR_BYTES:
                self.dropped[event["kind"], "full"] += 1
                return
            if len(self._ring) == RING_EVENTS:
                self.dropped["any", "no_disk"] += 1
            self._ring.append((lane, line))
            self._drain()

    def flush(self) -> None:
        """Bring every event to the disk, as far as it takes any."""
        with self._mutex:
            self._drain()
            for segment in self._open.values():
                self._sync(segment)

    def tick(self) -> None:
        """Sync what was written 5 seconds ago or earlier."""
        with self._mutex:
            for segment in self._open.values():
                if self.clock.monotonic() - segment.synced_at >= SYNC_EVERY_SECONDS:
                    self._sync(segment)

    def seal(self) -> None:
        """End this process's segments, so that whoever sends may take them."""
        with self._mutex:
            self.flush()
            for segment in self._open.values():
                segment.lock.close()
            self._open.clear()
            self._make_ready()

    def load(self) -> list[Spooled]:
        """Return all events that nobody writes to any more: urgent first, oldest first.

        Torn and foreign lines are passed over and counted.

        Raises:
            DiskError: The folder cannot be read.
        """
        self.seal()
        found: list[Spooled] = []
        with disk_errors():
            for path in self._segments():
                lock = self.platform.lock(path)
                if lock is None:
                    continue
                with lock:
                    lines = path.read_bytes().splitlines()
                    if not lines:
                        path.unlink(missing_ok=True)  # while locked: nobody starts to write here
                for line in lines:
                    spooled = _parse(line, path)
                    if spooled is None:
                        self.dropped["any", "torn"] += 1
                    else:
                        found.append(spooled)
        return found

    def settle(self, loaded: Collection[Spooled], gone: Collection[str]) -> None:
        """Remove the events with the IDs *gone* from the segments that were *loaded*.

        Raises:
            DiskError: They stay, and are sent again.
        """
        with disk_errors():
            for path in sorted({spooled.segment for spooled in loaded}):
                here = [spooled for spooled in loaded if spooled.segment == path]
                left = [spooled for spooled in here if spooled.id not in gone]
                if not left:
                    path.unlink(missing_ok=True)
                elif len(left) < len(here) or any(spooled.changed for spooled in here):
                    self._rewrite(path, left)
        self._bytes = None

    def trim(self, now: datetime) -> None:
        """Give up what is too old or too much, in the order of docs/agent.md, 12.

        Raises:
            DiskError: As ``load`` and ``settle``.
        """
        loaded = self.load()
        if not over_limits(loaded, now):
            return
        kept, given_up = fitted(loaded, now)
        for spooled, why in given_up:
            self.dropped[spooled.kind, why] += 1
        changed = {spooled.id: spooled for spooled in kept}
        self.settle(
            [changed.get(spooled.id, spooled) for spooled in loaded],
            {spooled.id for spooled, _ in given_up},
        )

    def clear(self, why: str) -> None:
        """Give up everything, as a person who turns telemetry off wants.

        Raises:
            DiskError: As ``load`` and ``settle``.
        """
        with self._mutex:
            self._ring.clear()
            loaded = self.load()
            for spooled in loaded:
                self.dropped[spooled.kind, why] += 1
            self.settle(loaded, {spooled.id for spooled in loaded})

    def waiting(self) -> int:
        """Return how many bytes are on the disk."""
        with self._mutex:
            self._bytes = None
            return self._stored_bytes()

    # --- writing ---------------------------------------------------------------------

    def _drain(self) -> None:
        """Write what waits in memory, oldest first, until the disk takes no more."""
        while self._ring:
            lane, line = self._ring[0]
            try:
                self._write(lane, line)
            except OSError:
                self._forget(lane)
                return
            self._ring.popleft()

    def _write(self, lane: Lane, line: bytes) -> None:
        segment = self._segment_for(lane, len(line))
        descriptor = segment.lock.descriptor
        if os.write(descriptor, line) != len(line):  # the disk is full: no half lines
            os.ftruncate(descriptor, segment.size)
            os.lseek(descriptor, segment.size, os.SEEK_SET)
            raise OSError("short write")
        segment.size += len(line)
        segment.dirty = True
        self._bytes = self._stored_bytes() + len(line)
        if lane is Lane.URGENT:
            self._sync(segment)

    def _make_ready(self) -> None:
        if self._is_kept_ready:
            try:
                self._segment_for(Lane.URGENT, 0)
            except OSError:
                return  # when something is to be told, it is tried again

    def _sync(self, segment: _Segment) -> None:
        if segment.dirty:
            segment.dirty = False
            segment.synced_at = self.clock.monotonic()
            try:
                self.platform.sync_file(segment.lock.descriptor)
            except OSError:
                # What a failed fsync leaves in the cache cannot be trusted, nor made better by
                # another: the events may be there or not, and a newer segment takes over.
                self.dropped["any", "io"] += 1

    def _segment_for(self, lane: Lane, count: int) -> _Segment:
        segment = self._open.get(lane)
        if segment is not None and segment.size + count > SEGMENT_BYTES:
            self._sync(segment)
            self._forget(lane)
            segment = None
        if segment is None:
            segment = _Segment(lock=self._new_segment(lane))
            segment.synced_at = self.clock.monotonic()
            self._open[lane] = segment
        return segment

    def _new_segment(self, lane: Lane) -> Lock:
        """Return a new, empty, locked segment."""
        numbers = [_number(path) for path in self.folder.glob(f"{lane}-*.jsonl")]
        number = max(numbers, default=0)
        while True:
            number += 1
            path = self.folder / f"{lane}-{number:08d}.jsonl"
            lock = self.platform.lock(path)
            if lock is None:
                continue  # another process was first
            opened = os.fstat(lock.descriptor)
            # A sender may have removed the empty file between our opening and our locking it.
            if opened.st_size == 0 and opened.st_nlink == 1:
                return lock
            lock.close()

    def _forget(self, lane: Lane) -> None:
        segment = self._open.pop(lane, None)
        if segment is not None:
            segment.lock.close()

    def _rewrite(self, path: Path, left: Iterable[Spooled]) -> None:
        new = path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(b"".join(spooled.line() for spooled in left))
            file.flush()
            self.platform.sync_file(file.fileno())
        self.platform.replace(new, path)

    # --- looking ---------------------------------------------------------------------

    def _segments(self) -> Iterator[Path]:
        for lane in Lane:
            yield from sorted(self.folder.glob(f"{lane}-*.jsonl"), key=_number)

    def _stored_bytes(self) -> int:
        if self._bytes is None:
            try:
                paths = [*self.folder.glob("*.jsonl")]
            except OSError:
                return 0  # not even a folder can be opened: the limit can wait
            self._bytes = 0
            for path in paths:
                try:
                    self._bytes += path.stat().st_size
                except OSError:
                    continue  # sent and gone meanwhile
        return self._bytes


def lane_of(event: dict[str, Any]) -> Lane:
    """Return the lane of *event*."""
    return Lane.URGENT if event["kind"] in _URGENT_KINDS else Lane.BULK


def _line(event: dict[str, Any], version: str, token: str | None) -> bytes | None:
    """Return the event as one line of at most 16 KiB, cut if need be, or None.

    Limits cost detail, never the count.
    """
    for cut in (event, {**event, "frames": event.get("frames", [])[:64]}, bare(event)):
        spooled = Spooled(event=cut, version=version, token=token, segment=Path())
        line = spooled.line()
        if len(line) <= MAX_EVENT_BYTES:
            return line
    return None


def _parse(line: bytes, segment: Path) -> Spooled | None:
    try:
        said = json.loads(line)
        event, version, token = said["event"], said["version"], said["token"]
        spooled = Spooled(event=event, version=version, token=token, segment=segment)
        complete = (
            isinstance(version, str)
            and isinstance(token, str | None)
            and all(isinstance(event[name], str) for name in ("id", "kind", "at"))
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return spooled if complete else None


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


__all__ = ["DOOR_BYTES", "RING_EVENTS", "SEGMENT_BYTES", "Lane", "Spool", "Spooled"]
