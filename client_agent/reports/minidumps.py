"""Minidumps that the app's crash handler left behind: found, kept, and sent.

A dump is moved into ROOT as soon as it is found, with version and token of the start that it
belongs to: the marker of that start is gone long before the server has the dump, and the next
version must not answer for it. A dump may hold anything that was in the memory of the app, so it
leaves the machine only at level ``crash``, and only from folders that the settings name.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from packaging.version import Version

from client_agent.clock import Clock
from client_agent.config import AppSettings
from client_agent.disk.durable import put
from client_agent.disk.os_errors import disk_errors
from client_agent.network.pace import LONG
from client_agent.network.transport import Transport, status_error
from client_agent.platforms import Platform
from client_agent.reports.dsn import minidump_url
from client_agent.reports.sender import is_final
from client_agent.state.state_body import parse_time, render_time
from client_agent.values import Marker, State
from rollout.errors import InvalidVersionError
from rollout.versions import parse_version, render_version

FOLDER = "minidumps"
MAX_DUMP_BYTES = 20 * 1024 * 1024
MAX_KEPT = 3
MAX_KEPT_BYTES = 40 * 1024 * 1024
MAX_AGE = timedelta(days=14)
BEING_WRITTEN = timedelta(seconds=60)
"""A process that lives may still write to a dump that is younger."""

ASK_AGAIN = timedelta(days=1)
"""When to offer dumps again to a server that has no route for them: each costs megabytes."""

HEADER = b"MDMP"
_MAX_LISTED = 1_000
_NOT_FOUND = 404
_SUCCESS = range(200, 300)
_OPEN = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A dump in ROOT, and the start that it belongs to. ``at`` is when it was written."""

    path: Path
    version: Version
    token: str | None
    at: datetime
    size_bytes: int


