"""What the agent asks of the operating system, and the only door to it.

Each method has one meaning on every system; where a system cannot do it, the answer says so
(``False``, ``None``, ``{}``) instead of pretending. Methods raise ``OSError`` and nothing else
unless they say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


class PlatformSignatureError(Exception):
    """The system's own signature of a program is missing, broken or another publisher's."""

    def __init__(self, program: Path, found: str) -> None:
        self.program = program
        self.found = found
        super().__init__(f"{program.name}: {found}")


@dataclass(slots=True)
class Lock:
    """A lock that is held until it is closed, or until the process ends."""

    descriptor: int

    def close(self) -> None:
        """Give the lock back. A second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Platform(Protocol):
    """One operating system."""

    @property
    def name(self) -> str:
        """``linux``, ``macos`` or ``windows``."""
        ...

    @property
    def by_descriptor(self) -> bool:
        """Whether files can be opened, made and removed relative to an open folder."""
        ...

    def sync_file(self, descriptor: int) -> None:
        """Return when the file's bytes are on the medium, not in its cache."""
        ...

    def sync_dir(self, folder: Path) -> None:
        """Return when the folder's names are on the medium."""
        ...

    def sync_file_system(self, descriptor: int) -> bool:
        """Do what syncing every file of that file system would, or return False."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Put the file *source* in the place of *target*; after that it is durable."""
        ...

    def move_dir(self, source: Path, target: Path) -> None:
        """Give a folder a new name, which must be free; after that it is durable."""
        ...

    def clone_file(self, source: int, folder: int, name: str) -> bool:
        """Make *name* in the open *folder* share the blocks of *source*, or return False.

        After False there is no file *name*.
        """
        ...

    def drop_cache(self, descriptor: int) -> None:
        """Ask that the next read of a synced file comes from the medium."""
        ...

    def seal(self, descriptor: int, *, executable: bool) -> None:
        """Take away every permission to write to a new file."""
        ...

    def lock(self, path: Path) -> Lock | None:
        """Lock the file (made if missing) without waiting; None when another holds it."""
        ...

    def is_locked(self, descriptor: int) -> bool:
        """Return whether another holds the lock of that open file."""
        ...

    def boot_id(self) -> str:
        """Return a text that changes with every start of the system; empty if there is none."""
        ...

    def machine_id(self) -> str | None:
        """Return what tells this machine from its clone, or None."""
        ...

    def free_bytes(self, folder: Path) -> int:
        """Return how much this user may still write in the folder's file system."""
        ...

    def supports(self, root: Path) -> bool:
        """Return whether *root* lies on a local file system with locks that exclude."""
        ...

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Become the program; where a system cannot, run it and return its status."""
        ...

    def proxies(self) -> Mapping[str, str]:
        """Return the proxy per scheme (``http``, ``https``, ``all``), and ``no`` for exceptions.

        The environment's, else the system's own. ``no``: hosts, domains, networks and patterns
        with ``*``, separated by commas; ``<local>`` is every name without a dot.
        """
        ...

    def online(self) -> bool | None:
        """Return whether there is a way out of this machine; None when that costs to find out."""
        ...

    def metered(self) -> bool | None:
        """Return whether the network costs by the byte; None when the system cannot tell."""
        ...

    def battery_percent(self) -> int | None:
        """Return what is left in the battery that the machine runs on; None on mains."""
        ...

    def check_signature(self, program: Path, *, spki: Sequence[str], teams: Sequence[str]) -> None:
        """Return when the system vouches that *program* is by one of those publishers.

        *spki*: SHA-256 (hex) of the signing certificate's public key, for Authenticode.
        *teams*: Apple team IDs.

        Raises:
            PlatformSignatureError: it does not, or there is nothing to compare with.
        """
        ...
