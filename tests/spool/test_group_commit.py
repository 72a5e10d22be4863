"""Group commit: together, durable before the answer, and never on a disk that failed."""

import errno
import os
import threading
from pathlib import Path

import pytest

from tests.spool.disks import FIRST, BadDisk, ids, in_threads
from tests.store.values import a_contact, an_event
from update_server.service.ports import UnavailableError
from update_server.spool import FileSpool, FileSpoolReader, SpoolLostError
from update_server.spool.records import pack
from update_server.spool.writer import Disk


def test_contacts_are_written_without_being_asked(
    spool: FileSpool, reader: FileSpoolReader
) -> None:
    written = threading.Event()
    spool._disk = Announcing(written)

    spool.contact(a_contact())

    assert written.wait(30)
    spool.flush()
    assert reader.read(FIRST, 0, 10)[0] == [a_contact()]


class Announcing(Disk):
    def __init__(self, written: threading.Event) -> None:
        self._written = written

    def write(self, descriptor: int, data: memoryview) -> int:
        taken = super().write(descriptor, data)
        self._written.set()
        return taken


def test_contacts_alone_are_not_waited_for(folder: Path) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)

    spool.contact(a_contact())
    spool.flush()

    assert (disk.writes, disk.syncs) == (1, 0)
    spool.close()


def test_contacts_in_excess_are_dropped_and_counted(
    spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("update_server.spool.writer._MAX_BUFFERED_BYTES", 1_000)

    for _ in range(100):
        spool.contact(a_contact())

    assert 0 < spool.dropped_contacts < 100


def test_notes_alone_are_not_waited_for(folder: Path) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)

    spool.note(an_event())
    spool.flush()

    assert (disk.writes, disk.syncs) == (1, 0)
    spool.close()


def test_notes_in_excess_are_dropped_and_counted(
    spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("update_server.spool.writer._MAX_BUFFERED_BYTES", 1_000)

    for _ in range(100):
        spool.note(an_event())

    assert 0 < spool.dropped_notes < 100
    assert spool.dropped_contacts == 0


def test_those_who_wait_are_answered_together(folder: Path, reader: FileSpoolReader) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)
    disk.may_sync.clear()
    first, _ = in_threads(spool, ["leader"])
    assert disk.before_sync.wait(30)
    rest, acknowledged = in_threads(spool, [str(n) for n in range(20)])
    while len(spool._forming.chunks) < 20:
        first[0].join(0.01)

    disk.may_sync.set()
    for thread in (*first, *rest):
        thread.join()

    assert (disk.writes, disk.syncs) == (2, 2)
    assert sorted(acknowledged) == sorted(str(n) for n in range(20))
    assert sorted(ids(reader)) == sorted(["leader", *acknowledged])
    spool.close()


def test_nothing_is_acknowledged_before_it_is_durable(folder: Path) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)
    disk.may_sync.clear()
    threads, acknowledged = in_threads(spool, ["one"])
    assert disk.before_sync.wait(30)

    before = list(acknowledged)
    disk.may_sync.set()
    threads[0].join()

    assert (before, acknowledged) == ([], ["one"])
    spool.close()


def test_a_full_disk_refuses_events_until_there_is_room(
    folder: Path, reader: FileSpoolReader
) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)
    spool.events([an_event(event_id="before")])
    disk.room = 0
    for _ in range(3):
        with pytest.raises(UnavailableError):
            spool.events([an_event(event_id="refused")])

    disk.room = None
    spool.events([an_event(event_id="after")])

    assert ids(reader) == ["before", "after"]
    assert reader.spools() == [FIRST]
    spool.close()


def test_a_group_written_in_part_is_never_written_over(
    folder: Path, reader: FileSpoolReader
) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk)
    whole = an_event(event_id="whole but refused")
    disk.room = len(pack(whole)) + 10
    with pytest.raises(UnavailableError):
        spool.events([whole, an_event(event_id="torn")])
    # The digest reads what is whole, before the next group comes.
    _, checkpoint = reader.read(FIRST, 0, 100)

    disk.room = None
    spool.events([an_event(event_id="after")])

    assert checkpoint > 0
    assert reader.read(FIRST, checkpoint, 100)[0] == []
    assert reader.retire(FIRST)
    assert ids(reader) == ["after"]
    spool.close()


@pytest.mark.parametrize("what", ["write", "sync"])
def test_a_disk_that_fails_ends_the_process_and_acknowledges_nothing(
    folder: Path, what: str
) -> None:
    lost: list[SpoolLostError] = []
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk, fail=lost.append)
    if what == "write":
        disk.room, disk.write_error = 0, errno.EIO
    else:
        disk.sync_error = errno.EIO

    with pytest.raises(SpoolLostError) as caught:
        spool.events([an_event()])

    assert [error.cause.errno for error in lost] == [errno.EIO]
    assert caught.value.path.name == f"{FIRST}.spool"
    # A disk that says it is well again is not believed.
    disk.room = disk.sync_error = None
    with pytest.raises(SpoolLostError):
        spool.events([an_event()])
    assert len(lost) == 1
    spool.close()


def test_everybody_who_waits_hears_of_a_disk_that_fails(folder: Path) -> None:
    disk = BadDisk()
    spool = FileSpool(folder, "one", disk=disk, fail=lambda _: None)
    disk.may_sync.clear()
    disk.sync_error = errno.EIO
    first, _ = in_threads(spool, ["leader"])
    assert disk.before_sync.wait(30)
    rest, acknowledged = in_threads(spool, ["a", "b", "c"])
    disk.may_sync.set()
    for thread in (*first, *rest):
        thread.join()

    assert acknowledged == []
    spool.close()


def test_a_folder_that_takes_no_file_is_unavailable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = FileSpool(folder, "one")
    link = os.link

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, f"{source} {target}")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(UnavailableError):
        spool.events([an_event()])
    assert list(folder.iterdir()) == []

    monkeypatch.setattr(os, "link", link)
    spool.events([an_event()])
    spool.close()


def test_a_folder_that_fails_ends_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[SpoolLostError] = []
    spool = FileSpool(folder, "one", fail=lost.append)

    def broken(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, f"{source} {target}")

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(SpoolLostError):
        spool.events([an_event()])

    assert len(lost) == 1
    spool.close()
