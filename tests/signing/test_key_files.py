from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rollout.strict_json import render_canonical
from signing.errors import BadKeyFileError, UnsupportedKeyError, WrongPassphraseError
from signing.key_files import SCRYPT_N, parse_sealed, seal
from signing.public_keys import owner_of

PASSPHRASE = b"correct horse battery staple"
CREATED = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
N = 2**15
PRIVATE = Ed25519PrivateKey.generate()
FILE = seal(PRIVATE, PASSPHRASE, "Ada", CREATED, scrypt_n=N)


def changed(**changes: Any) -> bytes:
    return render_canonical({**json.loads(FILE), **changes})


def changed_part(part: str, **changes: Any) -> bytes:
    fields = json.loads(FILE)
    return render_canonical({**fields, part: {**fields[part], **changes}})


def test_the_passphrase_opens_the_key() -> None:
    signer = parse_sealed(FILE, "key").open(PASSPHRASE)

    signature = signer.sign(b"payload")

    signer.public_key.verify_signature(signature, b"payload")
    assert signer.public_key.keyval["public"] == PRIVATE.public_key().public_bytes_raw().hex()
    assert owner_of(signer.public_key) == "Ada"


def test_a_closed_file_tells_its_owner_and_date() -> None:
    sealed = parse_sealed(FILE, "key")

    assert (sealed.owner, sealed.created) == ("Ada", CREATED)


def test_a_wrong_passphrase_has_an_error_of_its_own() -> None:
    with pytest.raises(WrongPassphraseError) as caught:
        parse_sealed(FILE, "keys/root.key").open(b"correct horse battery stable")

    assert (caught.value.code, caught.value.where) == ("wrong_passphrase", "keys/root.key")


def test_no_text_of_an_error_holds_the_passphrase() -> None:
    with pytest.raises(WrongPassphraseError) as caught:
        parse_sealed(FILE, "key").open(b"opensesame")

    assert "opensesame" not in str(caught.value)


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(UnsupportedKeyError):
        seal(PRIVATE, b"", "Ada", CREATED)


def test_the_same_key_is_sealed_differently_each_time() -> None:
    other = seal(PRIVATE, PASSPHRASE, "Ada", CREATED, scrypt_n=N)

    fields, others = json.loads(FILE), json.loads(other)
    assert fields["kdf"]["salt"] != others["kdf"]["salt"]
    assert fields["cipher"]["nonce"] != others["cipher"]["nonce"]


def test_the_default_costs_128_mebibytes() -> None:
    assert 128 * 8 * SCRYPT_N == 128 * 1024**2


def test_the_private_half_is_nowhere_in_the_file() -> None:
    raw = PRIVATE.private_bytes_raw()

    assert raw.hex().encode() not in FILE
    assert raw not in FILE


@pytest.mark.parametrize(
    "data",
    [
        changed(owner="Eve"),
        changed(created="2026-11-22T03:00:01Z"),
        changed(public=Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()),
        changed_part("kdf", n=2 * N),
        changed_part("kdf", salt="00" * 32),
        changed_part("cipher", nonce="00" * 12),
        changed(secret="AAAA" + json.loads(FILE)["secret"][4:]),
    ],
    ids=["owner", "created", "public", "n", "salt", "nonce", "secret"],
)
def test_nothing_in_the_file_can_be_changed_unnoticed(data: bytes) -> None:
    with pytest.raises(WrongPassphraseError):
        parse_sealed(data, "key").open(PASSPHRASE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        FILE[:-2] + b"," + FILE[1:],
        b" " * 20_000,
        changed(format="serinus-key-2"),
        changed(extra=1),
        changed(owner=None),
        changed(owner=1),
        changed(public="AB" * 32),
        changed(public="ab" * 31),
        changed(created="yesterday"),
        changed(secret="!"),
        changed(kdf="scrypt"),
        changed(cipher="chacha20-poly1305"),
        changed_part("kdf", extra=1),
        changed_part("kdf", name="pbkdf2"),
        changed_part("kdf", n=2**14),
        changed_part("kdf", n=2**21),
        changed_part("kdf", n=N + 1),
        changed_part("kdf", n=True),
        changed_part("kdf", n=str(N)),
        changed_part("kdf", r=16),
        changed_part("kdf", p=2**20),
        changed_part("kdf", salt="00"),
        changed_part("kdf", salt=0),
        changed_part("cipher", name="aes-256-gcm"),
        changed_part("cipher", nonce="00"),
        changed_part("cipher", extra=1),
    ],
)
def test_a_file_of_another_shape_or_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(BadKeyFileError):
        parse_sealed(data, "key")


def resealed(edit: Callable[[dict[str, Any]], bytes]) -> bytes:
    """Return a file that its maker, who knows the passphrase, made to lie."""
    sealed = parse_sealed(FILE, "key")
    pkcs8 = edit(sealed.header)
    salt = bytes.fromhex(sealed.header["kdf"]["salt"])
    key = Scrypt(salt=salt, length=32, n=N, r=8, p=1).derive(PASSPHRASE)
    nonce = bytes.fromhex(sealed.header["cipher"]["nonce"])
    secret = ChaCha20Poly1305(key).encrypt(nonce, pkcs8, render_canonical(sealed.header))
    return render_canonical({**sealed.header, "secret": base64.b64encode(secret).decode()})


def test_a_file_made_with_another_keys_public_half_is_refused() -> None:
    def edit(header: dict[str, Any]) -> bytes:
        header["public"] = "ab" * 32
        return PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(BadKeyFileError):
        parse_sealed(resealed(edit), "key").open(PASSPHRASE)


def test_a_file_that_seals_another_kind_of_key_is_refused() -> None:
    def edit(_: dict[str, Any]) -> bytes:
        other = generate_private_key(SECP256R1())
        return other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(BadKeyFileError):
        parse_sealed(resealed(edit), "key").open(PASSPHRASE)


def test_a_file_that_seals_no_key_is_refused() -> None:
    with pytest.raises(BadKeyFileError):
        parse_sealed(resealed(lambda _: b"no key"), "key").open(PASSPHRASE)
