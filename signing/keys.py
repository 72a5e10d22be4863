"""Make, load and describe keys; find the signer that a key's URI names.

Offline keys lie in files that a passphrase opens (``srnkey:``), or in hardware and key
services. Online keys are plain PEM files that the signer process alone can read.

Not here: the format of encrypted files (``signing.key_files``), public keys
(``signing.public_keys``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    AWSSigner,
    AzureSigner,
    CryptoSigner,
    GCPSigner,
    HSMSigner,
    Key,
    Signer,
    TKeySigner,
    VaultSigner,
)

from signing.errors import (
    BadKeyFileError,
    KeyExistsError,
    KeyUnavailableError,
    UnsupportedKeyError,
)
from signing.key_files import MAX_FILE_BYTES, SCRYPT_N, parse_sealed, seal
from signing.public_keys import PublicKey, with_owner

Passphrase = Callable[[str], bytes]
"""Asked for a secret, by a name to show to a person; returns the secret."""

Loader = Callable[[str, Passphrase, Key | None], Signer]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """What a key file says of itself, unopened. ``created`` is None for plain keys.

    ``mode`` holds the permission bits: others than 0o600 are worth a warning.
    """

    path: Path
    encrypted: bool
    public_key: PublicKey
    owner: str
    created: datetime | None
    mode: int


def new_key(
    path: Path, passphrase: bytes, owner: str, now: datetime, *, scrypt_n: int = SCRYPT_N
) -> PublicKey:
    """Make an Ed25519 key in a new encrypted file, mode 0600, and return its public half.

    Raises:
        UnsupportedKeyError: The passphrase is empty.
        KeyExistsError: There is a file already.
        OSError: It cannot be written; then no file is left.
    """
    private_key = Ed25519PrivateKey.generate()
    data = seal(private_key, passphrase, owner, now, scrypt_n=scrypt_n)
    # Read back first: a file that could not be read would be a key lost.
    public_key = parse_sealed(data, str(path)).public_key
    _create(path, data)
    return with_owner(public_key, owner, f"srnkey:{path.name}")


def new_plain_key(path: Path, owner: str = "") -> PublicKey:
    """Make an Ed25519 key in a new *unencrypted* PEM file, mode 0600: for online keys only.

    Raises:
        KeyExistsError: There is a file already.
        OSError: It cannot be written; then no file is left.
    """
    signer = CryptoSigner.generate_ed25519()
    _create(path, signer.private_bytes)
    return with_owner(signer.public_key, owner, f"file2:{path.name}")


def load_signer(
    uri: str,
    passphrase: Passphrase,
    *,
    public_key: Key | None = None,
    unsafe_plain: bool = False,
) -> Signer:
    """Return the signer that *uri* names, by the table ``SCHEMES``.

    Key services need ``public_key``, as the signed metadata lists it; files need not, but
    must then hold that key. ``unsafe_plain`` allows ``file2:``, an unencrypted file.

    Raises:
        UnsupportedKeyError: The scheme is unknown or refused, or it is another key.
        KeyUnavailableError: No such file, or the service's library is not installed.
        BadKeyFileError: The file is no key file.
        WrongPassphraseError: The passphrase does not open it.
    """
    scheme, _, rest = uri.partition(":")
    if scheme in _REFUSED:
        raise UnsupportedKeyError(uri, _REFUSED[scheme])
    if scheme not in SCHEMES or not rest:
        known = " ".join(f"{name}:" for name in SCHEMES)
        raise UnsupportedKeyError(uri, f"a key URI starts with one of {known}")
    if scheme == "file2" and not unsafe_plain:
        raise UnsupportedKeyError(uri, "an unencrypted key must be allowed explicitly")
    signer = SCHEMES[scheme](uri, passphrase, public_key)
    if public_key is not None and signer.public_key.keyid != public_key.keyid:
        raise UnsupportedKeyError(uri, f"it is not the key {public_key.keyid}")
    return signer


def describe(path: Path) -> KeyDescription:
    """Return what the key file at *path* says of itself; it is not opened.

    Raises:
        KeyUnavailableError: There is no such file.
        BadKeyFileError: It is no key file.
    """
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if data.startswith(b"-----BEGIN"):
        return KeyDescription(
            path=path,
            encrypted=False,
            public_key=_plain_signer(path, data).public_key,
            owner="",
            created=None,
            mode=mode,
        )
    sealed = parse_sealed(data, str(path))
    return KeyDescription(
        path=path,
        encrypted=True,
        public_key=sealed.public_key,
        owner=sealed.owner,
        created=sealed.created,
        mode=mode,
    )


# --- by scheme ---------------------------------------------------------------------------


def _load_sealed(uri: str, passphrase: Passphrase, _: Key | None) -> Signer:
    path = _path(uri)
    sealed = parse_sealed(_read(path), str(path))
    return sealed.open(passphrase(f"passphrase of {path.name}"))


def _load_plain(uri: str, _: Passphrase, __: Key | None) -> Signer:
    path = _path(uri)
    return _plain_signer(path, _read(path))


def _service(signer: type[Signer]) -> Loader:
    def load(uri: str, passphrase: Passphrase, public_key: Key | None) -> Signer:
        if public_key is None:
            raise UnsupportedKeyError(uri, "a key service's key needs its public half")
        try:
            return signer.from_priv_key_uri(uri, public_key, lambda name: passphrase(name).decode())
        except UnsupportedLibraryError as error:
            raise KeyUnavailableError(uri, str(error)) from error
        except ValueError as error:
            raise UnsupportedKeyError(uri, str(error)) from error

    return load


# Explicit, so that a library that registers more schemes adds nothing here.
SCHEMES: Mapping[str, Loader] = {
    "srnkey": _load_sealed,
    "file2": _load_plain,
    "awskms": _service(AWSSigner),
    "gcpkms": _service(GCPSigner),
    "azurekms": _service(AzureSigner),
    "hv": _service(VaultSigner),
    "hsm": _service(HSMSigner),
    "tkey": _service(TKeySigner),
}

_REFUSED: Mapping[str, str] = {
    "sigstore": "sigstore keys are refused: their format is declared unstable",
    "gnupg": "GPG keys are refused",
}


# --- files -------------------------------------------------------------------------------


def _path(uri: str) -> Path:
    return Path(uri.partition(":")[2])


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyUnavailableError(str(path), error.strerror or "it cannot be read") from error


def _create(path: Path, data: bytes) -> None:
    """Write a new file that is complete or not there, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        # A link fails where a file is already; a rename would replace somebody's key.
        os.link(temporary, path)
    except FileExistsError as error:
        raise KeyExistsError(str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(PermissionError):  # Windows cannot open folders, nor sync them
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _plain_signer(path: Path, data: bytes) -> CryptoSigner:
    try:
        return CryptoSigner(load_pem_private_key(data, None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKeyFileError(str(path), "it is no plain PKCS#8 PEM file") from error
