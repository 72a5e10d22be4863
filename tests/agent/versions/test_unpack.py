"""Payloads: the signed tree comes out, or nothing is accepted."""

import hashlib
import io
import itertools
import lzma
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from client_agent.errors import Code, PayloadError
from client_agent.platforms.linux import Linux
from client_agent.versions.tree import verify_tree
from client_agent.versions.unpack import open_payload
from rollout.manifest import MAX_MANIFEST_BYTES, MAX_TREE_BYTES
from tests.agent.trees import (
    APP,
    Packed,
    an_installation,
    build,
    goal_for,
    listing,
    pack,
    payload_of,
    xz,
)

HEADER = "serinus-manifest\t1\tdemo\tlinux-x86_64\t2.1.0\tapp\n"


def a_line(content: bytes, path: str, mode: str = "644", size: int | None = None) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    return f"f\t{mode}\t{len(content) if size is None else size}\t{sha256}\t{path}\n"


APP_LINE = a_line(APP, "app", "755")


def signed(manifest: str | bytes, payload: bytes, *, tree_bytes: int, files: int) -> Packed:
    """Return *payload* as if a publisher had signed exactly these bytes."""
    spelled = manifest.encode() if isinstance(manifest, str) else manifest
    goal = goal_for(spelled, payload, tree_bytes=tree_bytes, files=files)
    return Packed(payload=payload, manifest=spelled, goal=goal)


def code_of(folder: Path, packed: Packed) -> Code:
    """Build *packed* and return why it was refused; nothing may be left of it."""
    installation = an_installation(folder)
    with pytest.raises(PayloadError) as caught:
        build(installation, packed)
    assert list(installation.staging.iterdir()) == []
    assert list(installation.versions.iterdir()) == []
    return caught.value.code


def test_a_payload_becomes_its_tree(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    packed = pack()

    built = build(installation, packed)

    folder = installation.path_of(built)
    assert built.directory == f"2.1.0-{packed.goal.manifest_sha256[:8]}"
    assert listing(folder) == {
        ".serinus/manifest": packed.manifest,
        "app": APP,
        "bin/tool": APP,
        "data/a/b": b"b" * 70_000,
        "data/nothing": b"",
        "data/nothing-else": b"",
        "empty": None,
        "lib/libx.so": "-> libx.so.1",
        "lib/libx.so.1": b"\x7fELF" + bytes(range(256)),
    }
    assert (folder / "app").stat().st_mode & 0o777 == 0o555
    assert (folder / "data/a/b").stat().st_mode & 0o777 == 0o444
    assert folder.stat().st_mode & 0o777 == 0o755
    verify_tree(folder, packed.goal.manifest_sha256, Linux())


def test_progress_ends_at_the_size_of_the_tree(tmp_path: Path) -> None:
    installation = an_installation(tmp_path)
    packed = pack()
    told: list[tuple[int, int]] = []

    with packed.file(installation.parts).open("rb") as part:
        installation.build(part, packed.goal, lambda *pair: told.append(pair))

    total = packed.goal.release.artifact.tree_bytes
    assert told == sorted(told)
    assert told[-1] == (total, total)
    assert max(after[0] - before[0] for before, after in itertools.pairwise(told)) <= 65536


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data + b"\0", "a trailing byte"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:32], "only a header"),
        (lambda data: data[:31], "not even a header"),
        (lambda data: data[:0], "nothing"),
        (lambda data: b"PK\3\4" + data[4:], "a zip"),
        (lambda data: data[:8] + struct.pack("<I", 2**32 - 1) + data[12:], "a lying length"),
    ],
)
def test_a_file_of_another_shape_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    packed = pack()
    payload = change(packed.payload)

    refused = Packed(payload=payload, manifest=packed.manifest, goal=packed.goal)

    assert code_of(tmp_path, refused) is Code.BAD_PAYLOAD, why


def test_a_manifest_that_was_not_signed_is_not_even_parsed(tmp_path: Path) -> None:
    payload = payload_of(b"\xff not a manifest", b"")
    packed = signed(HEADER, payload, tree_bytes=0, files=0)

    assert code_of(tmp_path, packed) is Code.MANIFEST_MISMATCH


