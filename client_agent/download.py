"""Bring one signed target into one part file, however often it takes.

The part on disk is never believed: it is hashed from its first byte before it is continued, and
in full before it is handed over, as the open file whose bytes were hashed. The journal beside it
only spares a download; it may lag behind the part and never leads.

Not here: which target (``client_agent.trust``), what its bytes mean (``client_agent.unpack``).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.disk import disk_errors
from client_agent.errors import AgentError, Code, NetworkError, TrustError
from client_agent.machine.values import TargetInfo
from client_agent.pace import LONG
from client_agent.platforms.port import Platform
from client_agent.schedule import Schedule
from client_agent.transport import Stream, Transport, status_error
from rollout.errors import DocumentError
from rollout.strict_json import parse_strict

ROUNDS = 3
JOURNAL_EVERY_BYTES = 1024 * 1024
BARRED_FOR = timedelta(hours=24)
BURST_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_MAX_ETAG_CHARACTERS = 256
_MAX_JOURNAL_BYTES = 4 * 1024

_WRONG_BYTES = frozenset({Code.HASH_MISMATCH, Code.LENGTH_MISMATCH})
_OK, _PARTIAL, _NOT_FOUND, _BAD_RANGE = 200, 206, 404, 416

Progress = Callable[[int, int], None]


class Stopped(Exception):  # noqa: N818 - no error: the app quits, and the part stays
    """The agent is closing."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that has the app's files. ``credentials`` go to the app's own server only."""

    base: str
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Journal:
    """Whose bytes the part holds: it is continued only there, and only while unchanged."""

    base: str = ""
    etag: str = ""


class Downloader:
    """Downloads of one install. The bars on mirrors live as long as this object."""

    def __init__(
        self,
        folder: Path,
        platform: Platform,
        clock: Clock,
        chance: Chance,
        schedule: Schedule,
        *,
        max_bytes_per_second: int = 0,
    ) -> None:
        self._folder = folder
        self._platform = platform
        self._clock = clock
        self._chance = chance
        self._schedule = schedule
        self._throttle = _Throttle(max_bytes_per_second, clock)
        self._barred: dict[str, datetime] = {}
        self.received_bytes = 0
        """What came from all mirrors, whatever became of it."""

    def missing_bytes(self, target: TargetInfo) -> int:
        """Return how many bytes of *target* are not here, if what lies here is good."""
        try:
            return max(0, target.length_bytes - self._part(target).stat().st_size)
        except OSError:
            return target.length_bytes

    def drop(self, target: TargetInfo) -> None:
        """Delete the part and its journal."""
        with disk_errors():
            self._part(target).unlink(missing_ok=True)
            self._journal(target).unlink(missing_ok=True)

    def fetch(
        self,
        target: TargetInfo,
        sources: Sequence[Source],
        transport: Transport,
        stop: threading.Event,
        progress: Progress,
    ) -> BinaryIO:
        """Return the open file whose bytes were verified to be *target*, at offset 0.

        Raises:
            TrustError, NetworkError: No mirror gave the bytes, after three rounds.
            DiskError: They could not be stored; a part that is whole so far stays.
            Stopped: *stop* was set; the part stays.
        """
        with disk_errors():
            part = self._open(target)
        try:
            with disk_errors():
                self._fetch(part, target, sources, transport, stop, progress)
                part.seek(0)
        except BaseException:
            part.close()
            raise
        return part

    def _fetch(
        self,
        part: BinaryIO,
        target: TargetInfo,
        sources: Sequence[Source],
        transport: Transport,
        stop: threading.Event,
        progress: Progress,
    ) -> None:
        attempt = _Attempt(self, part, target, transport, stop, progress)
        # When all are barred, all are asked again: the failure memory spaces the attempts.
        left = [source for source in sources if not self._is_barred(source)] or list(sources)
        worst: AgentError | None = None
        for round_number in range(ROUNDS):
            if round_number:
                pause = self._schedule.round_pause(self._chance.share(), round_number)
                self._clock.wait(stop, pause)
            for source in tuple(left):
                if stop.is_set():
                    raise Stopped
                try:
                    return attempt.at(source)
                except TrustError as error:
                    worst = error  # weighs more than a broken connection, whichever came last
                    if error.code in _WRONG_BYTES:
                        self._barred[source.base] = self._clock.now() + BARRED_FOR
                        left.remove(source)
                except NetworkError as error:
                    worst = worst if isinstance(worst, TrustError) else error
            if not left:
                break
        raise worst or NetworkError(Code.UNREACHABLE, "no mirror to ask")

    def _is_barred(self, source: Source) -> bool:
        until = self._barred.get(source.base)
        return until is not None and self._clock.now() < until

    def _open(self, target: TargetInfo) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(self._part(target), flags, 0o600), "r+b", buffering=0)

    def _part(self, target: TargetInfo) -> Path:
        return self._folder / f"{target.sha256}.part"

    def _journal(self, target: TargetInfo) -> Path:
        return self._folder / f"{target.sha256}.json"

    def read_journal(self, target: TargetInfo) -> _Journal:
        """Return what the journal says; nothing when it is torn."""
        try:
            with self._journal(target).open("rb") as file:
                said = parse_strict(file.read(_MAX_JOURNAL_BYTES + 1), max_bytes=_MAX_JOURNAL_BYTES)
        except (OSError, DocumentError):
            return _Journal()
        base, etag = said.get("base"), said.get("etag")
        if not isinstance(base, str) or not isinstance(etag, str):
            return _Journal()
        return _Journal(base, _strong(etag))  # it becomes a header again

    def write_journal(self, target: TargetInfo, journal: _Journal, count: int) -> None:
        """Note whose bytes the part holds, after they were synced."""
        said = {"base": journal.base, "etag": journal.etag, "n": count}
        new = self._journal(target).with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(json.dumps(said).encode())
        new.replace(self._journal(target))

    def forget_journal(self, target: TargetInfo) -> None:
        """Note that the part is nobody's."""
        self._journal(target).unlink(missing_ok=True)

    def sync(self, part: BinaryIO) -> None:
        """Bring the part's bytes to the disk."""
        self._platform.sync_file(part.fileno())

    def pause_for(self, count: int, stop: threading.Event) -> None:
        """Wait as long as the throttle wants after *count* bytes."""
        self._throttle.took(count, stop)


