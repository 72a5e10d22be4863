"""Blobs in a local directory.

A blob is one file, made under a temporary name and then linked (``create``) or renamed
(``swap``) into place, so that nobody ever sees half of one. Blobs are never changed in place:
``copy`` gives the same file a second name.

Below the root, ``.tmp`` holds files being written and ``.lock`` is the lock of ``swap``.
"""

from __future__ import annotations

import errno
import filecmp
import os
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from update_server.blobs import files
from update_server.blobs.keys import BLOBS, UPLOADS, blob_key, check_key, check_prefix
from update_server.blobs.uploads import LocalUploads
from update_server.service.ports import ChangedError, ExistsError, NotFoundError

# Absent, below a file, a symbolic link, or a socket: nothing that we wrote.
_NO_BLOB = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_NO_LINK = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP})


class LocalBlobs:
    """Blobs below *root*, which is made when it is missing. Processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tmp = root / ".tmp"
        self._lock = root / ".lock"
        files.make_folder(self._tmp)
        self._uploads = LocalUploads(root / UPLOADS, self._path)

    # --- published bytes ---

    def create(self, key: str, data: bytes) -> None:
        """Write a new blob; identical bytes are done already. Durable on return.

        Raises:
            ExistsError: The blob is there, with different bytes.
            UnavailableError: The disk is full.
        """
        path = self._path(key)
        with files.written(self._tmp, data) as new:
            if not files.link_new(new, path) and not _has(path, data):
                raise ExistsError("blob", key)

    def swap(self, key: str, data: bytes, expected: bytes | None) -> None:
        """Replace a blob whose bytes still are *expected* (None: it is absent).

        Raises:
            ChangedError: It has other bytes. Nothing was written.
            UnavailableError: The disk is full.
        """
        path = self._path(key)
        with files.written(self._tmp, data) as new, files.locked(self._lock):
            found = path.read_bytes() if path.exists() else None
            if found != expected:
                raise ChangedError("blob", key)
            if found is None:
                # create does not take the lock, so the name may be taken by now.
                if not files.link_new(new, path):
                    raise ChangedError("blob", key)
            else:
                new.replace(path)
                files.sync_folder(path.parent)

    def read(self, key: str) -> bytes:
        """Return the bytes of a blob, or raise NotFoundError."""
        with self.open(key) as file:
            return file.read()

    def open(self, key: str) -> BinaryIO:
        """Return a blob as an open file, or raise NotFoundError."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _NO_BLOB:
                raise NotFoundError("blob", key) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotFoundError("blob", key)
        return os.fdopen(descriptor, "rb")

    def size(self, key: str) -> int:
        """Return the number of bytes of a blob, or raise NotFoundError."""
        with self.open(key) as file:
            return os.fstat(file.fileno()).st_size

    def list(self, prefix: str) -> Sequence[str]:
        """Return the keys that begin with *prefix*, sorted."""
        folder = check_prefix(prefix).rpartition("/")[0]
        found = []
        for path, folders, names in os.walk(self._root / folder):
            below = Path(path).relative_to(self._root).as_posix()
            if below == ".":
                folders[:] = [name for name in folders if name not in {".tmp", UPLOADS}]
                names = [name for name in names if name != ".lock"]  # noqa: PLW2901
            found += [name if below == "." else f"{below}/{name}" for name in names]
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove a blob, if it is there."""
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        files.sync_folder(path.parent)

    def copy(self, source: str, target: str) -> None:
        """Give the blob *source* the further key *target*, by a link where possible.

        Raises:
            ExistsError: *target* is there, with different bytes.
            NotFoundError: There is no *source*.
        """
        old, new = self._path(source), self._path(target)
        self.size(source)
        try:
            linked = files.link_new(old, new)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            with self.open(source) as file, files.written(self._tmp, file) as copied:
                linked = files.link_new(copied, new)
        if not linked and not _are_same(old, new):
            raise ExistsError("blob", target)

    # --- uploads ---

    def upload_offset(self, app: str, sha256: str) -> int:
        """Return how many bytes of an upload are here; its whole size when it is done."""
        key = blob_key(app, sha256)
        done = self.upload_done(app, sha256)
        return self.size(key) if done else self._uploads.offset(app, sha256)

    def upload_done(self, app: str, sha256: str) -> bool:
        """Return whether the upload is finished, hence a blob."""
        return self._path(blob_key(app, sha256)).is_file()

    def append(
        self, app: str, sha256: str, offset_bytes: int, total_bytes: int, stream: BinaryIO
    ) -> int:
        """Take more bytes of an upload, and return the new offset. Durable on return.

        Reads *stream* to its end, or until *total_bytes* are here; then their digest is
        checked and they become the blob ``blobs/<app>/<sha256>``. What arrived before an error of
        the stream is kept.

        Raises:
            DigestMismatchError: The bytes are not those announced. They are gone.
            OffsetMismatchError: The upload goes on elsewhere.
            BusyError: Somebody else is uploading this.
            UnavailableError: The disk is full.
        """
        return self._uploads.append(app, sha256, offset_bytes, total_bytes, stream)

    def sweep(self, now: datetime, older_than: timedelta) -> int:
        """Remove what dead processes and given-up uploads left; return how many files.

        Finished uploads that no submission took up go as well.

        Nothing younger than *older_than* goes: it may be under way.
        """
        before = (now - older_than).timestamp()
        removed = 0
        for path in (*self._tmp.iterdir(), *(self._root / UPLOADS).iterdir()):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                removed += 1
        for path in (self._root / BLOBS).glob("*/*"):
            # A second link is the file's signed name: without one nobody handed it in.
            found = path.stat()
            if found.st_mtime < before and found.st_nlink == 1:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


def _has(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _are_same(old: Path, new: Path) -> bool:
    # samefile first: the usual case of a repeated copy reads no bytes.
    return new.is_file() and (old.samefile(new) or filecmp.cmp(old, new, shallow=False))
