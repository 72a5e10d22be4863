"""Public keys: which kinds we take, when two are the same, and how they travel as JSON.

Not here: private halves, which are ``signing.keys``'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import Key, SSlibKey

from signing.errors import UnsupportedKeyError

PublicKey: TypeAlias = SSlibKey

OWNER_FIELD = "x-serinus-owner"
URI_FIELD = "x-serinus-uri"

# (keytype, scheme). Ed25519 by default, the others for hardware and key services that
# cannot do it. Not here on purpose: GPG keys, legacy ECDSA spellings, sigstore identities.
_TAKEN = frozenset(
    {
        ("ed25519", "ed25519"),
        ("ecdsa", "ecdsa-sha2-nistp256"),
        ("ecdsa", "ecdsa-sha2-nistp384"),
        ("rsa", "rsassa-pss-sha256"),
        ("ml-dsa", "ml-dsa-44/1"),
        ("ml-dsa", "ml-dsa-65/1"),
        ("ml-dsa", "ml-dsa-87/1"),
    }
)
_MIN_RSA_BITS = 2048


def public_half(key: Key) -> bytes:
    """Return bytes that are equal for two keys exactly when their public halves are.

    A key ID is only a name: one key listed under two IDs would count twice towards a
    threshold (GHSA-r7vq-6425-j94w and its like), so distinctness is judged by this.

    Raises:
        UnsupportedKeyError: The kind is not one that we take, or the key is malformed.
    """
    loaded = _loaded(key)
    return loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def distinct_keys(keys: Iterable[Key]) -> frozenset[bytes]:
    """Return the public halves of *keys*; raises UnsupportedKeyError when two are equal."""
    halves: dict[bytes, str] = {}
    for key in keys:
        half = public_half(key)
        if half in halves:
            raise UnsupportedKeyError(key.keyid, f"it is the same key as {halves[half]}")
        halves[half] = key.keyid
    return frozenset(halves)


def render_key(key: Key) -> dict[str, Any]:
    """Return *key* as a JSON object, with its ``keyid``."""
    return {"keyid": key.keyid, **key.to_dict()}


def parse_key(value: Mapping[str, Any]) -> PublicKey:
    """Return the key of a JSON object as ``render_key`` makes it.

    The key ID must be the one that follows from the key, so nobody can choose it.

    Raises:
        UnsupportedKeyError: It is malformed, or of a kind that we do not take.
    """
    fields = dict(value)
    keyid = fields.pop("keyid", None)
    if not isinstance(keyid, str):
        raise UnsupportedKeyError("key", "it has no key ID")
    try:
        key = Key.from_dict(keyid, fields)
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedKeyError(keyid, "it is malformed, or of a kind not taken") from error
    canonical = SSlibKey.from_crypto(_loaded(key), scheme=key.scheme)
    canonical.unrecognized_fields = key.unrecognized_fields
    if canonical != key:
        raise UnsupportedKeyError(keyid, "its ID does not follow from it")
    return canonical


def with_owner(key: PublicKey, owner: str, uri: str = "") -> PublicKey:
    """Return *key* with its keeper, and where the private half is, noted beside it.

    The note is signed with the metadata that lists the key, and changes no key ID.
    """
    notes = {OWNER_FIELD: owner, URI_FIELD: uri}
    fields = {**key.unrecognized_fields, **{name: note for name, note in notes.items() if note}}
    return SSlibKey(key.keyid, key.keytype, key.scheme, dict(key.keyval), fields)


def owner_of(key: Key) -> str:
    """Return who keeps the private half, as the signed metadata says; empty if it does not."""
    return str(key.unrecognized_fields.get(OWNER_FIELD, ""))


def _loaded(key: Key) -> PublicKeyTypes:
    if (key.keytype, key.scheme) not in _TAKEN:
        raise UnsupportedKeyError(key.keyid, f"a {key.keytype}/{key.scheme} key is not taken")
    text = key.keyval.get("public")
    if not isinstance(text, str):
        raise UnsupportedKeyError(key.keyid, "it has no public half")
    try:
        if key.keytype == "ed25519":
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
        loaded = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedKeyError(key.keyid, "its public half does not load") from error
    if isinstance(loaded, RSAPublicKey) and loaded.key_size < _MIN_RSA_BITS:
        raise UnsupportedKeyError(key.keyid, f"RSA of {loaded.key_size} bits is too short")
    return loaded
