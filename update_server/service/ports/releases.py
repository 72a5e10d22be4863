"""Releases, what is signed about them, and the journal of signed states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTarget:
    """A file that signed metadata names. ``public`` once a general ring offers it.

    ``release`` is (channel, platform, version) for a release's files, else None.
    """

    app: str
    path: str
    sha256: str
    length_bytes: int
    release: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """A release of one platform, with the rendered document that the publisher signed."""

    app: str
    channel: str
    platform: str
    version: Version
    number: int
    document: bytes
    admitted_at: datetime
    submitted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """The newest signed policy or rollout document of a channel. ``kind`` names which."""

    app: str
    channel: str
    kind: str  # "policy" or "rollout"
    version: int
    expires_at: datetime
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One signed state of an app's repository, with its bytes, before and after it is written.

    ``body`` is ``signing.repository``'s serialised journal, opaque to stores.
    """

    id: int
    app: str
    timestamp_version: int
    body: bytes
    created_at: datetime
    published_at: datetime | None = None


class Releases(Protocol):
    """Admitted releases and the files that they name."""

    def add(self, release: StoredRelease) -> StoredRelease: ...  # number assigned; ExistsError
    def get(self, app: str, channel: str, version: Version) -> Sequence[StoredRelease]: ...
    def all(self, app: str) -> Sequence[StoredRelease]: ...
    # on all channels
    def of_versions(self, app: str, versions: Collection[Version]) -> Sequence[StoredRelease]: ...
    def versions(self, app: str) -> Sequence[tuple[str, Version]]: ...  # by channel, each once
    # with when each was first admitted there
    def published(self, app: str) -> Sequence[tuple[str, Version, datetime]]: ...
    def add_targets(self, targets: Iterable[StoredTarget]) -> None: ...  # identical: no-op
    def target(self, app: str, path: str) -> StoredTarget: ...
    # only those of releases of *versions*, if told
    def targets(
        self, app: str, versions: Collection[Version] | None = None
    ) -> Sequence[StoredTarget]: ...
    def put_document(self, document: StoredDocument) -> None: ...  # never back in version
    def documents(self, app: str) -> Sequence[StoredDocument]: ...


class Journal(Protocol):
    """Signed states of repositories, in order."""

    def add(self, app: str, timestamp_version: int, body: bytes, now: datetime) -> JournalRow: ...
    def unpublished(self) -> Sequence[JournalRow]: ...  # oldest first
    def mark_published(self, row_id: int, now: datetime) -> None: ...
    def newest(self, app: str) -> JournalRow: ...  # NotFoundError
    def page(self, app: str, *, after_id: int, limit: int) -> Sequence[JournalRow]: ...  # in order
