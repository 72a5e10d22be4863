"""Blobs in memory."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import BinaryIO

from update_server.blobs.keys import blob_key, check_key, check_prefix
from update_server.service.ports import (
    ChangedError,
    DigestMismatchError,
    ExistsError,
    NotFoundError,
    OffsetMismatchError,
)


class FakeBlobs:
    """Blobs and uploads in two dictionaries. ``blobs`` may be looked at by tests."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self._uploads: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def create(self, key: str, data: bytes) -> None:
        check_key(key)
        if self.blobs.setdefault(key, data) != data:
            raise ExistsError("blob", key)

    def swap(self, key: str, data: bytes, expected: bytes | None) -> None:
        check_key(key)
        with self._lock:
            if self.blobs.get(key) != expected:
                raise ChangedError("blob", key)
            self.blobs[key] = data

    def read(self, key: str) -> bytes:
        check_key(key)
        if key not in self.blobs:
            raise NotFoundError("blob", key)
        return self.blobs[key]

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self.read(key))

    def size(self, key: str) -> int:
        return len(self.read(key))

    def list(self, prefix: str) -> Sequence[str]:
        check_prefix(prefix)
        return sorted(key for key in self.blobs if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.blobs.pop(check_key(key), None)

    def copy(self, source: str, target: str) -> None:
        self.create(target, self.read(source))

    def upload_offset(self, app: str, sha256: str) -> int:
        key = blob_key(app, sha256)
        return len(self.blobs.get(key, self._uploads.get(key, b"")))

    def upload_done(self, app: str, sha256: str) -> bool:
        return blob_key(app, sha256) in self.blobs

    def sweep(self, now: datetime, older_than: timedelta) -> int:  # noqa: ARG002 - nothing ages here
        return 0

    def append(
        self, app: str, sha256: str, offset_bytes: int, total_bytes: int, stream: BinaryIO
    ) -> int:
        key = blob_key(app, sha256)
        with self._lock:
            here = self.upload_offset(app, sha256)
            if offset_bytes != here:
                raise OffsetMismatchError(here)
            if self.upload_done(app, sha256):
                return here
            data = bytearray(self._uploads.get(key, b""))
            try:
                while len(data) < total_bytes:
                    some = stream.read(total_bytes - len(data))
                    if not some:
                        break
                    data += some
            finally:
                self._uploads[key] = bytes(data)
            if len(data) >= total_bytes:
                self._finish(key, sha256)
            return len(data)

    def _finish(self, key: str, sha256: str) -> None:
        data = self._uploads.pop(key)
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise DigestMismatchError(sha256, found)
        self.create(key, data)
