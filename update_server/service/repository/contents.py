"""What signed metadata says, as the values that the stores keep.

The metadata comes from the signer, which has verified it; it is parsed strictly all the
same, since what stands here decides what is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rollout.documents import path_of_policy, path_of_release, path_of_rollout
from rollout.model import Release
from signing.contents import RoleContents, contents_of
from signing.journal import Write
from signing.metadata import parse_targets
from signing.roles import RoleKind, RoleName, parse_role
from update_server.service.ports import StoredDocument, StoredTarget

POLICY: Final = "policy"
ROLLOUT: Final = "rollout"

_WITH_CONTENTS: Final = frozenset({RoleKind.POLICY, RoleKind.ROLLOUT, RoleKind.RELEASES})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """A release, and its document as it was signed."""

    release: Release
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Which version of a role was signed, and until when it is good."""

    version: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedContents:
    """The documents, releases and files of some roles."""

    documents: tuple[StoredDocument, ...] = ()
    releases: tuple[SignedRelease, ...] = ()
    targets: tuple[StoredTarget, ...] = ()

    def document(self, channel: str, kind: str) -> StoredDocument | None:
        """Return the document of *channel*, if these roles have it."""
        for document in self.documents:
            if (document.channel, document.kind) == (channel, kind):
                return document
        return None


def document_writes(app: str, metadata: Mapping[str, bytes]) -> Iterator[Write]:
    """Yield the document files that *metadata* names, as a journal writes them."""
    for _, _, contents in _roles_with_contents(app, metadata, sorted(metadata)):
        for path, document in contents.documents.items():
            yield Write(path=contents.files[path].stored_path, data=document)


def read_contents(
    app: str, metadata: Mapping[str, bytes], roles: Iterable[str] | None = None
) -> SignedContents:
    """Return what *roles* (None: all) of *metadata* say.

    Raises:
        TrustError: It is not what its role may say.
    """
    documents: list[StoredDocument] = []
    releases: list[SignedRelease] = []
    targets: list[StoredTarget] = []
    names = sorted(metadata if roles is None else set(roles) & set(metadata))
    for role, signed, contents in _roles_with_contents(app, metadata, names):
        documents += _documents(app, signed, contents)
        releases += _releases(contents)
        targets += _targets(app, role, contents)
    return SignedContents(
        documents=tuple(documents), releases=tuple(releases), targets=tuple(targets)
    )


def _roles_with_contents(
    app: str, metadata: Mapping[str, bytes], names: Iterable[str]
) -> Iterator[tuple[RoleName, Signature, RoleContents]]:
    for name in names:
        role = parse_role(name)
        if role is not None and role.kind in _WITH_CONTENTS:
            signed = parse_targets(name, metadata[name]).signed
            signature = Signature(version=signed.version, expires_at=_utc(signed.expires))
            yield role, signature, contents_of(app, role, signed)


def _documents(app: str, signed: Signature, contents: RoleContents) -> list[StoredDocument]:
    paths = {(channel, POLICY): path_of_policy(app, channel) for channel in contents.policies}
    paths |= {(channel, ROLLOUT): path_of_rollout(app, channel) for channel in contents.rollouts}
    return [
        StoredDocument(
            app=app,
            channel=channel,
            kind=kind,
            version=signed.version,
            expires_at=signed.expires_at,
            document=contents.documents[path],
        )
        for (channel, kind), path in paths.items()
    ]


def _releases(contents: RoleContents) -> list[SignedRelease]:
    return [
        SignedRelease(release=release, document=contents.documents[_path(release)])
        for release in contents.releases.values()
    ]


def _targets(app: str, role: RoleName, contents: RoleContents) -> list[StoredTarget]:
    # Policies and rollouts keep their path when they change, and never lie among a release's
    # files: only what is immutable is listed.
    if role.kind is not RoleKind.RELEASES:
        return []
    return [
        StoredTarget(
            app=app,
            path=file.path,
            sha256=file.sha256,
            length_bytes=file.length_bytes,
            release=(role.channel, role.platform, file.path.split("/")[-2]),
        )
        for file in contents.files.values()
    ]


def _path(release: Release) -> str:
    return path_of_release(release.app, release.channel, release.platform, release.version)


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
