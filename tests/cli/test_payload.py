"""Making payloads: the same bytes for the same tree, and nothing that an agent would refuse."""

import hashlib
import io
import json
import lzma
import os
import random
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from client_agent.versions.unpack import open_payload
from rollout.errors import ManifestError
from rollout.manifest import manifest_for, parse_manifest, render_manifest
from tests.agent.trees import Packed, an_installation, build, goal_for, listing
from tests.cli.sources import APP, PACKERS, TREE, a_folder, a_member, a_zip, make, tar_bytes
from update_server.cli.payload import MadePayload, PayloadError

VECTORS = Path(__file__).parents[1] / "vectors/payload"


def packed(made: MadePayload, data: bytes) -> Packed:
    payload = open_payload(io.BytesIO(data), manifest_sha256=made.manifest_sha256)
    assert payload.manifest == made.manifest
    spelled = render_manifest(made.manifest)
    goal = goal_for(spelled, data, tree_bytes=made.tree_bytes, files=made.files)
    return Packed(payload=data, manifest=spelled, goal=goal)


def test_a_folder_becomes_a_payload_that_an_agent_builds(tmp_path: Path) -> None:
    made = make(a_folder(tmp_path / "tree"))

    data = (tmp_path / "made.srn").read_bytes()
    assert (made.sha256, made.length_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (made.files, made.tree_bytes) == (4, 4000 + 2 * len(APP))
    assert made.manifest.entry_point == "run"  # the only executable at the top
    installation = an_installation(tmp_path)
    built = build(installation, packed(made, data))
    found = listing(installation.path_of(built))
    found.pop(".serinus/manifest")
    assert found == TREE
    assert (installation.path_of(built) / "bin/tool").stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("kind", ["zip", *PACKERS])
def test_an_archive_of_a_tree_is_the_same_payload_as_its_folder(tmp_path: Path, kind: str) -> None:
    folder = make(a_folder(tmp_path / "tree"), tmp_path / "folder.srn")
    source = tmp_path / f"source.{kind}"
    if kind == "zip":
        a_zip(source)
    else:
        source.write_bytes(PACKERS[kind](tar_bytes()))

    made = make(source, tmp_path / "archive.srn")

    assert made == folder
    assert (tmp_path / "archive.srn").read_bytes() == (tmp_path / "folder.srn").read_bytes()


def test_nothing_but_the_payload_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    make(a_zip(tmp_path / "source.zip"), tmp_path / "out/made.srn")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["made.srn"]


def test_a_single_executable_is_a_tree_of_one(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"\x7fELF")

    made = make(tmp_path / "notes")

    (entry,) = made.manifest.entries
    assert (entry.path, entry.mode, made.manifest.entry_point) == ("notes", 0o755, "notes")


def test_what_is_started_is_executable_though_its_archive_could_not_say_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        archive.writestr("bin/notes.exe", b"MZ")

    made = make(tmp_path / "source.zip", platform="windows-x86_64", entry_point="bin/notes.exe")

    assert [entry.mode for entry in made.manifest.entries] == [0o755]


@pytest.mark.parametrize("entry_point", ["nothing", "data", "empty", "link"])
def test_an_entry_point_must_be_a_file_of_the_tree(tmp_path: Path, entry_point: str) -> None:
    with pytest.raises(PayloadError):
        make(a_folder(tmp_path / "tree"), entry_point=entry_point)


@pytest.mark.parametrize("tree", [{"a": APP, "b": APP}, {"data": b"data"}, {"bin/a": APP}, {}])
def test_without_one_executable_at_the_top_the_publisher_must_say_which(
    tmp_path: Path, tree: dict[str, bytes | str | None]
) -> None:
    (tmp_path / "tree").mkdir()

    with pytest.raises(PayloadError) as caught:
        make(a_folder(tmp_path / "tree", tree))

    assert "--entry" in caught.value.detail


def test_hard_links_of_a_tar_are_files_of_their_own(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(a_member("run", APP), io.BytesIO(APP))
        link = tarfile.TarInfo("again")
        link.type, link.linkname = tarfile.LNKTYPE, "./run"
        archive.addfile(link)
    (tmp_path / "source.tar").write_bytes(out.getvalue())

    made = make(tmp_path / "source.tar", entry_point="run")

    assert [(entry.path, entry.mode) for entry in made.manifest.files] == [
        ("again", 0o755),
        ("run", 0o755),
    ]
    assert made.manifest.content_bytes == len(APP)


def test_contents_that_occur_twice_are_stored_once(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(100_000)

    made = make(a_folder(tmp_path / "tree", {"run": APP, "a": content, "b": content}))

    assert made.tree_bytes > 200_000
    assert made.length_bytes < 110_000


@pytest.mark.no_cover
@pytest.mark.parametrize("megabytes", [1, 33])
def test_agents_can_unpack_it_with_their_memory(tmp_path: Path, megabytes: int) -> None:
    content = bytes(megabytes << 20)
    made = make(a_folder(tmp_path / "tree", {"run": APP, "data": content}))
    data = (tmp_path / "made.srn").read_bytes()
    _, manifest_xz, _, content_xz, _ = struct.unpack("<8sIIQQ", data[:32])

    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=34 << 20)
    unpacked = decoder.decompress(data[32 + manifest_xz :])

    assert len(data) == 32 + manifest_xz + content_xz
    assert unpacked == content + APP
    assert decoder.check == lzma.CHECK_CRC64
    assert made.tree_bytes == len(unpacked)


def test_a_payload_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "made.srn").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        make(a_folder(tmp_path / "tree"))

    assert (tmp_path / "made.srn").read_bytes() == b"mine"


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = a_folder(tmp_path / "tree")

    def change(**fields: Any) -> object:
        (tree / "data/deep/file").write_bytes(b"DATA" * 1000)
        return manifest_for(**fields)

    monkeypatch.setattr("update_server.cli.payload.manifest_for", change)

    with pytest.raises(PayloadError) as caught:
        make(tree)

    assert "changed" in caught.value.detail
    assert not (tmp_path / "made.srn").exists()


@pytest.mark.parametrize("name", ["a:b", "nul", ".serinus", "cafe\u0301", "end.", "back\\slash"])
def test_names_that_no_agent_takes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError) as caught:
        make(a_folder(tmp_path / "tree", {"run": APP, name: b"x"}))

    assert caught.value.code == "bad_name"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "nowhere"])
