"""Check documents and bytes against verified TUF metadata: the value, or an error.

Signatures, versions and expiry are ``tuf.ngclient``'s in an agent, and
``signing.metadata``'s in the server; both end in a ``TargetFile`` that is to be believed.
From there on, server and agent share this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

from packaging.version import Version
from tuf.api.exceptions import (
    BadVersionNumberError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile

from rollout.documents import (
    parse_policy,
    parse_release,
    parse_rollout,
    path_of_policy,
    path_of_release,
    path_of_rollout,
)
from rollout.errors import RolloutError
from rollout.model import Policy, Release, RolloutDocument
from rollout.strict_json import render_canonical
from signing.errors import TrustError

_CHUNK_BYTES = 64 * 1024
_SHA256_DIGITS = 64

# First match wins: subclasses stand before their bases.
_TRUST_CODES: tuple[tuple[type[RepositoryError], str], ...] = (
    (ExpiredMetadataError, "expired"),
    (BadVersionNumberError, "bad_version"),
    (UnsignedMetadataError, "unsigned"),
    (LengthOrHashMismatchError, "hash_mismatch"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedFile:
    """A file that verified metadata names. ``sha256`` is lower-case hex."""

    path: str
    sha256: str
    length_bytes: int

    @property
    def stored_path(self) -> str:
        """Where it lies, from the app's folder: its name bears its hash."""
        return stored_path(self.path, self.sha256)


def stored_path(path: str, sha256: str) -> str:
    """Return where the target *path* lies, from the app's folder: its name bears its hash."""
    folder, _, name = path.rpartition("/")
    return f"targets/{folder}/{sha256}.{name}"


def file_of(target_file: TargetFile) -> SignedFile:
    """Return what verified metadata says of a file.

    Raises:
        TrustError: ``bad_document``; its hash is not one SHA-256, or its length no length.
    """
    # One hash only: clients take the first one for the file's name in storage.
    sha256 = target_file.hashes.get("sha256", "")
    if set(target_file.hashes) != {"sha256"} or not _is_sha256(sha256):
        raise TrustError("bad_document", target_file.path, "its hash is not one SHA-256")
    if type(target_file.length) is not int:
        raise TrustError("bad_document", target_file.path, "its length is no whole number")
    return SignedFile(path=target_file.path, sha256=sha256, length_bytes=target_file.length)


def document_of(target_file: TargetFile) -> bytes:
    """Return the document that lies inline in *target_file*, in its canonical rendering.

    Raises:
        TrustError: There is none, it cannot be rendered, or it is not what the target's
            length and hash say.
    """
    file = file_of(target_file)
    if not isinstance(target_file.custom, dict):
        raise TrustError("bad_document", file.path, "there is no document in it")
    try:
        document = render_canonical(target_file.custom)
    except RolloutError as error:
        raise TrustError("bad_document", file.path, str(error)) from error
    if len(document) != file.length_bytes:
        raise TrustError("length_mismatch", file.path, "the document has another length")
    if hashlib.sha256(document).hexdigest() != file.sha256:
        raise TrustError("hash_mismatch", file.path, "the document has another hash")
    return document


def policy_of(target_file: TargetFile, app: str, channel: str) -> Policy:
    """Return the policy of *channel* that *target_file* holds, or raise TrustError."""
    document = _document_at(target_file, path_of_policy(app, channel))
    try:
        policy = parse_policy(document)
    except RolloutError as error:
        raise TrustError("bad_document", target_file.path, str(error)) from error
    _check_fields(target_file, (policy.app, policy.channel), (app, channel))
    return policy


def rollout_of(target_file: TargetFile, app: str, channel: str) -> RolloutDocument:
    """Return the rollout document of *channel* in *target_file*, or raise TrustError."""
    document = _document_at(target_file, path_of_rollout(app, channel))
    try:
        rollout = parse_rollout(document)
    except RolloutError as error:
        raise TrustError("bad_document", target_file.path, str(error)) from error
    _check_fields(target_file, (rollout.app, rollout.channel), (app, channel))
    return rollout


def release_of(
    target_file: TargetFile, app: str, channel: str, platform: str, version: Version
) -> Release:
    """Return the release of *version* that *target_file* holds, or raise TrustError."""
    document = _document_at(target_file, path_of_release(app, channel, platform, version))
    try:
        release = parse_release(document)
    except RolloutError as error:
        raise TrustError("bad_document", target_file.path, str(error)) from error
    found = (release.app, release.channel, release.platform, str(release.version))
    _check_fields(target_file, found, (app, channel, platform, str(version)))
    return release


def verify_bytes(handle: BinaryIO, file: SignedFile) -> None:
    """Return if what *handle* holds, from its start, is *file*; leaves it at its start.

    The caller keeps using the same handle, so nobody can swap the file in between. Never
    more than one byte beyond the signed length is read.

    Raises:
        TrustError: ``length_mismatch`` or ``hash_mismatch``.
        OSError: It cannot be read.
    """
    handle.seek(0)
    digest = hashlib.sha256()
    left = file.length_bytes
    while left >= 0 and (chunk := handle.read(min(_CHUNK_BYTES, left + 1))):
        left -= len(chunk)
        digest.update(chunk)
    if left:
        detail = "it is longer than signed" if left < 0 else f"{left} bytes are missing"
        raise TrustError("length_mismatch", file.path, detail)
    if digest.hexdigest() != file.sha256:
        raise TrustError("hash_mismatch", file.path, "it has another hash")
    handle.seek(0)


def trust_error(error: RepositoryError, subject: str) -> TrustError:
    """Return our error for one of python-tuf's; what it does not tell is a bad document."""
    for kind, code in _TRUST_CODES:
        if isinstance(error, kind):
            return TrustError(code, subject, str(error))
    return TrustError("bad_document", subject, str(error))


def _document_at(target_file: TargetFile, path: str) -> bytes:
    if target_file.path != path:
        raise TrustError("bad_document", target_file.path, f"it is not {path}")
    return document_of(target_file)


def _check_fields(
    target_file: TargetFile, found: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    if found != expected:
        raise TrustError("bad_document", target_file.path, f"it says {'/'.join(found)} of itself")


def _is_sha256(text: object) -> bool:
    return (
        isinstance(text, str)
        and len(text) == _SHA256_DIGITS
        and set(text) <= set("0123456789abcdef")
    )
