"""Read TUF metadata strictly, count signatures by distinct keys, and write it.

python-tuf's reader is lenient where two readers could disagree (duplicate keys, floats,
fields that no signature covers), and it counts key IDs. Whatever reaches the server goes
through here first; python-tuf sees only what passed.

Not here: which paths a role may name (``signing.contents``), and whole repositories
(``signing.chain``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, T, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError, SerializationError

from rollout.errors import RolloutError
from rollout.strict_json import MAX_INTEGER, parse_strict
from signing.errors import KeyUnavailableError, TrustError, UnsupportedKeyError
from signing.public_keys import distinct_keys, public_half
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP

# Hard caps in bytes (docs/trust.md, 3); everything else is a targets file.
_MAX_BYTES = {ROOT: 512_000, TIMESTAMP: 16_384, SNAPSHOT: 2_000_000}
_MAX_TARGETS_BYTES = 5_000_000
# A document may nest 8 levels and lies four levels deep.
_MAX_DEPTH = 12
# The longest strings are signatures in hex: 9,254 characters for ML-DSA-87.
_MAX_STRING = 16_384
_MAX_SIGNATURES = 32


def max_bytes_of(role: str) -> int:
    """Return the cap on the role's file."""
    return _MAX_BYTES.get(role, _MAX_TARGETS_BYTES)


def parse_root(data: bytes) -> Metadata[Root]:
    """Return root metadata, its signatures unverified; raises TrustError ``bad_document``."""
    metadata = _parse(ROOT, data, Root)
    root = metadata.signed
    if root.consistent_snapshot is not True:
        raise TrustError("bad_document", ROOT, "consistent snapshots are required")
    for name, role in root.roles.items():
        _check_role(ROOT, name, role.keyids, role.threshold, root.keys)
    _check_keys(ROOT, root.keys.values())
    return metadata


def parse_targets(role: str, data: bytes) -> Metadata[Targets]:
    """Return *role*'s metadata, its signatures unverified; raises TrustError ``bad_document``."""
    metadata = _parse(role, data, Targets)
    delegations = metadata.signed.delegations
    if delegations is not None:
        if delegations.roles is None:
            raise TrustError("bad_document", role, "hash bins are not used here")
        for name, child in delegations.roles.items():
            _check_role(role, name, child.keyids, child.threshold, delegations.keys)
        _check_keys(role, delegations.keys.values())
    return metadata


def parse_snapshot(data: bytes) -> Metadata[Snapshot]:
    """Return snapshot metadata, its signatures unverified; raises TrustError."""
    metadata = _parse(SNAPSHOT, data, Snapshot)
    for name, meta in metadata.signed.meta.items():
        _check_number(SNAPSHOT, f"version of {name}", meta.version)
    return metadata


def parse_timestamp(data: bytes) -> Metadata[Timestamp]:
    """Return timestamp metadata, its signatures unverified; raises TrustError."""
    metadata = _parse(TIMESTAMP, data, Timestamp)
    _check_number(TIMESTAMP, "version of snapshot", metadata.signed.snapshot_meta.version)
    return metadata


