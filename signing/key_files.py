"""The format of an encrypted key file: JSON that a passphrase opens.

scrypt makes a key of the passphrase; ChaCha20-Poly1305 with it seals the PKCS#8 form of
an Ed25519 key. Everything else in the file (public half, owner, date, parameters) is bound
as associated data, so nobody can swap one key for another under the same name.

Not here: where files lie, and which URI leads to them (``signing.keys``).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from rollout.errors import RolloutError
from rollout.strict_json import parse_strict, render_canonical
from signing.errors import BadKeyFileError, UnsupportedKeyError, WrongPassphraseError
from signing.public_keys import PublicKey, with_owner

FORMAT = "serinus-key-1"
MAX_FILE_BYTES = 16 * 1024
SCRYPT_N = 2**17  # with r=8, p=1 as OWASP advises: 128 MiB, about half a second

# A file states its own parameters, so they are bounded: too small would be weak, too large
# would let a file from elsewhere take all memory (128 * r * n bytes, 1 GiB at most).
_SCRYPT_N_MIN = 2**15
_SCRYPT_N_MAX = 2**20
_SCRYPT_R = 8
_SCRYPT_P = 1
_SALT_BYTES = 32
_NONCE_BYTES = 12
_KEY_BYTES = 32
_OWNER_LENGTH = 200
_HEADER = frozenset({"format", "public", "owner", "created", "kdf", "cipher"})
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """An encrypted key file, parsed and within bounds, but not opened.

    ``where`` names it in errors. Nothing in it is to be believed before it was opened.
    """

    where: str
    header: dict[str, Any]
    secret: bytes
    created: datetime

    @property
    def owner(self) -> str:
        """Who keeps it."""
        return str(self.header["owner"])

    @property
    def public_key(self) -> PublicKey:
        """The public half that the file states."""
        raw = bytes.fromhex(self.header["public"])
        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
        return with_owner(key, self.owner)

    def open(self, passphrase: bytes) -> CryptoSigner:
        """Return the signer, or raise WrongPassphraseError or BadKeyFileError."""
        kdf, cipher = self.header["kdf"], self.header["cipher"]
        key = _derive(passphrase, bytes.fromhex(kdf["salt"]), kdf["n"])
        nonce = bytes.fromhex(cipher["nonce"])
        try:
            pkcs8 = ChaCha20Poly1305(key).decrypt(nonce, self.secret, render_canonical(self.header))
        except InvalidTag as error:
            raise WrongPassphraseError(self.where) from error
        try:
            private_key = load_der_private_key(pkcs8, None)
        except ValueError as error:
            raise BadKeyFileError(self.where, "it seals no key") from error
        # The public half is bound, so it can only differ in a file that was made to lie.
        if (
            not isinstance(private_key, Ed25519PrivateKey)
            or private_key.public_key().public_bytes_raw().hex() != self.header["public"]
        ):
            raise BadKeyFileError(self.where, "the public half is another key's")
        return CryptoSigner(private_key, self.public_key)


def seal(
    private_key: Ed25519PrivateKey,
    passphrase: bytes,
    owner: str,
    now: datetime,
    *,
    scrypt_n: int = SCRYPT_N,
) -> bytes:
    """Return the bytes of a key file that *passphrase* opens.

    Raises:
        UnsupportedKeyError: The passphrase is empty.
    """
    if not passphrase:
        raise UnsupportedKeyError("new key", "an empty passphrase protects nothing")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    header: dict[str, Any] = {
        "format": FORMAT,
        "public": private_key.public_key().public_bytes_raw().hex(),
        "owner": owner[:_OWNER_LENGTH],
        "created": now.astimezone(UTC).strftime(_INSTANT),
        "kdf": {
            "name": "scrypt",
            "n": scrypt_n,
            "r": _SCRYPT_R,
            "p": _SCRYPT_P,
            "salt": salt.hex(),
        },
        "cipher": {"name": "chacha20-poly1305", "nonce": nonce.hex()},
    }
    pkcs8 = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = _derive(passphrase, salt, scrypt_n)
    secret = ChaCha20Poly1305(key).encrypt(nonce, pkcs8, render_canonical(header))
    return render_canonical({**header, "secret": base64.b64encode(secret).decode()}) + b"\n"


def parse_sealed(data: bytes, where: str) -> SealedKey:
    """Return the key file in *data*, still closed.

    Raises:
        BadKeyFileError: It is none, or its parameters are out of bounds.
    """
    try:
        fields = parse_strict(data.removesuffix(b"\n"), max_bytes=MAX_FILE_BYTES)
    except RolloutError as error:
        raise BadKeyFileError(where, "it is no key file") from error
    if fields.get("format") != FORMAT:
        raise BadKeyFileError(where, f"its format is not {FORMAT}")
    texts = [fields.get(name) for name in ("public", "owner", "created", "secret")]
    # Unknown fields are refused: what this version does not know it cannot have checked.
    if set(fields) != _HEADER | {"secret"} or not all(isinstance(text, str) for text in texts):
        raise BadKeyFileError(where, "its fields are not those of the format")
    if not _is_hex(fields["public"], _KEY_BYTES):
        raise BadKeyFileError(where, "the public half is no Ed25519 key")
    if not _kdf_is_bounded(fields["kdf"]):
        raise BadKeyFileError(where, "the key derivation is out of bounds")
    if not _cipher_is_known(fields["cipher"]):
        raise BadKeyFileError(where, "the cipher is unknown")
    try:
        secret = base64.b64decode(fields.pop("secret"), validate=True)
        created = datetime.strptime(fields["created"], _INSTANT).replace(tzinfo=UTC)
    except (binascii.Error, ValueError) as error:
        raise BadKeyFileError(where, "a field does not parse") from error
    return SealedKey(where=where, header=fields, secret=secret, created=created)


def _derive(passphrase: bytes, salt: bytes, n: int) -> bytes:
    scrypt = Scrypt(salt=salt, length=_KEY_BYTES, n=n, r=_SCRYPT_R, p=_SCRYPT_P)
    return scrypt.derive(passphrase)


def _kdf_is_bounded(kdf: Any) -> bool:
    if not isinstance(kdf, dict) or set(kdf) != {"name", "n", "r", "p", "salt"}:
        return False
    n = kdf["n"]
    return (
        kdf["name"] == "scrypt"
        and type(n) is int
        and _SCRYPT_N_MIN <= n <= _SCRYPT_N_MAX
        and n & (n - 1) == 0
        and [kdf["r"], kdf["p"]] == [_SCRYPT_R, _SCRYPT_P]
        and _is_hex(kdf["salt"], _SALT_BYTES)
    )


def _cipher_is_known(cipher: Any) -> bool:
    return (
        isinstance(cipher, dict)
        and set(cipher) == {"name", "nonce"}
        and cipher["name"] == "chacha20-poly1305"
        and _is_hex(cipher["nonce"], _NONCE_BYTES)
    )


def _is_hex(value: Any, length_bytes: int) -> bool:
    return (
        isinstance(value, str)
        and len(value) == 2 * length_bytes
        and set(value) <= set("0123456789abcdef")
    )
