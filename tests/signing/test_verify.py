from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest
from packaging.version import Version
from tuf.api.exceptions import (
    BadVersionNumberError,
    EqualVersionNumberError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile

from rollout.documents import render_release
from signing.errors import TrustError
from signing.metadata import inline_target
from signing.verify import (
    SignedFile,
    document_of,
    file_of,
    policy_of,
    release_of,
    rollout_of,
    trust_error,
    verify_bytes,
)
from tests.signing.world import APP, LINUX, a_policy, a_release, a_rollout

POLICY_PATH = "demo/policy/stable.json"
ROLLOUT_PATH = "demo/rollout/stable.json"
RELEASE_PATH = "demo/releases/stable/linux-x86_64/1.0/release.json"
DIGEST = "ab" * 32


def code_of(error: pytest.ExceptionInfo[TrustError]) -> str:
    return error.value.code


# --- documents ---------------------------------------------------------------------------


def test_a_document_is_its_canonical_rendering() -> None:
    document = a_policy()

    assert document_of(inline_target(POLICY_PATH, document)) == document


def test_the_order_of_fields_on_the_wire_does_not_matter() -> None:
    document = a_policy()
    target = inline_target(POLICY_PATH, document)
    fields = json.loads(document)
    target.unrecognized_fields["custom"] = dict(reversed(fields.items()))

    assert document_of(target) == document


def test_a_document_that_was_changed_is_refused() -> None:
    target = inline_target(POLICY_PATH, a_policy())
    target.custom["channel"] = "stabel"

    with pytest.raises(TrustError) as caught:
        document_of(target)

    assert code_of(caught) == "hash_mismatch"


def test_a_document_of_another_length_is_refused() -> None:
    target = inline_target(POLICY_PATH, a_policy())
    target.custom["more"] = 1

    with pytest.raises(TrustError) as caught:
        document_of(target)

    assert code_of(caught) == "length_mismatch"


@pytest.mark.parametrize("custom", [None, [], "text", 1, {"a": float("nan")}])
def test_what_is_no_document_is_refused(custom: Any) -> None:
    target = TargetFile(4, {"sha256": DIGEST}, POLICY_PATH, {"custom": custom})

    with pytest.raises(TrustError) as caught:
        document_of(target)

    assert code_of(caught) == "bad_document"


def test_a_target_without_a_document_has_none() -> None:
    with pytest.raises(TrustError):
        document_of(TargetFile(4, {"sha256": DIGEST}, POLICY_PATH))


@pytest.mark.parametrize(
    "hashes",
    [
        {"sha512": "ab" * 64},
        {"blake2b": DIGEST, "sha256": DIGEST},
        {"sha256": DIGEST.upper()},
        {"sha256": "ab"},
        {"sha256": "../" + DIGEST[3:]},
    ],
)
def test_a_file_has_one_hash_and_that_is_sha256(hashes: dict[str, str]) -> None:
    with pytest.raises(TrustError) as caught:
        file_of(TargetFile(4, hashes, "demo/a"))

    assert code_of(caught) == "bad_document"


def test_a_length_is_a_whole_number() -> None:
    with pytest.raises(TrustError):
        file_of(TargetFile(True, {"sha256": DIGEST}, "demo/a"))


def test_a_files_place_bears_its_hash() -> None:
    file = file_of(TargetFile(4, {"sha256": DIGEST}, "demo/a/b.srn"))

    assert file.stored_path == f"targets/demo/a/{DIGEST}.b.srn"


def test_documents_become_values() -> None:
    release = a_release("1.0")
    target = inline_target(RELEASE_PATH, render_release(release))

    assert policy_of(inline_target(POLICY_PATH, a_policy()), APP, "stable").app == APP
    assert rollout_of(inline_target(ROLLOUT_PATH, a_rollout()), APP, "stable").entries
    assert release_of(target, APP, "stable", LINUX, Version("1.0")) == release


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (POLICY_PATH, a_policy("beta")),
        (POLICY_PATH, a_policy(app="other")),
        (POLICY_PATH, a_rollout()),
        ("demo/policy/beta.json", a_policy()),
        (POLICY_PATH, b'{"schema":2}'),
    ],
)
def test_another_channels_or_apps_policy_is_refused(path: str, document: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        policy_of(inline_target(path, document), APP, "stable")

    assert code_of(caught) == "bad_document"


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (ROLLOUT_PATH, a_rollout(channel="beta")),
        (ROLLOUT_PATH, a_policy()),
        ("demo/rollout/beta.json", a_rollout()),
    ],
)
def test_another_channels_rollout_is_refused(path: str, document: bytes) -> None:
    with pytest.raises(TrustError):
        rollout_of(inline_target(path, document), APP, "stable")


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (RELEASE_PATH, render_release(a_release("1.1"))),
        (RELEASE_PATH, render_release(a_release("1.0", "linux-arm64"))),
        (RELEASE_PATH, render_release(a_release("1.0", channel="beta"))),
        (RELEASE_PATH, a_policy()),
        (RELEASE_PATH.replace("1.0", "1.1"), render_release(a_release("1.1"))),
    ],
)
def test_another_platforms_or_versions_release_is_refused(path: str, document: bytes) -> None:
    with pytest.raises(TrustError):
        release_of(inline_target(path, document), APP, "stable", LINUX, Version("1.0"))


# --- bytes -------------------------------------------------------------------------------


def signed(data: bytes) -> SignedFile:
    return SignedFile(
        path="demo/a", sha256=hashlib.sha256(data).hexdigest(), length_bytes=len(data)
    )


@pytest.mark.parametrize("data", [b"", b"payload", b"x" * 200_000])
def test_the_signed_bytes_pass_and_the_handle_is_ready_to_use(data: bytes) -> None:
    handle = io.BytesIO(data)
    handle.seek(len(data) // 2)

    verify_bytes(handle, signed(data))

    assert handle.read() == data


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (b"payloaD", "hash_mismatch"),
        (b"payload!", "length_mismatch"),
        (b"payloa", "length_mismatch"),
        (b"", "length_mismatch"),
    ],
)
def test_other_bytes_are_refused(found: bytes, code: str) -> None:
    with pytest.raises(TrustError) as caught:
        verify_bytes(io.BytesIO(found), signed(b"payload"))

    assert code_of(caught) == code


def test_reading_stops_one_byte_after_the_signed_length() -> None:
    endless = io.BytesIO(b"x" * 1_000_000)

    with pytest.raises(TrustError):
        verify_bytes(endless, signed(b"x" * 10))

    assert endless.tell() == 11


# --- python-tuf's errors -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExpiredMetadataError(), "expired"),
        (BadVersionNumberError(), "bad_version"),
        (EqualVersionNumberError(), "bad_version"),
        (UnsignedMetadataError(), "unsigned"),
        (LengthOrHashMismatchError(), "hash_mismatch"),
        (RepositoryError(), "bad_document"),
    ],
)
def test_each_error_of_python_tuf_has_a_code(error: RepositoryError, code: str) -> None:
    assert trust_error(error, "timestamp").code == code
