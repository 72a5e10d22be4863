from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from signing.errors import UnsupportedKeyError
from signing.public_keys import (
    distinct_keys,
    owner_of,
    parse_key,
    public_half,
    render_key,
    with_owner,
)
from tests.signing.world import key

ED25519 = key("root").public_key
P256 = CryptoSigner.generate_ecdsa().public_key
P384 = CryptoSigner.generate_ecdsa(scheme="ecdsa-sha2-nistp384").public_key
RSA = SSlibKey.from_crypto(generate_private_key(65537, 2048).public_key())
MLDSA = CryptoSigner.generate_mldsa().public_key
SHORT_RSA = SSlibKey.from_crypto(generate_private_key(65537, 1024).public_key())


@pytest.mark.parametrize("public_key", [ED25519, P256, P384, RSA, MLDSA])
def test_a_key_survives_its_way_as_json(public_key: SSlibKey) -> None:
    noted = with_owner(public_key, "Ada", "srnkey:ada.key")

    parsed = parse_key(render_key(noted))

    assert parsed == noted
    assert owner_of(parsed) == "Ada"


def test_a_note_changes_no_key_id() -> None:
    assert with_owner(ED25519, "Ada").keyid == ED25519.keyid
    assert owner_of(ED25519) == ""


def test_no_note_is_written_where_there_is_nothing_to_note() -> None:
    assert with_owner(ED25519, "") == ED25519


def fields(**changes: Any) -> dict[str, Any]:
    return {**render_key(ED25519), **changes}


@pytest.mark.parametrize(
    "value",
    [
        {},
        fields(keyid=1),
        fields(keyid="ab" * 32),
        fields(keytype="rsa"),
        fields(scheme=None),
        fields(scheme="ecdsa-sha2-nistp256"),
        fields(keyval="abc"),
        fields(keyval={}),
        fields(keyval={"public": ED25519.keyval["public"].upper()}),
        fields(keyval={"public": " " + ED25519.keyval["public"]}),
        fields(keyval={"public": "ab"}),
        fields(keyval={"public": "zz" * 32}),
        {**render_key(P256), "keyval": {"public": "no PEM"}},
        {**render_key(P256), "keyval": {"public": P384.keyval["public"]}},
        {**render_key(P256), "scheme": "ecdsa-sha2-nistp384"},
        {**render_key(P256), "keytype": "ecdsa-sha2-nistp256"},
        {"keyid": "a", "keytype": "rsa", "scheme": "pgp+rsa-pkcsv1.5", "keyval": {"public": {}}},
        render_key(SHORT_RSA),
    ],
)
def test_what_is_no_key_of_ours_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedKeyError):
        parse_key(value)


@pytest.mark.parametrize(
    ("keytype", "scheme", "like"),
    [
        ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", P256),
        ("ecdsa", "ecdsa-sha2-nistp521", P256),
        ("rsa", "rsa-pkcs1v15-sha256", RSA),
        ("rsa", "pgp+rsa-pkcsv1.5", RSA),
        ("sigstore-oidc", "Fulcio", P256),
    ],
)
def test_a_kind_that_is_not_in_the_table_is_refused(
    keytype: str, scheme: str, like: SSlibKey
) -> None:
    with pytest.raises(UnsupportedKeyError):
        public_half(SSlibKey("id", keytype, scheme, dict(like.keyval)))


def test_a_key_without_a_public_half_is_refused() -> None:
    broken = SSlibKey("id", "ed25519", "ed25519", {"public": "ab"})
    broken.keyval = {}

    with pytest.raises(UnsupportedKeyError):
        public_half(broken)


def test_one_key_under_two_names_is_not_two_keys() -> None:
    again = SSlibKey("another-id", ED25519.keytype, ED25519.scheme, dict(ED25519.keyval))

    with pytest.raises(UnsupportedKeyError):
        distinct_keys([ED25519, again])


def test_one_key_in_two_spellings_is_not_two_keys() -> None:
    upper = {"public": ED25519.keyval["public"].upper()}
    again = SSlibKey("another-id", ED25519.keytype, ED25519.scheme, upper)

    with pytest.raises(UnsupportedKeyError):
        distinct_keys([ED25519, again])


def test_one_key_in_two_pems_is_not_two_keys() -> None:
    again = {"public": P256.keyval["public"].replace("\n", "\r\n")}
    other = SSlibKey("another-id", P256.keytype, P256.scheme, again)

    with pytest.raises(UnsupportedKeyError):
        distinct_keys([P256, other])


def test_distinct_keys_are_told_by_their_public_halves() -> None:
    assert distinct_keys([ED25519, P256]) == {public_half(ED25519), public_half(P256)}


def test_the_public_half_is_the_der_form() -> None:
    raw = bytes.fromhex(ED25519.keyval["public"])

    assert public_half(ED25519).endswith(raw)
    assert public_half(RSA) == generate_der(RSA)


def generate_der(public_key: SSlibKey) -> bytes:
    return public_key._crypto_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
