from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from securesystemslib.signer import SSlibKey

from signing.errors import (
    BadKeyFileError,
    KeyExistsError,
    KeyUnavailableError,
    UnsupportedKeyError,
    WrongPassphraseError,
)
from signing.keys import SCHEMES, describe, load_signer, new_key, new_plain_key
from signing.public_keys import OWNER_FIELD, URI_FIELD, owner_of
from tests.signing.world import key

NOW = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
N = 2**15


def known(_: str) -> bytes:
    return b"secret"


def nobody(name: str) -> bytes:
    raise AssertionError(f"asked for {name}")


def test_a_new_key_loads_with_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    public_key = new_key(path, b"secret", "Ada", NOW, scrypt_n=N)
    asked: list[str] = []

    def ask(name: str) -> bytes:
        asked.append(name)
        return b"secret"

    signer = load_signer(f"srnkey:{path}", ask)

    signer.public_key.verify_signature(signer.sign(b"payload"), b"payload")
    assert signer.public_key.keyid == public_key.keyid
    assert asked == ["passphrase of root.key"]


def test_a_new_key_notes_its_owner_and_place(tmp_path: Path) -> None:
    public_key = new_key(tmp_path / "root.key", b"secret", "Ada", NOW, scrypt_n=N)

    notes = public_key.unrecognized_fields
    assert (notes[OWNER_FIELD], notes[URI_FIELD]) == ("Ada", "srnkey:root.key")


def test_key_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new_key(tmp_path / "a.key", b"secret", "Ada", NOW, scrypt_n=N)
        new_plain_key(tmp_path / "b.key")
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())]
    assert modes == [0o600, 0o600]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(b"somebody's key")

    with pytest.raises(KeyExistsError):
        new_key(path, b"secret", "Ada", NOW, scrypt_n=N)

    assert path.read_bytes() == b"somebody's key"
    assert [entry.name for entry in tmp_path.iterdir()] == ["root.key"]


def test_a_key_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        new_plain_key(tmp_path / "missing" / "online.key")

    assert list(tmp_path.iterdir()) == []


def test_a_key_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadKeyFileError):
        new_key(tmp_path / "root.key", b"secret", "Ada", NOW, scrypt_n=2**10)

    assert list(tmp_path.iterdir()) == []


def test_a_wrong_passphrase_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    new_key(path, b"secret", "Ada", NOW, scrypt_n=N)

    with pytest.raises(WrongPassphraseError):
        load_signer(f"srnkey:{path}", lambda _: b"guess")


def test_a_plain_key_loads_only_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "online.key"
    public_key = new_plain_key(path, "signer")

    with pytest.raises(UnsupportedKeyError):
        load_signer(f"file2:{path}", nobody)
    signer = load_signer(f"file2:{path}", nobody, unsafe_plain=True)

    assert signer.public_key.keyid == public_key.keyid
    assert owner_of(public_key) == "signer"


def test_a_plain_key_takes_no_prefix_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_key = new_plain_key(tmp_path / "online.key")
    monkeypatch.setenv("CRYPTO_SIGNER_PATH_PREFIX", "/nowhere")

    signer = load_signer(f"file2:{tmp_path}/online.key", nobody, unsafe_plain=True)

    assert signer.public_key.keyid == public_key.keyid


@pytest.mark.parametrize(
    "uri",
    ["sigstore:ada@example.org", "gnupg:abc", "file:key", "envvar:KEY", "srnkey:", "key.pem", ""],
)
def test_a_scheme_that_is_not_in_the_table_is_refused(uri: str) -> None:
    with pytest.raises(UnsupportedKeyError) as caught:
        load_signer(uri, nobody, public_key=key("root").public_key, unsafe_plain=True)

    assert caught.value.where == uri


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailableError):
        load_signer(f"srnkey:{tmp_path}/none", nobody)


def test_a_file_that_holds_another_key_is_refused(tmp_path: Path) -> None:
    new_plain_key(tmp_path / "online.key")

    with pytest.raises(UnsupportedKeyError):
        load_signer(
            f"file2:{tmp_path}/online.key",
            nobody,
            public_key=key("root").public_key,
            unsafe_plain=True,
        )


def test_a_file_that_holds_the_expected_key_is_taken(tmp_path: Path) -> None:
    public_key = new_plain_key(tmp_path / "online.key")

    signer = load_signer(
        f"file2:{tmp_path}/online.key", nobody, public_key=public_key, unsafe_plain=True
    )

    assert signer.public_key.keyid == public_key.keyid


def test_an_encrypted_pem_is_no_plain_key(tmp_path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (tmp_path / "online.key").write_bytes(pem)

    with pytest.raises(BadKeyFileError):
        load_signer(f"file2:{tmp_path}/online.key", nobody, unsafe_plain=True)


SERVICES = sorted(SCHEMES.keys() - {"srnkey", "file2"})


@pytest.mark.parametrize("scheme", SERVICES)
def test_a_key_service_needs_the_public_half(scheme: str) -> None:
    with pytest.raises(UnsupportedKeyError):
        load_signer(f"{scheme}:name", known)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("awskms:alias/key", KeyUnavailableError),
        ("gcpkms:projects/p", KeyUnavailableError),
        ("azurekms://vault/keys/k/1", KeyUnavailableError),
        ("hv:key/1", KeyUnavailableError),
        ("hsm:2", KeyUnavailableError),
        ("tkey:?digest=ab", KeyUnavailableError),
        ("tkey:", UnsupportedKeyError),
        ("tkey:?nothing=1", UnsupportedKeyError),
    ],
)
def test_a_key_service_that_is_not_at_hand_is_told_as_such(
    uri: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        load_signer(uri, known, public_key=key("root").public_key)


def test_each_scheme_of_the_design_is_in_the_table() -> None:
    assert SERVICES == ["awskms", "azurekms", "gcpkms", "hsm", "hv", "tkey"]


def test_a_key_file_describes_itself_unopened(tmp_path: Path) -> None:
    public_key = new_key(tmp_path / "root.key", b"secret", "Ada", NOW, scrypt_n=N)

    described = describe(tmp_path / "root.key")

    assert described.public_key.keyid == public_key.keyid
    assert (described.encrypted, described.owner, described.created) == (True, "Ada", NOW)
    assert described.mode == 0o600


def test_a_plain_key_describes_itself_as_such(tmp_path: Path) -> None:
    public_key = new_plain_key(tmp_path / "online.key")
    (tmp_path / "online.key").chmod(0o644)

    described = describe(tmp_path / "online.key")

    assert described.public_key == SSlibKey.from_dict(public_key.keyid, plain(public_key))
    assert (described.encrypted, described.created, described.mode) == (False, None, 0o644)


def plain(public_key: SSlibKey) -> dict[str, object]:
    fields = public_key.to_dict()
    return {name: fields[name] for name in ("keytype", "scheme", "keyval")}


@pytest.mark.parametrize("data", [b"", b"{}", b"-----BEGIN NOTHING-----", b"\xff"])
def test_what_is_no_key_file_is_not_described(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)

    with pytest.raises(BadKeyFileError):
        describe(tmp_path / "key")
