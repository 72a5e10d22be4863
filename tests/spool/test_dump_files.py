"""Minidumps that wait for the digest, in a folder and in memory."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from tests.fakes.dump_files import FakeDumpFiles
from tests.spool.disks import BadDisk
from update_server.service.ports import NotFoundError, UnavailableError
from update_server.service.ports.dumps import DumpFiles
from update_server.spool.dump_files import DumpFolder

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "dumps"


@pytest.fixture
def files(folder: Path) -> DumpFolder:
    return DumpFolder(folder)


class _World(Protocol):
    files: DumpFiles

    def make_old(self, name: str) -> None: ...


class _InFolder:
    def __init__(self, folder: Path) -> None:
        self.files: DumpFiles = DumpFolder(folder)
        self._folder = folder

    def make_old(self, name: str) -> None:
        os.utime(self._folder / f"{name}.dump", (0, 0))


class _InMemory:
    def __init__(self) -> None:
        self._fake = FakeDumpFiles()
        self.files: DumpFiles = self._fake

    def make_old(self, name: str) -> None:
        self._fake.old.add(name)


@pytest.fixture(params=["folder", "memory"])
def world(request: pytest.FixtureRequest, folder: Path) -> _World:
    return _InFolder(folder) if request.param == "folder" else _InMemory()


# --- both ------------------------------------------------------------------------------------


def test_what_is_kept_can_be_read_until_it_is_dropped(world: _World) -> None:
    files = world.files
    one, two = files.keep(b"MDMP one"), files.keep(b"MDMP two")
    assert (files.read(one), files.read(two)) == (b"MDMP one", b"MDMP two")

    files.drop([one])

    with pytest.raises(NotFoundError):
        files.read(one)
    assert files.read(two) == b"MDMP two"


def test_the_size_is_that_of_all_that_are_kept(world: _World) -> None:
    assert world.files.size_bytes() == 0
    name = world.files.keep(b"MDMP" * 10)
    world.files.keep(b"MDMP")

    assert world.files.size_bytes() == 44
    world.files.drop([name])
    assert world.files.size_bytes() == 4


def test_dropping_what_is_gone_is_no_error(world: _World) -> None:
    name = world.files.keep(b"MDMP")

    world.files.drop([name, name, "", "../x", "0" * 32])


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "0" * 32, "x" * 32])
def test_no_other_name_leads_anywhere(world: _World, name: str) -> None:
    world.files.keep(b"MDMP")

    with pytest.raises(NotFoundError):
        world.files.read(name)


def test_old_ones_are_swept(world: _World) -> None:
    old, young = world.files.keep(b"MDMP old"), world.files.keep(b"MDMP young")
    world.make_old(old)

    assert world.files.sweep(datetime.now(UTC), DAY) == 1

    assert world.files.read(young) == b"MDMP young"
    with pytest.raises(NotFoundError):
        world.files.read(old)


def test_where_nothing_was_kept_there_is_nothing_to_sweep(world: _World) -> None:
    assert world.files.sweep(datetime.now(UTC), DAY) == 0


# --- the folder ------------------------------------------------------------------------------


def test_equal_dumps_are_kept_apart(files: DumpFolder) -> None:
    one, two = files.keep(b"MDMP"), files.keep(b"MDMP")

    files.drop([one])

    assert files.read(two) == b"MDMP"


def test_dumps_are_nobody_elses_business(files: DumpFolder, folder: Path) -> None:
    path = folder / f"{files.keep(b'MDMP')}.dump"

    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_dump_is_on_the_disk_before_it_has_a_name(folder: Path) -> None:
    disk = BadDisk()

    DumpFolder(folder, disk=disk).keep(b"MDMP")

    assert (disk.writes, disk.syncs) == (1, 1)


def test_a_full_folder_takes_no_more_until_something_was_dropped(folder: Path) -> None:
    files = DumpFolder(folder, max_bytes=10)
    first = files.keep(b"123456")
    with pytest.raises(UnavailableError):
        files.keep(b"12345")
    files.keep(b"1234")

    files.drop([first])

    assert files.read(files.keep(b"123456")) == b"123456"


def test_so_many_files_are_taken(folder: Path) -> None:
    files = DumpFolder(folder, max_files=2)
    files.keep(b"")
    files.keep(b"")

    with pytest.raises(UnavailableError):
        files.keep(b"")


def test_what_is_no_dump_is_not_counted_and_not_swept(files: DumpFolder, folder: Path) -> None:
    files.keep(b"MDMP")
    other = folder / "other"
    other.write_bytes(b"x")
    os.utime(other, (0, 0))

    assert files.sweep(datetime.now(UTC), DAY) == 0
    assert other.exists()


@pytest.mark.parametrize("room", [0, 3])
def test_a_disk_without_room_takes_no_dump_and_keeps_no_part(folder: Path, room: int) -> None:
    disk = BadDisk()
    disk.room = room

    with pytest.raises(UnavailableError):
        DumpFolder(folder, disk=disk).keep(b"MDMP")

    assert list(folder.iterdir()) == []


def test_a_dump_that_the_disk_failed_to_keep_is_not_acknowledged(folder: Path) -> None:
    disk = BadDisk()
    disk.sync_error = errno.EIO

    with pytest.raises(UnavailableError):
        DumpFolder(folder, disk=disk).keep(b"MDMP")

    assert list(folder.iterdir()) == []


def test_a_file_that_goes_away_meanwhile_is_passed_over(files: DumpFolder, folder: Path) -> None:
    files.keep(b"MDMP")
    (folder / "gone.dump").symlink_to(folder / "nowhere")

    assert files.read(files.keep(b"MDMP two")) == b"MDMP two"
    assert files.sweep(datetime.now(UTC), DAY) == 0


def test_a_disk_that_makes_no_folder_takes_no_dump(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UnavailableError):
        DumpFolder(tmp_path / "file" / "dumps").keep(b"MDMP")