@pytest.mark.parametrize(
    "line",
    [
        a_line(b"x", "../x"),
        a_line(b"x", "/x"),
        a_line(b"x", "a/../../x"),
        a_line(b"x", ".serinus/manifest"),
        a_line(b"x", ".SERINUS/x"),
        a_line(b"x", "nul"),
        a_line(b"x", "com1.txt"),
        a_line(b"x", "APP"),
        a_line(b"x", "a\\b"),
        a_line(b"x", "a:stream"),
        a_line(b"x", "cafe\u0301"),
        a_line(b"x", "a" * 256),
        "l\t/etc\tlink\n",
        "l\t../..\tlink\n",
        "l\tapp/..\tlink\n",
        "l\tlink\tlink\n",
        "l\tlink\tlinkto\nl\tapp\tlink\n",
    ],
)
def test_hostile_names_are_refused_even_when_signed(tmp_path: Path, line: str) -> None:
    manifest = "".join([HEADER, *sorted([APP_LINE, line], key=lambda each: each.split("\t")[-1])])
    payload = payload_of(manifest.encode(), APP + b"x")
    packed = signed(manifest, payload, tree_bytes=len(APP) + 1, files=2)

    assert code_of(tmp_path, packed) in {Code.BAD_NAME, Code.BAD_MANIFEST}
    assert not (tmp_path / "x").exists()


def test_a_file_through_a_link_of_its_own_tree_is_refused(tmp_path: Path) -> None:
    manifest = f"{HEADER}{APP_LINE}l\t/tmp\tout\n{a_line(b'x', 'out/x')}"
    packed = signed(manifest, payload_of(manifest.encode(), APP + b"x"), tree_bytes=1, files=1)

    assert code_of(tmp_path, packed) is Code.BAD_NAME


@pytest.mark.parametrize("path", ["app", "App"])
def test_two_entries_for_one_name_are_refused(tmp_path: Path, path: str) -> None:
    manifest = HEADER + "".join(sorted([APP_LINE, a_line(b"x", path)]))
    packed = signed(manifest, payload_of(manifest.encode(), APP + b"x"), tree_bytes=1, files=1)

    assert code_of(tmp_path, packed) in {Code.BAD_NAME, Code.BAD_MANIFEST}


def test_a_file_of_other_bytes_than_its_digest_is_refused(tmp_path: Path) -> None:
    packed = pack()
    content = APP + b"c" * 70_000 + b"\x7fELF" + bytes(range(256))
    payload = payload_of(packed.manifest, content)

    other = Packed(payload=payload, manifest=packed.manifest, goal=packed.goal)

    assert code_of(tmp_path, other) is Code.MANIFEST_MISMATCH


@pytest.mark.parametrize(
    "lies",
    [
        {"content_raw": len(APP) - 1},
        {"content_raw": len(APP) + 1},
        {"content_xz": xz(APP + b"more")},
        {"content_xz": xz(APP[:-1])},
        {"content_xz": xz(APP) + xz(b"")},
        {"content_xz": xz(APP) + b"\0\0\0\0"},
        {"content_xz": xz(APP)[:-1]},
        {"content_xz": b""},
        {"content_xz": lzma.compress(APP, lzma.FORMAT_ALONE)},
        {"content_xz": xz(APP, check=lzma.CHECK_NONE)},
        {"manifest_raw": len(HEADER + APP_LINE) - 1},
        {"manifest_raw": len(HEADER + APP_LINE) + 1},
        {"manifest_xz": xz((HEADER + APP_LINE).encode(), check=lzma.CHECK_NONE)},
    ],
)
def test_streams_that_are_not_what_the_header_says_are_refused(
    tmp_path: Path, lies: dict[str, bytes]
) -> None:
    manifest = HEADER + APP_LINE
    payload = payload_of(manifest.encode(), APP, **lies)  # type: ignore[arg-type]
    packed = signed(manifest, payload, tree_bytes=len(APP), files=1)

    assert code_of(tmp_path, packed) is Code.BAD_PAYLOAD