class Minidumps:
    """The dumps of one ROOT. ``sources`` are the folders of the app's crash handler."""

    def __init__(
        self, root: Path, sources: Sequence[Path], platform: Platform, clock: Clock
    ) -> None:
        self._folder = root / FOLDER
        self._sources = sources
        self._platform = platform
        self._clock = clock
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def collect(self, markers: Iterable[Marker], *, only_living: bool = False) -> frozenset[str]:
        """Move new dumps into ROOT; return the starts (by launch ID) that left one behind.

        A dump belongs to the newest start before it was written; older ones are nobody's.
        *only_living*: leave those of starts that ended to whoever tells of these starts.

        Raises:
            DiskError: One could not be moved.
        """
        starts = sorted(markers, key=lambda marker: marker.started)
        died: set[str] = set()
        with disk_errors():
            for path, at in self._found():
                before = [marker for marker in starts if marker.started <= at]
                if not before or not self._is_due(before[-1], at, only_living=only_living):
                    continue
                taken = self._new(at, before[-1].version, before[-1].token)
                try:
                    shutil.move(path, taken)  # perhaps from another file system
                except OSError:  # on Windows, its writer may have it open still: next time
                    _delete(taken)
                    continue
                died.add(before[-1].launch_id)
            if died:
                self._drop_surplus()
        return frozenset(died)

    def adopt(self, path: Path, version: Version, token: str | None) -> bool:
        """Keep a copy of the dump at *path*; False if it is none, or too large.

        Raises:
            DiskError: It could not be copied.
        """
        found = _opened(path)
        if found is None:
            return False
        with found[0] as file, disk_errors():
            taken = self._new(found[1], version, token)
            with taken.open("xb") as copy:
                copy.write(file.read(MAX_DUMP_BYTES))
            self._drop_surplus()
        return True

    def kept(self) -> list[Kept]:
        """Return the dumps in ROOT, oldest first."""
        found = (_read(path) for path in self._folder.glob("*.dmp"))
        return sorted((kept for kept in found if kept is not None), key=lambda kept: kept.at)

    def send(self, app: AppSettings, state: State, transport: Transport) -> None:
        """Send every dump, and delete what the server has, or will never take.

        Raises:
            NetworkError, TrustError: The others stay for later.
            DiskError: One could not be read or deleted.
        """
        now = self._clock.now()
        self._drop_old(now)
        if now < self._not_before:
            return
        for kept in self.kept():
            token = kept.token or state.tokens.get(render_version(kept.version))
            if state.project is None or token is None:
                continue
            if not self._deliver(app, kept, minidump_url(app, state.project, token), transport):
                self._not_before = now + ASK_AGAIN
                return

    def clear(self) -> None:
        """Delete every dump in ROOT."""
        with disk_errors():
            if self._folder.exists():
                shutil.rmtree(self._folder)

    def _found(self) -> list[tuple[Path, datetime]]:
        """Return the dumps in the app's folders, with the times when they were written."""
        found = []
        for source in self._sources:
            if not os.access(source, os.W_OK):
                continue  # what cannot be taken away would come again and again
            try:
                with os.scandir(source) as entries:
                    listed = [entry for entry, _ in zip(entries, range(_MAX_LISTED), strict=False)]
            except OSError:
                continue
            for entry in listed:
                at = _written_at(Path(entry.path))
                if at is not None:
                    found.append((Path(entry.path), at))
        return found

    def _is_due(self, marker: Marker, at: datetime, *, only_living: bool) -> bool:
        if not marker.alive:
            return not only_living
        return self._clock.now() - at > BEING_WRITTEN

    def _new(self, at: datetime, version: Version, token: str | None) -> Path:
        """Return where a dump may be put, its note written."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{secrets.token_hex(8)}.dmp"
        said = {"version": render_version(version), "token": token, "at": render_time(at)}
        put(path.with_suffix(".json"), json.dumps(said).encode(), self._platform)
        return path

    def _drop_old(self, now: datetime) -> None:
        """Delete what is too old, with and without a note that says whose it is."""
        with disk_errors():
            for path in self._folder.glob("*.dmp"):
                kept = _read(path)
                if now - (_moved_at(path) if kept is None else kept.at) > MAX_AGE:
                    _delete(path)

    def _drop_surplus(self) -> None:
        room = MAX_KEPT_BYTES
        for number, kept in enumerate(reversed(self.kept())):
            room -= kept.size_bytes
            if number >= MAX_KEPT or room < 0:
                _delete(kept.path)

    def _deliver(self, app: AppSettings, kept: Kept, url: str, transport: Transport) -> bool:
        """Send one dump; return False when the server knows no such route."""
        found = _opened(kept.path)
        if found is None:  # who can write to its folder put something else there as it was taken
            _delete(kept.path)
            return True
        with found[0] as file, disk_errors():
            dump = file.read(MAX_DUMP_BYTES)
        boundary = secrets.token_hex(16)
        fields = {
            "_productName": app.app,
            "_version": render_version(kept.version),
            "platform": app.platform,
        }
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Encoding": "gzip",
        }
        body = gzip.compress(render_form(fields, dump, boundary), compresslevel=6)
        answer = transport.post_bytes(url, body, headers, limits=LONG)
        if answer.status == _NOT_FOUND:
            return False
        if answer.status not in _SUCCESS and not is_final(answer.status):
            raise status_error(answer)
        _delete(kept.path)
        return True


def render_form(fields: dict[str, str], dump: bytes, boundary: str) -> bytes:
    """Return the form in which crash handlers send a dump (``multipart/form-data``)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    file = (
        f"--{boundary}\r\nContent-Disposition: form-data; "
        'name="upload_file_minidump"; filename="minidump.dmp"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join([*parts, file]).encode() + dump + f"\r\n--{boundary}--\r\n".encode()


def _written_at(path: Path) -> datetime | None:
    """Return when the dump at *path* was written; None if it is none that we take."""
    found = _opened(path)
    if found is None:
        return None
    found[0].close()
    return found[1]


def _opened(path: Path) -> tuple[BinaryIO, datetime] | None:
    """Open the dump at *path*, and return when it was written; None if it is none that we take.

    Looked at is what was opened: the folders of crash handlers may be open to others.
    """
    try:
        file = open(os.open(path, _OPEN), "rb")  # noqa: PTH123, SIM115 - of a descriptor
    except OSError:
        return None
    try:
        found = os.fstat(file.fileno())
        is_file = stat.S_ISREG(found.st_mode) and found.st_size <= MAX_DUMP_BYTES
        if is_file and file.read(len(HEADER)) == HEADER:
            file.seek(0)
            return file, datetime.fromtimestamp(found.st_mtime, UTC)
    except (OSError, OverflowError, ValueError):  # or a time that no calendar has
        pass
    file.close()
    return None


def _read(path: Path) -> Kept | None:
    try:
        said: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
        return Kept(
            path=path,
            version=parse_version(said["version"]),
            token=said["token"],
            at=parse_time(said["at"]),
            size_bytes=path.lstat().st_size,
        )
    except (OSError, ValueError, LookupError, TypeError, InvalidVersionError):
        return None


def _moved_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def _delete(path: Path) -> None:
    with disk_errors():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
