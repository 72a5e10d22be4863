"""A web process's side of its spool: group commit by leader and followers.

A thread with events joins the group that is forming. The first one to find nobody writing
becomes the leader: it takes the group, writes all of it with one ``write`` and one
``fdatasync``, and answers every thread in it, while the next group forms behind it. Contacts
ride along with whatever group comes next; a thread of our own writes them when none does.

A group that was written in part never shares a file with later ones: the digest may have read
that part already, so its bytes must not be taken back. The file is left as it is and a new
one begun; what the digest finds at the end of the old one was never acknowledged, and is told
apart by event ID when it is sent again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from update_server.service.ports import Contact, Event, ExistsError, UnavailableError
from update_server.spool.folder import SUFFIX, sync_folder
from update_server.spool.records import pack

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
# A file is removed when all of it is digested: small enough that digested bytes go soon.
_ROTATE_BYTES = 64 << 20
# What a killed process may lose of its contacts.
_FLUSH_SECONDS = 0.2
# While the disk takes nothing, contacts pile up to this and further ones are dropped: a lost
# contact costs a little evidence, and never makes it wrong.
_MAX_BUFFERED_BYTES = 8 << 20
_EX_IOERR = 74


class SpoolLostError(Exception):
    """The disk failed to keep bytes. What it still holds cannot be known: this process must end."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"the spool {path.name} is lost: {cause.strerror or cause}")
        self.path = path
        self.cause = cause


def end_process(error: SpoolLostError) -> None:
    """End this process at once, running nothing else; its supervisor starts a new one.

    After a failed ``fdatasync`` the kernel may have dropped the bytes and called them clean,
    so a second try that succeeds proves nothing.
    """
    sys.stderr.write(f"serinus: {error}\n")
    sys.stderr.flush()
    os._exit(_EX_IOERR)


class Disk:
    """The two calls that a disk may fail. Tests put a bad one in its place."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of *data*, and return how many bytes."""
        return os.write(descriptor, data)

    def datasync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""
        getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has only fsync