@pytest.mark.parametrize("dictionary", [33, 64])
def test_a_dictionary_over_the_limit_is_refused(tmp_path: Path, dictionary: int) -> None:
    manifest = HEADER + APP_LINE
    payload = payload_of(manifest.encode(), APP, content_xz=xz(APP, dictionary=dictionary << 20))
    packed = signed(manifest, payload, tree_bytes=len(APP), files=1)

    # 33 MiB are spelled as 48 in the stream's header, so both are over 34.
    assert code_of(tmp_path, packed) is Code.BAD_PAYLOAD


def test_a_dictionary_of_32_mib_is_accepted(tmp_path: Path) -> None:
    manifest = HEADER + APP_LINE
    payload = payload_of(manifest.encode(), APP, content_xz=xz(APP, dictionary=32 << 20))

    build(an_installation(tmp_path), signed(manifest, payload, tree_bytes=len(APP), files=1))


@pytest.mark.parametrize(
    "lies", [{"manifest_raw": MAX_MANIFEST_BYTES + 1}, {"content_raw": MAX_TREE_BYTES + 1}]
)
def test_declared_sizes_over_the_caps_are_refused(tmp_path: Path, lies: dict[str, int]) -> None:
    manifest = HEADER + APP_LINE
    payload = payload_of(manifest.encode(), APP, **lies)  # type: ignore[arg-type]
    packed = signed(manifest, payload, tree_bytes=len(APP), files=1)

    assert code_of(tmp_path, packed) is Code.OVER_CAP


def test_a_bomb_costs_neither_disk_nor_memory(tmp_path: Path) -> None:
    manifest = HEADER + APP_LINE
    packer = lzma.LZMACompressor(preset=1)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    payload = payload_of(manifest.encode(), APP, content_xz=bomb)
    packed = signed(manifest, payload, tree_bytes=len(APP), files=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert code_of(tmp_path, packed) in {Code.BAD_PAYLOAD, Code.MANIFEST_MISMATCH}

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024  # KiB


def test_a_manifest_bomb_is_cut_off_at_its_declared_size(tmp_path: Path) -> None:
    manifest = HEADER + APP_LINE
    payload = payload_of(manifest.encode(), APP, manifest_xz=xz(manifest.encode() + bytes(1 << 26)))
    packed = signed(manifest, payload, tree_bytes=len(APP), files=1)

    assert code_of(tmp_path, packed) is Code.BAD_PAYLOAD


@pytest.mark.parametrize(
    "other", [{"tree_bytes": len(APP) + 1, "files": 1}, {"tree_bytes": len(APP), "files": 2}]
)
def test_sums_that_differ_from_the_release_document_are_refused(
    tmp_path: Path, other: dict[str, int]
) -> None:
    manifest = HEADER + APP_LINE
    packed = signed(manifest, payload_of(manifest.encode(), APP), **other)

    assert code_of(tmp_path, packed) is Code.MANIFEST_MISMATCH


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("demo", "other"),
        HEADER.replace("linux-x86_64", "linux-arm64"),
        HEADER.replace("2.1.0", "2.0.0"),
    ],
)
def test_another_app_platform_or_version_is_refused(tmp_path: Path, header: str) -> None:
    manifest = header + APP_LINE
    packed = signed(manifest, payload_of(manifest.encode(), APP), tree_bytes=len(APP), files=1)

    assert code_of(tmp_path, packed) is Code.MANIFEST_MISMATCH


def test_contents_of_another_length_than_the_manifest_are_refused_before_they_are_read() -> None:
    manifest = (HEADER + APP_LINE).encode()
    payload = payload_of(manifest, APP, content_raw=len(APP) + 1, content_xz=b"never read")

    with pytest.raises(PayloadError) as caught:
        open_payload(io.BytesIO(payload), manifest_sha256=hashlib.sha256(manifest).hexdigest())

    assert caught.value.code is Code.BAD_PAYLOAD
