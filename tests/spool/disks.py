"""A disk that fails as told, and what tests of spools ask all the time."""

import errno
import os
import threading

from tests.store.values import an_event
from update_server.service.ports import Event, UnavailableError
from update_server.spool import FileSpool, FileSpoolReader, SpoolLostError
from update_server.spool.writer import Disk

FIRST = "one-000001"
"""The first file of the spool called one."""


class BadDisk(Disk):
    """A disk that fails as told: it takes ``room`` more bytes, and syncs or does not."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.write_error = errno.ENOSPC
        self.sync_error: int | None = None
        self.writes = 0
        self.syncs = 0
        self.before_sync = threading.Event()
        self.may_sync = threading.Event()
        self.may_sync.set()

    def write(self, descriptor: int, data: memoryview) -> int:
        self.writes += 1
        if self.room is None:
            return super().write(descriptor, data)
        if self.room == 0:
            raise OSError(self.write_error, os.strerror(self.write_error))
        taken = super().write(descriptor, data[: self.room])
        self.room -= taken
        return taken

    def datasync(self, descriptor: int) -> None:
        self.syncs += 1
        self.before_sync.set()
        assert self.may_sync.wait(30)
        if self.sync_error is not None:
            raise OSError(self.sync_error, os.strerror(self.sync_error))
        super().datasync(descriptor)


def ids(reader: FileSpoolReader) -> list[str]:
    """Return the IDs of all events in all spools."""
    records = [r for name in reader.spools() for r in reader.read(name, 0, 10**9)[0]]
    return [record.id for record in records if isinstance(record, Event)]


def in_threads(spool: FileSpool, names: list[str]) -> tuple[list[threading.Thread], list[str]]:
    """Send an event of each name from a thread of its own; return those acknowledged."""
    acknowledged: list[str] = []

    def send(name: str) -> None:
        try:
            spool.events([an_event(event_id=name)])
        except (UnavailableError, SpoolLostError):
            return
        acknowledged.append(name)

    threads = [threading.Thread(target=send, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    return threads, acknowledged