class _Group:
    """Records that are written together, and how that went."""

    __slots__ = ("chunks", "error", "kept", "settled", "size_bytes", "waited")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size_bytes = 0
        self.waited = False  # somebody waits until it is durable
        self.settled = False
        self.kept = False  # set last, so that no error on the way can look like success
        self.error: Exception | None = None

    def add(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size_bytes += len(data)


class FileSpool:
    """The spool of one process, in files ``<name>-<number>.spool`` of *folder*.

    *name* must never have been used before: the digest remembers how far it came by name.
    Each file is locked for as long as this process may write to it, so that the digest can
    tell when it is done with. Nothing is opened before the first record, so a process may
    fork after making this, but not later.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        fail: Callable[[SpoolLostError], None] = end_process,
        disk: Disk | None = None,
        rotate_bytes: int = _ROTATE_BYTES,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a spool: {name!r}")
        self._folder = folder
        self._name = name
        self._fail = fail
        self._disk = disk or Disk()
        self._rotate_bytes = rotate_bytes
        # The leader's alone:
        self._number = 0
        self._descriptor: int | None = None
        self._size_bytes = 0
        # Everybody's, under this lock:
        self._turn = threading.Condition()
        self._forming = _Group()
        self._led = False
        self._lost: SpoolLostError | None = None
        self._closing = threading.Event()
        self._flusher: threading.Thread | None = None
        self.dropped_contacts = 0
        self.dropped_notes = 0

    def contact(self, contact: Contact) -> None:
        """Take a contact. It is written soon, without being waited for."""
        data = pack(contact)
        with self._turn:
            if not self._rides_along(data):
                self.dropped_contacts += 1

    def note(self, event: Event) -> None:
        """Take an event that nobody waits for, as a contact is taken."""
        data = pack(event)
        with self._turn:
            if not self._rides_along(data):
                self.dropped_notes += 1

    def events(self, events: Sequence[Event]) -> None:
        """Take events; they are durable on return, and all or none of them are acknowledged.

        Raises:
            SpoolLostError: The disk failed to keep bytes, now or before.
            UnavailableError: The disk is full, or the spool is closed.
        """
        if not events:
            return
        data = b"".join(map(pack, events))
        with self._turn:
            if self._closing.is_set():
                raise UnavailableError("the spool is closed")
            group = self._forming
            group.add(data)
            group.waited = True
            # A group that has not settled while nobody leads is still the one forming.
            self._turn.wait_for(lambda: group.settled or not self._led)
            leads = not group.settled
            if leads:
                self._take_lead()
        if leads:
            self._lead(group)
        if isinstance(group.error, SpoolLostError):
            raise SpoolLostError(group.error.path, group.error.cause) from group.error
        if not group.kept:
            raise UnavailableError(str(group.error or "the spool failed")) from group.error

    def flush(self) -> None:
        """Write the contacts taken so far."""
        with self._turn:
            self._turn.wait_for(lambda: not self._led)
            group = self._forming
            if not group.chunks:
                return
            self._take_lead()
        self._lead(group)

    def close(self) -> None:
        """Write what was taken, and let the digest have the file. Takes no events any more."""
        with self._turn:
            self._closing.set()
        self.flush()
        if self._flusher is not None:
            self._flusher.join()
        with self._turn:
            self._turn.wait_for(lambda: not self._led)
            self._leave_file()

    def _rides_along(self, data: bytes) -> bool:
        """Let *data* go with the next group; return whether there was room."""
        if self._forming.size_bytes + len(data) > _MAX_BUFFERED_BYTES:
            return False
        self._forming.add(data)
        if self._flusher is None and not self._closing.is_set():
            self._flusher = threading.Thread(
                target=self._flush_now_and_then, name="spool-flusher", daemon=True
            )
            self._flusher.start()
        return True

    def _flush_now_and_then(self) -> None:
        while not self._closing.wait(_FLUSH_SECONDS):
            self.flush()

    def _take_lead(self) -> None:
        self._led = True
        self._forming = _Group()

    def _lead(self, group: _Group) -> None:
        """Write *group*, note how it went, and pass the lead on."""
        try:
            if self._lost is not None:
                raise self._lost
            self._write(group)
            group.kept = True
        except (SpoolLostError, UnavailableError) as error:
            group.error = error
        except OSError as error:
            self._lost = SpoolLostError(self._path(), error)
            group.error = self._lost
            self._fail(self._lost)
        finally:
            with self._turn:
                group.settled = True
                self._led = False
                self._turn.notify_all()

    def _write(self, group: _Group) -> None:
        if self._descriptor is None:
            self._descriptor = self._begin_file()
        left = memoryview(b"".join(group.chunks))
        try:
            while left:
                taken = self._disk.write(self._descriptor, left)
                self._size_bytes += taken
                left = left[taken:]
        except OSError as error:
            if len(left) < group.size_bytes:
                self._leave_file()
            if error.errno in _NO_ROOM:
                raise UnavailableError("the disk is full") from error
            raise
        if group.waited:
            self._disk.datasync(self._descriptor)
        if self._size_bytes >= self._rotate_bytes:
            self._leave_file()

    def _begin_file(self) -> int:
        """Make the next file, and lock it before anybody can see it."""
        self._number += 1
        self._size_bytes = 0
        hidden = self._folder / f".{self._path().name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(hidden, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.link(hidden, self._path())
            hidden.unlink()
            sync_folder(self._folder)
        except FileExistsError as error:
            raise ExistsError("spool", self._name) from error
        except OSError as error:
            hidden.unlink(missing_ok=True)
            if error.errno in _NO_ROOM:
                raise UnavailableError("the disk is full") from error
            raise
        return descriptor

    def _leave_file(self) -> None:
        """Close the file for good, which unlocks it for the digest."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _path(self) -> Path:
        return self._folder / f"{self._name}-{self._number:06}{SUFFIX}"
