"""Write a journal to storage so that a crash at any byte breaks no agent.

The order is the journal's; this only insists on it. Playing a journal again is harmless:
what is there with the same bytes is done already.
"""

from __future__ import annotations

from typing import Protocol

from signing.errors import OvertakenError, PublishError, TrustError
from signing.journal import Journal, Write
from signing.metadata import version_of


class BlobWriter(Protocol):
    """Where files are published. All calls are durable and atomic when they return.

    ``create`` writes only where nothing is; ``swap`` only while the content still is
    ``expected`` (None: nothing); both raise otherwise. ``read`` returns None for nothing.
    """

    def create(self, key: str, data: bytes) -> None: ...
    def swap(self, key: str, data: bytes, expected: bytes | None) -> None: ...
    def read(self, key: str) -> bytes | None: ...


def publish(journal: Journal, blobs: BlobWriter, prefix: str) -> None:
    """Write *journal* below *prefix* (``apps/<app>/``), from its start, timestamp last.

    Raises:
        PublishError: Storage holds other bytes under a name that is never written twice.
        OvertakenError: A newer timestamp is published; it stays.
        Exception: What *blobs* raises when it loses a race or fails. Play it again.
    """
    for write in journal.writes:
        key = f"{prefix}{write.path}"
        if write.swap:
            _swap(journal, write, key, blobs)
        else:
            _create(write, key, blobs)


def _create(write: Write, key: str, blobs: BlobWriter) -> None:
    found = blobs.read(key)
    if found is None:
        blobs.create(key, write.data)
    elif found != write.data:
        # A power cut may leave the beginning of a file under its final name on a file system
        # that does not keep its promises. A part of our JSON object is no JSON, so nobody
        # can have published it as something else, and it is safe to complete it.
        if not write.data.startswith(found):
            raise PublishError(key, "other bytes are published under this name")
        blobs.swap(key, write.data, found)


def _swap(journal: Journal, write: Write, key: str, blobs: BlobWriter) -> None:
    found = blobs.read(key)
    if found == write.data:
        return
    version = _version_or_none(found)
    if version is not None and version > journal.timestamp_version:
        raise OvertakenError(key, journal.timestamp_version, version)
    if version == journal.timestamp_version:
        raise PublishError(key, f"another timestamp of version {version} is published")
    blobs.swap(key, write.data, found)


def _version_or_none(data: bytes | None) -> int | None:
    """Return the version of a published timestamp; None for none, and for a torn file."""
    try:
        return None if data is None else version_of(data)
    except TrustError:
        return None
