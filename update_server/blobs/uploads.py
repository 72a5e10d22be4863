"""Uploads on their way to be blobs: they can be taken up again where they broke off."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from update_server.blobs import files
from update_server.blobs.keys import blob_key, check_app_segment, check_sha256
from update_server.service.ports import BusyError, DigestMismatchError, OffsetMismatchError

_CHUNK_BYTES = 1 << 20


class LocalUploads:
    """Uploads in *folder*, one file each; *path_of* tells where a finished one goes."""

    def __init__(self, folder: Path, path_of: Callable[[str], Path]) -> None:
        self._folder = folder
        self._path_of = path_of
        files.make_folder(folder)

    def offset(self, app: str, sha256: str) -> int:
        """Return how many bytes of an unfinished upload are here."""
        try:
            return self._part(app, sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def append(
        self, app: str, sha256: str, offset_bytes: int, total_bytes: int, stream: BinaryIO
    ) -> int:
        """See LocalBlobs.append."""
        # 1. Alone on this upload, and it is not done yet. 2. The offset is right.
        # 3. Take bytes; keep them whatever happens. 4. At the total: digest, then publish.
        with self._alone(app, sha256) as file:
            size = self._finished_size(app, sha256)
            here = os.fstat(file.fileno()).st_size if size is None else size
            if offset_bytes != here:
                raise OffsetMismatchError(here)
            if size is not None:
                self._part(app, sha256).unlink()  # the lock made it anew
                return size
            here = _take(file, here, total_bytes, stream)
            if here >= total_bytes:
                self._finish(app, sha256, file)
            return here

    def _finished_size(self, app: str, sha256: str) -> int | None:
        blob = self._path_of(blob_key(app, sha256))
        return blob.stat().st_size if blob.is_file() else None

    def _finish(self, app: str, sha256: str, file: FileIO) -> None:
        part = self._part(app, sha256)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            part.unlink()
            raise DigestMismatchError(sha256, found)
        os.fchmod(file.fileno(), files.MODE)
        files.link_new(part, self._path_of(blob_key(app, sha256)))
        part.unlink()

    @contextmanager
    def _alone(self, app: str, sha256: str) -> Iterator[FileIO]:
        """Open an upload's file for this thread alone. Waits for nobody.

        A request that broke off may hold the lock until its time is up; its publisher is
        told to come again rather than left waiting.
        """
        part = self._part(app, sha256)
        with files.room_expected():
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT, files.MODE)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError("this upload is under way elsewhere") from error
            if not _is_at(part, file):
                # Whoever held the lock finished the upload after we opened its file, which
                # is a blob by now: nobody may write to it.
                raise BusyError("this upload has just ended elsewhere")
            if os.fstat(file.fileno()).st_nlink > 1:
                # Whoever finished it died before this name was gone. The file is a blob, and
                # perhaps published: nobody may write to it, whatever became of the blob.
                part.unlink()
                raise BusyError("this upload had ended already")
            yield file

    def _part(self, app: str, sha256: str) -> Path:
        return self._folder / f"{check_app_segment(app)}.{check_sha256(sha256)}.part"


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _take(file: FileIO, here: int, total_bytes: int, stream: BinaryIO) -> int:
    """Append *stream* to *file* up to *total_bytes*; return how many bytes there are."""
    file.seek(here)
    try:
        with files.room_expected():
            while here < total_bytes:
                data = stream.read(min(_CHUNK_BYTES, total_bytes - here))
                if not data:
                    break
                view = memoryview(data)
                while view:
                    taken = file.write(view)
                    here += taken
                    view = view[taken:]
    finally:
        os.fsync(file.fileno())
    return here
