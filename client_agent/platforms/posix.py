"""What Linux and macOS have in common."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.request import getproxies_environment

from client_agent.platforms.port import Lock


class Posix:
    """Files, locks and programs as POSIX has them."""

    by_descriptor = True

    def sync_file(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_dir(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_file_system(self, descriptor: int) -> bool:  # noqa: ARG002 - the port's name
        return False

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)
        self.sync_dir(target.parent)

    def move_dir(self, source: Path, target: Path) -> None:
        # rename(2) would replace an empty folder without a word.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
        self.sync_dir(target.parent)
        self.sync_dir(source.parent)

    def drop_cache(self, descriptor: int) -> None:
        """Do nothing: not every system has a way to ask."""

    def seal(self, descriptor: int, *, executable: bool) -> None:
        os.fchmod(descriptor, 0o555 if executable else 0o444)

    def lock(self, path: Path) -> Lock | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = Lock(os.open(path, flags, 0o600))
        try:
            fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        except OSError:
            lock.close()
            raise
        return lock

    def is_locked(self, descriptor: int) -> bool:
        # A shared lock, so that two who ask at the same time do not see each other.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False

    def free_bytes(self, folder: Path) -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
        os.execve(command[0], list(command), dict(environment))  # noqa: S606 - no shell is meant

    def proxies(self) -> Mapping[str, str]:
        return getproxies_environment()


def locks_exclude(platform: Posix, folder: Path) -> bool:
    """Return whether two holders of one lock in *folder* are kept apart.

    Some network and user-space file systems accept every flock(2), or none.
    """
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        first = platform.lock(probe)
        if first is None:
            return False
        with first:
            second = platform.lock(probe)
            if second is None:
                return True
            second.close()
            return False
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
