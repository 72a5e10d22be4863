"""Durable steps on files: after each of these returns, the step survives a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from update_server.service.ports import UnavailableError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# A file server reads what we publish, whatever our umask says.
MODE = 0o644


@contextmanager
def room_expected() -> Iterator[None]:
    """Raise what the block raises, but UnavailableError when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UnavailableError("the disk is full") from error
        raise


def make_folder(folder: Path) -> None:
    """Make *folder* and what is missing above it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written(folder: Path, source: BinaryIO | bytes) -> Iterator[Path]:
    """Write *source* to a temporary file in *folder*, and remove that name afterwards."""
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with room_expected(), os.fdopen(descriptor, "wb") as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fchmod(file.fileno(), MODE)
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def link_new(source: Path, target: Path) -> bool:
    """Give *source* a second name; return False when the name is taken already."""
    try:
        make_folder(target.parent)
    except (FileExistsError, NotADirectoryError):
        return False  # a file has the name of a folder above
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    finally:
        # Also when it was there: who made it may have died before this step.
        sync_folder(target.parent)
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that *path* stands for, among threads and processes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which also unlocks
