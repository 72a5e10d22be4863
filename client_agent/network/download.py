"""Bring one signed target into one part file, however often it takes.

The part is handed over as the open file whose bytes were hashed; what of it is believed says
``client_agent.network.part_file``.

Not here: which target (``client_agent.trust.decision``), what its bytes mean
(``client_agent.versions.unpack``).
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.disk.os_errors import disk_errors
from client_agent.errors import AgentError, Code, DiskError, NetworkError, TrustError
from client_agent.machine.values import TargetInfo
from client_agent.network.mirrors import Mirrors
from client_agent.network.pace import LONG
from client_agent.network.part_file import Origin, PartFile, journal_of, path_of
from client_agent.network.throttle import Pauses, Throttle
from client_agent.network.transport import Stream, Transport, status_error
from client_agent.platforms.port import Platform
from client_agent.schedule import Schedule
from rollout.pieces import split_pieces

ROUNDS = 3
JOURNAL_EVERY_BYTES = 1024 * 1024

_WRONG_BYTES = frozenset({Code.HASH_MISMATCH, Code.LENGTH_MISMATCH})
_OK, _PARTIAL, _NOT_FOUND, _BAD_RANGE = 200, 206, 404, 416

Progress = Callable[[int, int], None]


class Stopped(Exception):  # noqa: N818 - no error: the app quits, and the part stays
    """The agent is closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that has the app's files. ``credentials`` go to the app's own server only."""

    base: str
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How files come here now: from where, by which connections, and who may interrupt.

    ``in_foreground`` is asked between chunks: while it says yes, the download pauses.
    """

    sources: Sequence[Source]
    transport: Transport
    stop: threading.Event
    in_foreground: Callable[[], bool] = bool  # never


class Downloader:
    """Downloads of one install, into *folder*."""

    def __init__(
        self,
        folder: Path,
        platform: Platform,
        clock: Clock,
        chance: Chance,
        schedule: Schedule,
        mirrors: Mirrors,
        *,
        max_bytes_per_second: int = 0,
    ) -> None:
        self._folder = folder
        self._platform = platform
        self._clock = clock
        self._chance = chance
        self._schedule = schedule
        self._mirrors = mirrors
        self.throttle = Throttle(max_bytes_per_second, clock)
        self.received_bytes = 0
        """What came from all mirrors, whatever became of it."""

    def missing_bytes(self, target: TargetInfo) -> int:
        """Return how many bytes of *target* are not here, if what lies here is good."""
        try:
            return max(0, target.length_bytes - path_of(self._folder, target).stat().st_size)
        except OSError:
            return target.length_bytes

    def drop(self, target: TargetInfo) -> None:
        """Delete the part and its journal."""
        with disk_errors():
            path_of(self._folder, target).unlink(missing_ok=True)
            journal_of(self._folder, target).unlink(missing_ok=True)

    def fetch(self, target: TargetInfo, ways: Ways, progress: Progress) -> BinaryIO:
        """Return the open file whose bytes were verified to be *target*, at offset 0.

        Raises:
            TrustError, NetworkError: No mirror gave the bytes, after three rounds.
            DiskError: They could not be stored; a part that is right so far stays, unless the
                disk could not read or write it.
            Stopped: *ways.stop* was set; the part stays.
        """
        pieces = self._pieces_of(target, ways)
        try:
            with disk_errors():
                part = PartFile(self._folder, target, self._platform, pieces)
                try:
                    self._over_all(_Attempt(self, part, target, ways, progress), ways)
                    part.sync()
                    part.file.seek(0)
                except BaseException:
                    part.file.close()
                    raise
        except DiskError as error:
            # A bad block below the part would be met each time, and keep the version away for good.
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
                with suppress(DiskError):
                    self.drop(target)
            raise
        return part.file

    def _pieces_of(self, target: TargetInfo, ways: Ways) -> Sequence[bytes]:
        """Return the hashes of the target's pieces; none where they are not to be had."""
        if target.pieces is None:
            return ()
        try:
            with self.fetch(target.pieces, ways, _unseen) as file:
                return split_pieces(file.read())
        except (TrustError, NetworkError):  # the whole file's hash says as much, only later
            return ()

    def _over_all(self, attempt: _Attempt, ways: Ways) -> None:
        # When all are barred, all are asked again: the failure memory spaces the attempts.
        good = [one for one in ways.sources if not self._mirrors.is_barred(one.base)]
        left = good or list(ways.sources)
        worst: AgentError | None = None
        for round_number in range(ROUNDS):
            if round_number:
                pause = self._schedule.round_pause(self._chance.share(), round_number)
                self._clock.wait(ways.stop, pause)
            for source in tuple(left):
                if ways.stop.is_set():
                    raise Stopped
                try:
                    return attempt.at(source)
                except TrustError as error:
                    worst = error  # weighs more than a broken connection, whichever came last
                    if error.code in _WRONG_BYTES:
                        self._mirrors.bar(source.base)
                        left.remove(source)
                except NetworkError as error:
                    worst = worst if isinstance(worst, TrustError) else error
            if not left:
                break
        raise worst or NetworkError(Code.UNREACHABLE, "no mirror to ask")

    def pauses(self, ways: Ways) -> Pauses:
        """Return the pauses that one download may make."""
        return Pauses(ways.in_foreground, self._clock)


