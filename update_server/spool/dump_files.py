"""Minidumps that wait for the digest, each in a file of its own beside the spools.

A spool says which of them are needed; one that no spool names is an orphan, and is swept.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from update_server.service.ports import NotFoundError, UnavailableError
from update_server.spool.folder import sync_folder
from update_server.spool.writer import Disk

SUFFIX: Final = ".dump"
MAX_FOLDER_BYTES: Final = 512 << 20
MAX_FILES: Final = 4_096
"""Files that the folder takes, so that looking at all of them stays cheap."""

_NAME: Final = re.compile(r"[0-9a-f]{32}")


class DumpFolder:
    """The files in *folder*, for any number of processes. Satisfies ``service.ports.dumps``.

    It takes up to *max_bytes*, give or take what is being written at the same time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_FOLDER_BYTES,
        max_files: int = MAX_FILES,
        disk: Disk | None = None,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._disk = disk or Disk()

    def keep(self, data: bytes) -> str:
        """Store *data* and return its name; it is durable then.

        Raises:
            UnavailableError: The folder holds too much already, or the disk does not take it.
        """
        name = secrets.token_hex(16)
        try:
            self._make_folder()
            sizes = [stat.st_size for _, stat in self._files()]
            if sum(sizes) + len(data) > self._max_bytes or len(sizes) >= self._max_files:
                raise UnavailableError("too many minidumps wait to be read")
            self._write(self._path(name), data)
            sync_folder(self._folder)
        except OSError as error:
            # Nothing else was promised of this file, so a failed sync costs no other bytes.
            with suppress(OSError):
                self._path(name).unlink(missing_ok=True)
            raise UnavailableError("the disk takes no minidump") from error
        return name

    def read(self, name: str) -> bytes:
        """Return the bytes kept under *name*.

        Raises:
            NotFoundError: There are none.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError("minidump", name) from error

    def size_bytes(self) -> int:
        """Return how much all files have together."""
        return sum(stat.st_size for _, stat in self._files())

    def drop(self, names: Iterable[str]) -> None:
        """Remove files; those that are gone already are passed over."""
        for name in names:
            with suppress(NotFoundError):
                self._path(name).unlink(missing_ok=True)

    def sweep(self, now: datetime, older_than: timedelta) -> int:
        """Remove files that have not changed for *older_than*, and return how many."""
        swept = 0
        for path, stat in self._files():
            if now - datetime.fromtimestamp(stat.st_mtime, UTC) > older_than:
                path.unlink(missing_ok=True)
                swept += 1
        return swept

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """Return the files that are here; another process may remove some meanwhile."""
        found: list[tuple[Path, os.stat_result]] = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(SUFFIX):
                        with suppress(FileNotFoundError):
                            found.append((Path(entry.path), entry.stat()))
        except FileNotFoundError:
            pass  # nothing was ever kept
        return found

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder.parent)

    def _write(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[self._disk.write(descriptor, left) :]
            self._disk.datasync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFoundError("minidump", name)
        return self._folder / f"{name}{SUFFIX}"