def version_of(data: bytes) -> int:
    """Return the version that metadata states of itself; nothing else of it is checked.

    Raises:
        TrustError: ``bad_document``: it states none.
    """
    try:
        version = json.loads(data)["signed"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrustError("bad_document", "metadata", "it has no version") from error
    _check_number("metadata", "version", version)
    return int(version)


def verify_signatures(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> None:
    """Return if enough distinct keys of *role* signed *metadata*.

    python-tuf counts key IDs; that these stand for distinct keys is checked here once more,
    whatever the delegator lists.

    Raises:
        TrustError: ``unsigned``.
    """
    try:
        result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    except (ValueError, SerializationError) as error:
        raise TrustError("unsigned", role, str(error)) from error
    try:
        distinct = {public_half(key) for key in result.signed.values()}
    except UnsupportedKeyError as error:
        raise TrustError("unsigned", role, str(error)) from error
    if len(distinct) < result.threshold:
        raise TrustError(
            "unsigned", role, f"{len(distinct)} of {result.threshold} keys have signed"
        )


def inline_target(path: str, document: bytes) -> TargetFile:
    """Return the target that carries *document*, canonical JSON, in itself."""
    digest = hashlib.sha256(document).hexdigest()
    custom = {"custom": json.loads(document)}
    return TargetFile(len(document), {"sha256": digest}, path, custom)


def signed_by(signers: Iterable[Signer], signed: Signed) -> bytes:
    """Return metadata of *signed* with the signatures of all *signers*."""
    return add_signatures(Metadata(signed), signers)


def add_signatures(metadata: Metadata[Any], signers: Iterable[Signer]) -> bytes:
    """Return *metadata* with the signatures of all *signers* added.

    Raises:
        KeyUnavailableError: A signer fails: hardware not plugged in, service not reached.
    """
    for signer in signers:
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:
            raise KeyUnavailableError(signer.public_key.keyid, str(error)) from error
    return metadata.to_bytes()


def _parse(role: str, data: bytes, kind: type[T]) -> Metadata[T]:
    fields = _strict_fields(role, data, max_bytes_of(role))
    _check_envelope(role, fields)
    try:
        metadata = Metadata[T].from_bytes(data)
    except (DeserializationError, RepositoryError) as error:
        cause = error.__cause__ or error
        raise TrustError("bad_document", role, f"no TUF metadata: {cause}") from error
    if not isinstance(metadata.signed, kind):
        raise TrustError("bad_document", role, f"it is of type {metadata.signed.type}")
    _check_number(role, "version", metadata.signed.version)
    return metadata


def _strict_fields(role: str, data: bytes, max_bytes: int) -> dict[str, Any]:
    try:
        return parse_strict(data, max_bytes=max_bytes, max_depth=_MAX_DEPTH, max_string=_MAX_STRING)
    except RolloutError as error:
        raise TrustError("bad_document", role, str(error)) from error


def _check_envelope(role: str, fields: Mapping[str, Any]) -> None:
    """Refuse what stands outside the signed part: anybody could have written it there."""
    signatures = fields.get("signatures")
    if set(fields) != {"signed", "signatures"} or not isinstance(signatures, list):
        raise TrustError("bad_document", role, "it is not one signed part and its signatures")
    if len(signatures) > _MAX_SIGNATURES:
        raise TrustError("bad_document", role, f"over {_MAX_SIGNATURES} signatures")
    for signature in signatures:
        if not isinstance(signature, dict) or set(signature) != {"keyid", "sig"}:
            raise TrustError("bad_document", role, "a signature is not a key ID and a value")


def _check_role(
    delegator: str, name: str, keyids: Any, threshold: Any, keys: Mapping[str, Key]
) -> None:
    # python-tuf does not look: `true` would count as 1, a string as a list of characters.
    if not isinstance(keyids, list) or not all(isinstance(keyid, str) for keyid in keyids):
        raise TrustError("bad_document", delegator, f"the keys of {name} are not listed")
    if type(threshold) is not int or not 1 <= threshold <= len(keyids):
        raise TrustError("bad_document", delegator, f"the threshold of {name} cannot be met")
    if not set(keyids) <= set(keys):
        raise TrustError("bad_document", delegator, f"{name} names keys that are not there")


def _check_keys(delegator: str, keys: Iterable[Key]) -> None:
    try:
        distinct_keys(keys)
    except UnsupportedKeyError as error:
        raise TrustError("bad_document", delegator, str(error)) from error


def _check_number(role: str, what: str, number: Any) -> None:
    if type(number) is not int or not 1 <= number <= MAX_INTEGER:
        raise TrustError("bad_document", role, f"the {what} is no number from 1 to 2^53-1")
