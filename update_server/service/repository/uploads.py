"""Bytes on their way in, by the digest that they will have; and back to who sent them.

Not here: giving them the names that a publisher signed (``service.repository.publish``).
"""

from __future__ import annotations

from typing import BinaryIO

from update_server.service.access.caller import Caller
from update_server.service.agents.placement import upload_key
from update_server.service.ports import Blobs, Clock, Database


class Uploads:
    """Bytes on their way in, by the digest that they will have."""

    def __init__(self, database: Database, blobs: Blobs, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    def progress(self, app: str, sha256: str) -> tuple[int, bool]:
        """Return how many bytes were taken, and whether that is all."""
        with self._database.reading() as stores:
            stores.apps.get(app)
        return self._blobs.upload_offset(app, sha256), self._blobs.upload_done(app, sha256)

    def open(self, app: str, sha256: str) -> tuple[BinaryIO, int]:
        """Open bytes that were taken, all of them, and say how many they are.

        Raises:
            NotFoundError: They were not.
        """
        with self._database.reading() as stores:
            stores.apps.get(app)
        key = upload_key(app, sha256)
        return self._blobs.open(key), self._blobs.size(key)

    def append(
        self,
        caller: Caller,
        app: str,
        sha256: str,
        offset_bytes: int,
        total_bytes: int,
        stream: BinaryIO,
    ) -> tuple[int, bool]:
        """Take more bytes; return how many there are now, and whether that is all.

        Whoever sends the last of them is the one who uploaded it, says the audit log.

        Raises:
            OffsetMismatchError: The upload goes on elsewhere.
            DigestMismatchError: These were all bytes, and they are others than announced.
            BusyError: Somebody else is sending the same bytes.
            UnavailableError: Storage is full, or does not answer.
        """
        with self._database.reading() as stores:
            stores.apps.get(app)
        was_done = self._blobs.upload_done(app, sha256)
        offset_bytes = self._blobs.append(app, sha256, offset_bytes, total_bytes, stream)
        is_done = self._blobs.upload_done(app, sha256)
        if is_done and not was_done:
            with self._database.transaction() as stores:
                stores.audit.append(
                    at=self._clock.now(),
                    actor=caller.name,
                    action="blob.upload",
                    app=app,
                    subject=sha256,
                    after={"length_bytes": offset_bytes},
                )
        return offset_bytes, is_done