class _Attempt:
    """One target, over all mirrors: the part, how far it is, and the hash of that far."""

    def __init__(
        self,
        owner: Downloader,
        part: BinaryIO,
        target: TargetInfo,
        transport: Transport,
        stop: threading.Event,
        progress: Progress,
    ) -> None:
        self._owner = owner
        self._part = part
        self._target = target
        self._transport = transport
        self._stop = stop
        self._progress = progress
        self._digest: _Digest = hashlib.sha256()
        self._count = 0
        self._read_back()

    def at(self, source: Source) -> None:
        """Complete and verify the part from *source*, or raise what is wrong there."""
        fresh = not self._count
        if self._count < self._target.length_bytes or not self._target.length_bytes:
            self._bring(source)
        if self._digest.hexdigest() == self._target.sha256:
            return self._owner.sync(self._part)
        self._start_over()
        if fresh:
            raise TrustError(Code.HASH_MISMATCH, self._target.path)
        # Whose bytes were wrong cannot be told of a part that was continued: once more, whole.
        return self.at(source)

    def _bring(self, source: Source) -> None:
        """Try without and with each credential: a file of a group is not there for others."""
        last: NetworkError | None = None
        for credential in source.credentials or ("",):
            try:
                return self._request(source, credential)
            except NetworkError as error:
                if error.status != _NOT_FOUND:
                    raise
                last = error
        raise last or NetworkError(Code.HTTP_STATUS, str(_NOT_FOUND), status=_NOT_FOUND)

    def _request(self, source: Source, credential: str) -> None:
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        journal = self._owner.read_journal(self._target)
        if self._count and journal.base == source.base and journal.etag:
            headers |= {"Range": f"bytes={self._count}-", "If-Range": journal.etag}
        url = url_of(source.base, self._target)
        with self._transport.open(url, headers, limits=LONG) as stream:
            if stream.status == _BAD_RANGE and "Range" in headers:
                self._start_over()  # the mirror's file is shorter than ours: not the signed one
                raise status_error(stream)
            if stream.status == _PARTIAL and "Range" in headers:
                self._check_range(stream.headers)
            elif stream.status == _OK:
                self._check_length(stream.headers)
                self._start_over()
            else:
                raise status_error(stream)
            self._take(stream, _Journal(source.base, _strong(stream.headers.get("etag", ""))))

    def _take(self, stream: Stream, journal: _Journal) -> None:
        length = self._target.length_bytes
        noted = self._count
        self._part.seek(self._count)
        for chunk in stream.chunks():
            self._owner.received_bytes += len(chunk)
            if self._stop.is_set():
                self._note(journal)
                raise Stopped
            if self._count + len(chunk) > length:  # length + 1 is enough to know
                self._start_over()
                raise TrustError(Code.LENGTH_MISMATCH, f"over {length} bytes")
            _write_all(self._part, chunk)
            self._digest.update(chunk)
            self._count += len(chunk)
            self._progress(self._count, length)
            if self._count - noted >= JOURNAL_EVERY_BYTES:
                self._note(journal)
                noted = self._count
            self._owner.pause_for(len(chunk), self._stop)
        if self._count < length:
            self._note(journal)
            raise NetworkError(Code.UNREACHABLE, f"ended after {self._count} of {length} bytes")

    def _note(self, journal: _Journal) -> None:
        self._owner.sync(self._part)
        self._owner.write_journal(self._target, journal, self._count)

    def _check_range(self, headers: Mapping[str, str]) -> None:
        wanted = f"bytes {self._count}-{self._target.length_bytes - 1}/{self._target.length_bytes}"
        if headers.get("content-range", "").strip() != wanted:
            raise NetworkError(Code.UNEXPECTED_ANSWER, "another range than asked for")

    def _check_length(self, headers: Mapping[str, str]) -> None:
        told = headers.get("content-length")
        if told is not None and told.strip() != str(self._target.length_bytes):
            raise TrustError(Code.LENGTH_MISMATCH, f"{told[:20]} bytes offered")

    def _read_back(self) -> None:
        """Hash what lies here already. More than the target's length is nobody's."""
        self._part.seek(0)
        while chunk := self._part.read(_CHUNK_BYTES):
            self._digest.update(chunk)
            self._count += len(chunk)
            if self._count > self._target.length_bytes:
                return self._start_over()
        return None

    def _start_over(self) -> None:
        self._owner.forget_journal(self._target)
        self._part.seek(0)
        self._part.truncate()
        self._digest, self._count = hashlib.sha256(), 0


class _Throttle:
    """A token bucket of ``BURST_BYTES``; 0 bytes a second means no throttle."""

    def __init__(self, bytes_per_second: int, clock: Clock) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._tokens = float(BURST_BYTES)
        self._at = clock.monotonic()

    def took(self, count: int, stop: threading.Event) -> None:
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._tokens = min(BURST_BYTES, self._tokens + (now - self._at) * self._rate) - count
        self._at = now
        if self._tokens < 0:
            self._clock.wait(stop, -self._tokens / self._rate)


def url_of(base: str, target: TargetInfo) -> str:
    """Return where *target* lies below *base*: its stored name bears its hash."""
    folder, _, name = target.path.rpartition("/")
    return f"{base}/targets/{quote(folder)}/{target.sha256}.{quote(name)}"


def _strong(etag: str) -> str:
    """Return the tag if it can promise that bytes are the same; weak ones cannot."""
    is_strong = etag.startswith('"') and etag.isascii() and etag.isprintable()
    return etag if is_strong and len(etag) <= _MAX_ETAG_CHARACTERS else ""


def _write_all(part: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[part.write(left) :]
