"""The manifest: one tree, one spelling; what no agent could build is refused."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from rollout import manifest as module
from rollout.errors import ManifestError
from rollout.manifest import (
    EntryKind,
    Manifest,
    ManifestEntry,
    manifest_for,
    parse_manifest,
    render_manifest,
)

ONE = hashlib.sha256(b"one").hexdigest()
TWO = hashlib.sha256(b"two!").hexdigest()
HEADER = "serinus-manifest\t1\tdemo\tlinux-x86_64\t2.1.0\tbin/app\n"
APP = f"f\t755\t3\t{ONE}\tbin/app\n"
WHOLE = f"{HEADER}{APP}l\tapp\tbin/link\nf\t644\t4\t{TWO}\tdata/a\nd\tempty\n".encode()


def a_file(path: str, *, mode: int = 0o644, size: int = 3, sha256: str = ONE) -> ManifestEntry:
    return ManifestEntry(kind=EntryKind.FILE, path=path, mode=mode, size_bytes=size, sha256=sha256)


def a_manifest(*entries: ManifestEntry, platform: str = "linux-x86_64") -> Manifest:
    return manifest_for(
        app="demo",
        platform=platform,
        version=Version("2.1.0"),
        entry_point="bin/app",
        entries=[a_file("bin/app", mode=0o755), *entries],
    )


def refusal(data: bytes | str) -> tuple[str, int | None]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data.encode() if isinstance(data, str) else data)
    return caught.value.code, caught.value.line


def test_a_manifest_is_parsed_and_rendered_to_the_same_bytes() -> None:
    manifest = parse_manifest(WHOLE)

    assert render_manifest(manifest) == WHOLE
    assert (manifest.app, manifest.platform, manifest.entry_point) == (
        "demo",
        "linux-x86_64",
        "bin/app",
    )
    assert manifest.version == Version("2.1.0")


def test_a_manifest_knows_its_sums_and_folders() -> None:
    manifest = a_manifest(
        a_file("b/c/twice"),
        a_file("b/other", size=4, sha256=TWO),
        ManifestEntry(kind=EntryKind.FOLDER, path="empty"),
    )

    assert manifest.tree_bytes == 10
    assert manifest.content_bytes == 7  # the same digest is there once
    assert len(manifest.files) == 3
    assert manifest.folders == ("b", "b/c", "bin", "empty")


def test_entries_are_sorted_by_the_bytes_of_their_paths() -> None:
    manifest = a_manifest(a_file("é"), a_file("z"), a_file("a-b/c"), a_file("a/b"))

    assert [entry.path for entry in manifest.entries] == ["a-b/c", "a/b", "bin/app", "z", "é"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"f\t0755\t3\t{ONE}\tc", "bad_manifest"),
        (f"f\t4755\t3\t{ONE}\tc", "bad_manifest"),
        (f"f\t644\t03\t{ONE}\tc", "bad_manifest"),
        (f"f\t644\t-3\t{ONE}\tc", "bad_manifest"),
        (f"f\t644\t³\t{ONE}\tc", "bad_manifest"),
        (f"f\t644\t3\t{ONE}\tc\td", "bad_manifest"),
        (f"f\t644\t3\t{ONE.upper()}\tc", "bad_manifest"),
        (f"f\t644\t3\t{ONE[1:]}\tc", "bad_manifest"),
        (f"x\t644\t3\t{ONE}\tc", "bad_manifest"),
        ("", "bad_manifest"),
        ("d\t../c", "bad_name"),
        ("d\t/c", "bad_name"),
        ("d\t.serinus", "bad_name"),
        ("d\tnul.txt", "bad_name"),
        ("d\tBIN", "bad_name"),
        ("l\t../../x\tc", "bad_name"),
        ("l\t/etc/passwd\tc", "bad_name"),
        ("l\tnowhere\tc", "bad_name"),
        ("d\tbin", "bad_name"),
        (f"f\t644\t4\t{ONE}\tc", "bad_manifest"),  # another size for the same digest
    ],
)
def test_a_line_that_no_agent_should_follow_is_refused(line: str, code: str) -> None:
    assert refusal(HEADER + APP + line + "\n")[0] == code


@pytest.mark.parametrize(
    "header",
    [
        "",
        "serinus-manifest\t2\tdemo\tlinux-x86_64\t2.1.0\tbin/app\n",
        "another\t1\tdemo\tlinux-x86_64\t2.1.0\tbin/app\n",
        "serinus-manifest\t1\tdemo\tlinux-x86_64\t2.1.0\n",
        "serinus-manifest\t1\tdemo\tlinux-x86_64\t2.1.0\tbin/app\tmore\n",
        "serinus-manifest\t1\tdemo\tlinux-x86_64\t2.1\x00\tbin/app\n",
        "serinus-manifest\t1\tdemo\tlinux-x86_64\tv2.1.0\tbin/app\n",
    ],
)
def test_a_header_of_anything_else_is_refused(header: str) -> None:
    assert refusal(header + APP) == ("bad_manifest", 1)


def test_a_header_with_a_bad_name_is_refused() -> None:
    assert refusal(HEADER.replace("demo", "../demo") + APP)[0] == "bad_name"
    assert refusal(HEADER.replace("linux-x86_64", "linux") + APP)[0] == "bad_name"


def test_the_line_at_fault_is_named() -> None:
    assert refusal(HEADER + APP + "?\n") == ("bad_manifest", 3)


@pytest.mark.parametrize("data", [b"", WHOLE[:-1], WHOLE + b"\xff\n", WHOLE + b"\n", b"\n"])
def test_torn_and_foreign_bytes_are_refused(data: bytes) -> None:
    assert refusal(data)[0] == "bad_manifest"


def test_entries_out_of_order_are_refused() -> None:
    assert refusal(f"{HEADER}{APP}d\ta\n")[0] == "bad_manifest"


def test_a_path_that_comes_twice_is_refused() -> None:
    assert refusal(f"{HEADER}{APP}{APP}")[0] == "bad_name"


@pytest.mark.parametrize("newline", ["\r\n", "\u2028", "\x85", "\x0c"])
def test_only_lf_ends_a_line(newline: str) -> None:
    assert refusal(f"{HEADER}{APP}d\tc{newline}d\td\n")[0] in {"bad_manifest", "bad_name"}


def test_a_folder_that_is_not_empty_has_no_line() -> None:
    # Two ways to write one tree would be two digests.
    assert refusal(f"{HEADER}{APP}d\tc\nf\t644\t3\t{ONE}\tc/x\n")[0] == "bad_name"


@pytest.mark.parametrize("entry_point", ["bin/other", "bin", "bin/data", ""])
def test_an_entry_point_is_a_file_that_can_be_executed(entry_point: str) -> None:
    header = HEADER.replace("bin/app", entry_point)
    data = f"{header}{APP}f\t644\t3\t{ONE}\tbin/data\n"

    assert refusal(data)[0] == "bad_manifest"


def test_windows_has_no_links() -> None:
    link = ManifestEntry(kind=EntryKind.LINK, path="bin/link", target="app")

    assert a_manifest(link, platform="macos-arm64").entries[1] == link
    with pytest.raises(ManifestError) as caught:
        a_manifest(link, platform="windows-x86_64")
    assert caught.value.code == "bad_manifest"


def test_a_tree_over_the_cap_is_refused() -> None:
    with pytest.raises(ManifestError) as caught:
        a_manifest(a_file("huge", size=module.MAX_TREE_BYTES, sha256=TWO))

    assert caught.value.code == "over_cap"


def test_a_manifest_over_the_cap_is_neither_written_nor_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_MANIFEST_BYTES", len(WHOLE) - 1)

    assert refusal(WHOLE) == ("over_cap", None)
    with pytest.raises(ManifestError) as caught:
        a_manifest(*(a_file(f"file-{number}") for number in range(10)))
    assert caught.value.code == "over_cap"


def test_more_entries_than_the_cap_are_refused_before_they_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_TREE_ENTRIES", 2)

    assert refusal(HEADER + "?\n" * 3) == ("over_cap", None)


@pytest.mark.no_cover
@given(
    st.dictionaries(
        st.from_regex(r"[a-d]{1,3}(/[a-d]{1,3}){0,2}", fullmatch=True),
        st.tuples(st.sampled_from([0o644, 0o755]), st.integers(0, 2)),
        max_size=8,
    )
)
def test_what_is_accepted_is_parsed_to_the_same_tree(
    files: dict[str, tuple[int, int]],
) -> None:
    contents = (b"", b"one", b"two!")
    entries = [
        a_file(path, mode=mode, size=len(contents[which]), sha256=_sha256(contents[which]))
        for path, (mode, which) in files.items()
    ]
    try:
        manifest = a_manifest(*entries)
    except ManifestError:
        return  # a file that is also a folder

    assert parse_manifest(render_manifest(manifest)) == manifest


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_changed_bytes_are_refused_or_another_tree(at: int, change: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= change
    try:
        manifest = parse_manifest(bytes(data))
    except ManifestError:
        return

    assert render_manifest(manifest) == bytes(data)
    assert manifest != parse_manifest(WHOLE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