class _Attempt:
    """One target, over all mirrors."""

    def __init__(
        self,
        owner: Downloader,
        part: PartFile,
        target: TargetInfo,
        ways: Ways,
        progress: Progress,
    ) -> None:
        self._owner = owner
        self._part = part
        self._target = target
        self._ways = ways
        self._progress = progress
        self._pauses = owner.pauses(ways)
        self._continued = False
        """Whether what comes follows bytes that could not be verified."""

    def at(self, source: Source) -> None:
        """Complete the part from *source*, or raise what is wrong there."""
        self._continued = False
        try:
            if not self._part.is_whole:
                self._bring(source)
        except TrustError as error:
            if not self._continued or error.code is not Code.HASH_MISMATCH:
                raise
            # Whose bytes were wrong cannot be told: once more, from where all is right.
            return self.at(source)
        if not self._part.is_whole:
            raise TrustError(Code.HASH_MISMATCH, self._target.path)
        return None

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
        origin = self._part.origin()
        same = origin.base == source.base and bool(origin.etag)
        # What is known to be right can be continued anywhere, the rest only where it came from.
        start = self._part.count if same else self._part.verified
        if start:
            headers["Range"] = f"bytes={start}-"
        if start and same:
            headers["If-Range"] = origin.etag
        url = url_of(source.base, self._target)
        skipped = 0
        with self._ways.transport.open(url, headers, limits=LONG) as stream:
            if stream.status == _BAD_RANGE and start:
                self._part.back()  # the mirror's file is shorter than ours: not the signed one
                raise status_error(stream)
            if stream.status == _PARTIAL and start:
                self._check_range(start, stream.headers)
                if not same:
                    self._part.back()
            elif stream.status == _OK:
                self._check_length(stream.headers)
                self._part.back()
                skipped = self._part.verified  # it comes again, and is not worth losing ours for
            else:
                raise status_error(stream)
            self._take(stream, Origin.of(source.base, stream.headers.get("etag", "")), skipped)

    def _take(self, stream: Stream, origin: Origin, skipped: int) -> None:
        """Add what comes to the part, but for the first *skipped* bytes."""
        part, stop = self._part, self._ways.stop
        part.begin(origin)
        self._continued = not part.is_clean
        for chunk in stream.chunks():
            if stop.is_set():
                part.note(origin)
                raise Stopped
            self._owner.received_bytes += len(chunk)
            part.add(chunk[skipped:])
            skipped = max(0, skipped - len(chunk))
            self._progress(part.count, self._target.length_bytes)
            if part.unsynced >= JOURNAL_EVERY_BYTES:
                part.note(origin)
            self._owner.throttle.took(len(chunk), stop)
            self._pauses.wait(stop)
        if part.count < self._target.length_bytes:
            part.note(origin)
            detail = f"ended after {part.count} of {self._target.length_bytes} bytes"
            raise NetworkError(Code.UNREACHABLE, detail)

    def _check_range(self, start: int, headers: Mapping[str, str]) -> None:
        wanted = f"bytes {start}-{self._target.length_bytes - 1}/{self._target.length_bytes}"
        if headers.get("content-range", "").strip() != wanted:
            raise NetworkError(Code.UNEXPECTED_ANSWER, "another range than asked for")

    def _check_length(self, headers: Mapping[str, str]) -> None:
        told = headers.get("content-length")
        if told is not None and told.strip() != str(self._target.length_bytes):
            raise TrustError(Code.LENGTH_MISMATCH, f"{told[:20]} bytes offered")


def _unseen(_done: int, _total: int) -> None:
    """Progress of what is too small to be shown."""


def url_of(base: str, target: TargetInfo) -> str:
    """Return where *target* lies below *base*: its stored name bears its hash."""
    folder, _, name = target.path.rpartition("/")
    return f"{base}/targets/{quote(folder)}/{target.sha256}.{quote(name)}"
