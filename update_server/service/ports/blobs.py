"""Bytes by key: published files, and uploads on their way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol


class Blobs(Protocol):
    """Bytes by key: published files, and uploads on their way. Keys use ``/``.

    ``create`` of identical bytes is done already; of different bytes raises ExistsError.
    ``swap`` replaces ``key`` only while its content still is ``expected`` (None: absent),
    else raises ChangedError. Both are durable when they return.
    """

    def create(self, key: str, data: bytes) -> None: ...
    def swap(self, key: str, data: bytes, expected: bytes | None) -> None: ...
    def read(self, key: str) -> bytes: ...  # NotFoundError
    def open(self, key: str) -> BinaryIO: ...  # NotFoundError; seekable
    def size(self, key: str) -> int: ...  # NotFoundError
    def list(self, prefix: str) -> Sequence[str]: ...
    def delete(self, key: str) -> None: ...
    def copy(self, source: str, target: str) -> None: ...  # create-only; a link where possible
    def upload_offset(self, app: str, sha256: str) -> int: ...  # bytes here; all, when done
    def upload_done(self, app: str, sha256: str) -> bool: ...
    def append(
        self, app: str, sha256: str, offset_bytes: int, total_bytes: int, stream: BinaryIO
    ) -> int: ...

    # append: returns the new offset; OffsetMismatchError, DigestMismatchError, BusyError,
    # UnavailableError
    # a finished upload is readable as key "blobs/<app>/<sha256>"
    def sweep(self, now: datetime, older_than: timedelta) -> int: ...  # abandoned uploads
