"""Contract of ports.Blobs, over the fake and the local directory."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeBlobs
from update_server.blobs import LocalBlobs
from update_server.blobs.keys import BadKeyError, check_key
from update_server.service.ports import (
    Blobs,
    ChangedError,
    DigestMismatchError,
    ExistsError,
    NotFoundError,
    OffsetMismatchError,
)

KEY = "apps/demo/tuf/1.root.json"
DATA = bytes(range(256)) * 300
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["fake", "local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return FakeBlobs() if request.param == "fake" else LocalBlobs(tmp_path / "files")


class BrokenStream(io.BytesIO):
    """A stream whose sender goes away after some bytes."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError
        return data


# --- published bytes ---


def test_a_created_blob_is_read_back(blobs: Blobs) -> None:
    blobs.create(KEY, DATA)

    assert blobs.read(KEY) == DATA
    assert blobs.size(KEY) == len(DATA)
    with blobs.open(KEY) as file:
        file.seek(-3, io.SEEK_END)
        assert file.read() == DATA[-3:]


def test_the_same_bytes_are_created_twice_without_an_error(blobs: Blobs) -> None:
    blobs.create(KEY, DATA)
    blobs.create(KEY, DATA)

    assert blobs.read(KEY) == DATA


def test_other_bytes_are_not_created_in_their_place(blobs: Blobs) -> None:
    blobs.create(KEY, DATA)

    with pytest.raises(ExistsError) as caught:
        blobs.create(KEY, b"other")

    assert (caught.value.kind, caught.value.key) == ("blob", KEY)
    assert blobs.read(KEY) == DATA


def test_an_absent_blob_is_not_found(blobs: Blobs) -> None:
    reads: list[Callable[[str], object]] = [blobs.read, blobs.open, blobs.size]
    for call in reads:
        with pytest.raises(NotFoundError) as caught:
            call(KEY)
        assert (caught.value.kind, caught.value.key) == ("blob", KEY)


def test_a_folder_of_blobs_is_no_blob(blobs: Blobs) -> None:
    blobs.create(KEY, DATA)

    reads: list[Callable[[str], object]] = [blobs.read, blobs.open, blobs.size]
    for key in ("apps/demo", KEY + "/below"):
        for call in reads:
            with pytest.raises(NotFoundError):
                call(key)


def test_a_swap_replaces_what_was_expected(blobs: Blobs) -> None:
    blobs.swap(KEY, b"one", None)
    blobs.swap(KEY, b"two", b"one")

    assert blobs.read(KEY) == b"two"


@pytest.mark.parametrize("expected", [None, b"zero", b""])
def test_a_swap_of_something_else_changes_nothing(blobs: Blobs, expected: bytes | None) -> None:
    blobs.create(KEY, b"one")

    with pytest.raises(ChangedError):
        blobs.swap(KEY, b"two", expected)

    assert blobs.read(KEY) == b"one"


def test_a_swap_of_an_absent_blob_is_refused(blobs: Blobs) -> None:
    with pytest.raises(ChangedError):
        blobs.swap(KEY, b"two", b"one")

    assert blobs.list("") == []


def test_blobs_are_listed_by_prefix_in_order(blobs: Blobs) -> None:
    keys = ["apps/a/x", "apps/ab/y", "apps/a/b/c", "blobs/z", "top"]
    for key in keys:
        blobs.create(key, b"")
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA[:10]))

    assert blobs.list("") == sorted(keys)
    assert blobs.list("apps/a") == ["apps/a/b/c", "apps/a/x", "apps/ab/y"]
    assert blobs.list("apps/a/") == ["apps/a/b/c", "apps/a/x"]
    assert blobs.list("none/") == []


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(blobs: Blobs) -> None:
    blobs.create(KEY, DATA)

    for _ in range(2):
        blobs.delete(KEY)

    with pytest.raises(NotFoundError):
        blobs.read(KEY)


def test_a_copy_is_a_blob_of_its_own(blobs: Blobs) -> None:
    blobs.create("private/x", DATA)
    blobs.copy("private/x", KEY)
    blobs.copy("private/x", KEY)

    blobs.delete("private/x")

    assert blobs.read(KEY) == DATA


def test_a_copy_replaces_nothing(blobs: Blobs) -> None:
    blobs.create("private/x", DATA)
    blobs.create("same", DATA)
    blobs.create("other", b"other")

    blobs.copy("private/x", "same")
    with pytest.raises(ExistsError):
        blobs.copy("private/x", "other")
    with pytest.raises(NotFoundError):
        blobs.copy("none", "new")

    assert blobs.read("other") == b"other"


BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../b",
    "a/./b",
    "a//b",
    "a/",
    ".tmp/x",
    ".lock",
    "a/.hidden",
    "a\\b",
    "a\0b",
    "a b",
    "é",
    "a%2e%2e",
    "uploads/x",
    "x" * 256,
    "x/" * 600 + "x",
    "a\n",
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_could_lead_elsewhere_names_no_blob(blobs: Blobs, key: str) -> None:
    blobs.create("good", b"")

    calls: list[Callable[[], object]] = [
        lambda: blobs.read(key),
        lambda: blobs.open(key),
        lambda: blobs.size(key),
        lambda: blobs.create(key, b"x"),
        lambda: blobs.swap(key, b"x", None),
        lambda: blobs.delete(key),
        lambda: blobs.copy(key, "new"),
        lambda: blobs.copy("good", key),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()
    assert blobs.list("") == ["good"]


@pytest.mark.parametrize("prefix", ["../", "/", "a/../", ".tmp/", "uploads/", "a//"])
def test_a_prefix_that_could_lead_elsewhere_is_refused(blobs: Blobs, prefix: str) -> None:
    with pytest.raises(NotFoundError):
        blobs.list(prefix)


# --- uploads ---


def test_an_upload_in_one_piece_becomes_a_blob(blobs: Blobs) -> None:
    assert (blobs.upload_offset("demo", SHA), blobs.upload_done("demo", SHA)) == (0, False)

    assert blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA)) == len(DATA)

    assert (blobs.upload_offset("demo", SHA), blobs.upload_done("demo", SHA)) == (len(DATA), True)
    assert blobs.read(f"blobs/demo/{SHA}") == DATA


def test_an_upload_goes_on_where_it_broke_off(blobs: Blobs) -> None:
    with pytest.raises(ConnectionResetError):
        blobs.append("demo", SHA, 0, len(DATA), BrokenStream(DATA[:1000]))
    assert (blobs.upload_offset("demo", SHA), blobs.upload_done("demo", SHA)) == (1000, False)

    assert blobs.append("demo", SHA, 1000, len(DATA), io.BytesIO(DATA[1000:2000])) == 2000
    assert blobs.append("demo", SHA, 2000, len(DATA), io.BytesIO(DATA[2000:])) == len(DATA)

    assert blobs.read(f"blobs/demo/{SHA}") == DATA


@pytest.mark.parametrize("offset", [0, 999, 1001, 10**9])
def test_an_upload_goes_on_nowhere_else(blobs: Blobs, offset: int) -> None:
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA[:1000]))

    with pytest.raises(OffsetMismatchError) as caught:
        blobs.append("demo", SHA, offset, len(DATA), io.BytesIO(DATA))

    assert caught.value.expected_bytes == blobs.upload_offset("demo", SHA) == 1000


def test_bytes_other_than_announced_are_gone(blobs: Blobs) -> None:
    forged = b"x" * len(DATA)

    with pytest.raises(DigestMismatchError) as caught:
        blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(forged))

    assert (caught.value.expected, caught.value.found) == (SHA, hashlib.sha256(forged).hexdigest())
    assert (blobs.upload_offset("demo", SHA), blobs.upload_done("demo", SHA)) == (0, False)
    assert blobs.list("") == []


def test_a_shorter_total_than_what_is_here_is_a_mismatch(blobs: Blobs) -> None:
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA[:1000]))

    with pytest.raises(DigestMismatchError):
        blobs.append("demo", SHA, 1000, 500, io.BytesIO())

    assert blobs.upload_offset("demo", SHA) == 0


def test_bytes_beyond_the_total_are_not_taken(blobs: Blobs) -> None:
    stream = io.BytesIO(DATA + b"more")

    blobs.append("demo", SHA, 0, len(DATA), stream)

    assert blobs.read(f"blobs/demo/{SHA}") == DATA
    assert stream.read() == b"more"


def test_a_finished_upload_takes_nothing_more(blobs: Blobs) -> None:
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert blobs.append("demo", SHA, len(DATA), len(DATA), io.BytesIO(b"x")) == len(DATA)
    with pytest.raises(OffsetMismatchError) as caught:
        blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert caught.value.expected_bytes == len(DATA)
    assert blobs.read(f"blobs/demo/{SHA}") == DATA


def test_no_bytes_at_all_are_a_blob_too(blobs: Blobs) -> None:
    nothing = hashlib.sha256(b"").hexdigest()

    assert blobs.append("demo", nothing, 0, 0, io.BytesIO()) == 0

    assert blobs.upload_done("demo", nothing)


@pytest.mark.parametrize("sha256", ["", "ab", "A" * 64, "../" + "a" * 61, "a" * 63 + "/"])
def test_what_is_no_digest_is_no_upload(blobs: Blobs, sha256: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blobs.upload_offset("demo", sha256),
        lambda: blobs.upload_done("demo", sha256),
        lambda: blobs.append("demo", sha256, 0, 1, io.BytesIO(b"x")),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()


@given(st.text(max_size=30))
def test_whatever_the_key_a_local_blob_stays_below_its_root(key: str) -> None:
    root = Path("/srv/files")
    try:
        path = root / check_key(key)
    except BadKeyError:
        return
    assert path.is_relative_to(root)
    assert ".." not in path.parts


def test_what_one_app_uploaded_is_not_there_for_another(blobs: Blobs) -> None:
    blobs.append("demo", SHA, 0, len(DATA), io.BytesIO(DATA))

    assert (blobs.upload_offset("paint", SHA), blobs.upload_done("paint", SHA)) == (0, False)
    with pytest.raises(NotFoundError):
        blobs.read(f"blobs/paint/{SHA}")


@pytest.mark.parametrize("app", ["..", "a/b", "a.b", "", ".x"])
def test_an_app_is_one_segment_of_an_upload_s_key(blobs: Blobs, app: str) -> None:
    with pytest.raises(NotFoundError):
        blobs.append(app, SHA, 0, len(DATA), io.BytesIO(DATA))