def test_links_out_of_the_tree_are_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(ManifestError) as caught:
        make(a_folder(tmp_path / "tree", {"run": APP, "link": f"-> {target}"}))

    assert caught.value.code == "bad_name"


def test_links_are_not_for_windows(tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        make(a_folder(tmp_path / "tree"), platform="windows-x86_64")


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    tree = a_folder(tmp_path / "tree", {"run": APP, "data/x": b"x"})
    (tree / "out").symlink_to(tmp_path / "outside")

    with pytest.raises(ManifestError):
        make(tree)


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    tree = a_folder(tmp_path / "tree")
    os.mkfifo(tree / "pipe")

    with pytest.raises(PayloadError) as caught:
        make(tree)

    assert "pipe" in caught.value.detail


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError) as caught:
        make(tmp_path / "nothing")

    assert "nothing" in caught.value.detail


def test_a_manifest_of_a_made_payload_parses(tmp_path: Path) -> None:
    made = make(a_folder(tmp_path / "tree"))
    data = (tmp_path / "made.srn").read_bytes()
    manifest_xz = struct.unpack("<I", data[8:12])[0]

    assert parse_manifest(lzma.decompress(data[32 : 32 + manifest_xz])) == made.manifest


def test_the_published_example_is_unpacked_to_its_manifest(tmp_path: Path) -> None:
    """``small.srn`` and what is in it, for whoever writes an agent in another language."""
    described = json.loads((VECTORS / "small.json").read_bytes())
    data = (VECTORS / "small.srn").read_bytes()
    made = make(a_folder(tmp_path / "tree"))

    payload = open_payload(io.BytesIO(data), manifest_sha256=described["manifest_sha256"])

    assert payload.manifest == made.manifest
    assert described["manifest"] == render_manifest(made.manifest).decode()
    assert described["sha256"] == hashlib.sha256(data).hexdigest()
    assert (described["length_bytes"], described["tree_bytes"], described["files"]) == (
        len(data),
        made.tree_bytes,
        made.files,
    )
