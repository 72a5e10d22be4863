"""Archives that mean harm: refused, with nothing written anywhere and little memory used."""

import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rollout.errors import ManifestError
from tests.cli.sources import APP, PACKERS, a_member, a_zip, make, tar_bytes
from update_server.cli import archives
from update_server.cli.payload import PayloadError


def refusal(source: Path) -> str:
    before = set(source.parent.iterdir())
    with pytest.raises((PayloadError, ManifestError)) as caught:
        make(source, entry_point="run")
    assert set(source.parent.iterdir()) == before  # nothing was written anywhere near
    return str(caught.value)


HOSTILE = ["../evil", "/evil", "a/../../evil", "a\\b", "c:evil", "nul", ".serinus/x", "a//b", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_zip_with_a_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    a_zip(tmp_path / "source.zip", {"run": APP, name: b"x"})

    assert "bad payload path" in refusal(tmp_path / "source.zip")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tar_with_a_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "source.tar").write_bytes(tar_bytes({"run": APP, name: b"x"}, prefix=""))

    assert "bad payload path" in refusal(tmp_path / "source.tar")


def test_a_name_that_zipfile_would_cut_at_a_nul_is_refused(tmp_path: Path) -> None:
    a_zip(tmp_path / "source.zip", {"run": APP, "safeX../evil": b"x"})
    data = (tmp_path / "source.zip").read_bytes().replace(b"safeX", b"safe\0")
    (tmp_path / "source.zip").write_bytes(data)

    assert refusal(tmp_path / "source.zip")


def test_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    data = tar_bytes({"run": APP}, prefix="").replace(b"run\0", b"r\xffn\0")
    broken = bytearray(data)
    for at in range(0, len(broken) - 512, 512):  # the header's own sum
        if broken[at : at + 3] == b"r\xffn":
            broken[at + 148 : at + 156] = b" " * 8
            total = sum(broken[at : at + 512])
            broken[at + 148 : at + 156] = b"%06o\0 " % total
    (tmp_path / "source.tar").write_bytes(broken)

    assert refusal(tmp_path / "source.tar")


@pytest.mark.parametrize("pack", [a_zip, None])
def test_a_file_through_a_link_of_its_archive_is_refused(
    tmp_path: Path, pack: Callable[..., Path] | None
) -> None:
    tree: dict[str, bytes | str | None] = {"run": APP, "out": "-> /tmp", "out/evil": b"x"}
    source = tmp_path / "source"
    if pack is None:
        source.write_bytes(tar_bytes(tree))
    else:
        pack(source, tree)

    assert refusal(source)


@pytest.mark.parametrize(
    "kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("run")
        member.type = kind
        archive.addfile(member)
    (tmp_path / "source.tar").write_bytes(out.getvalue())

    assert refusal(tmp_path / "source.tar")


def test_devices_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        info = zipfile.ZipInfo("run")
        info.external_attr = (stat.S_IFCHR | 0o644) << 16
        archive.writestr(info, b"")

    assert "neither file" in refusal(tmp_path / "source.zip")


@pytest.mark.parametrize("linkname", ["nothing", "../run", "folder"])
def test_a_hard_link_to_no_file_of_the_archive_is_refused(tmp_path: Path, linkname: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(a_member("folder", None))
        link = tarfile.TarInfo("run")
        link.type, link.linkname = tarfile.LNKTYPE, linkname
        archive.addfile(link)
    (tmp_path / "source.tar").write_bytes(out.getvalue())

    assert "hard link" in refusal(tmp_path / "source.tar")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    source = a_zip(tmp_path / "source.zip", {"run": APP})
    data = bytearray(source.read_bytes())
    data[6] |= 1  # the local header's flag
    data[data.index(b"PK\1\2") + 8] |= 1
    source.write_bytes(data)

    assert "broken archive" in refusal(source)


def test_a_zip_with_an_unknown_method_is_refused(tmp_path: Path) -> None:
    source = a_zip(tmp_path / "source.zip", {"run": APP})
    data = bytearray(source.read_bytes())
    for at in (8, data.index(b"PK\1\2") + 10):
        data[at] = 99
    source.write_bytes(data)

    assert refusal(source)


@pytest.mark.parametrize("kind", ["zip", *PACKERS])
def test_a_cut_archive_is_refused(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"source.{kind}"
    data = a_zip(source).read_bytes() if kind == "zip" else PACKERS[kind](tar_bytes())
    source.write_bytes(data[: len(data) // 2])

    assert refusal(source)


def test_more_bytes_than_any_agent_takes_are_not_even_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_TREE_BYTES", 1000)
    tar = io.BytesIO(tar_bytes({"run": APP, "big": bytes(1001)}))

    with pytest.raises(PayloadError) as caught:
        list(archives._entries(tar, tmp_path))

    assert "bytes in all" in caught.value.detail


def test_hard_links_count_as_often_as_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_TREE_BYTES", 1000)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(a_member("a", bytes(600)), io.BytesIO(bytes(600)))
        link = tarfile.TarInfo("b")
        link.type, link.linkname = tarfile.LNKTYPE, "a"
        archive.addfile(link)

    with pytest.raises(PayloadError):
        list(archives._entries(io.BytesIO(out.getvalue()), tmp_path))


def test_more_entries_than_any_agent_takes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_TREE_ENTRIES", 3)

    with pytest.raises(PayloadError):
        list(archives._entries(io.BytesIO(tar_bytes()), tmp_path))


def test_an_archive_that_takes_much_memory_to_read_ends_its_child_only(tmp_path: Path) -> None:
    # A PAX header of 1 GiB: tarfile reads it whole.
    packer = zstandard.ZstdCompressor().compressobj()
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    chunks = [packer.compress(header.tobuf(tarfile.USTAR_FORMAT))]
    chunks += [packer.compress(bytes(1 << 20)) for _ in range(1025)]
    (tmp_path / "source.tar.zst").write_bytes(b"".join([*chunks, packer.flush()]))

    assert "memory" in refusal(tmp_path / "source.tar.zst")


def test_a_window_of_zstd_over_the_limit_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = packer.compress(tar_bytes()) + packer.flush()
    (tmp_path / "source.tar.zst").write_bytes(data)

    assert refusal(tmp_path / "source.tar.zst")


def test_a_child_that_is_killed_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_CHILD", "import os; os.kill(os.getpid(), 9)")

    assert "-9" in refusal(a_zip(tmp_path / "source.zip"))


def test_a_tar_in_a_tar_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "source.tar").write_bytes(tar_bytes({"run": APP, "inner.tar": tar_bytes()}))

    made = make(tmp_path / "source.tar")

    assert {entry.path for entry in made.manifest.entries} == {"run", "inner.tar"}


@pytest.mark.no_cover
def test_mutated_archives_are_refused_or_whole_and_never_written_outside(tmp_path: Path) -> None:
    """In this process, with the child's own reader: a child for each would be slow."""
    draw = random.Random(1)
    whole = [a_zip(tmp_path / "a.zip").read_bytes(), tar_bytes()]
    told = {"done": 0, "error": 0}
    for number in range(500):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        into = tmp_path / str(number)
        into.mkdir()
        (tmp_path / "source").write_bytes(data)
        before = set(tmp_path.iterdir())

        *entries, last = archives._answers(tmp_path / "source", into)

        told["done" if last == {"done": True} else "error"] += 1
        assert set(tmp_path.iterdir()) == before
        assert all(entry["content"] is None or entry["content"].isdigit() for entry in entries)
    assert min(told.values()) > 50
