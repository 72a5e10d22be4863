"""An open folder, and what is done by name inside it.

Where the system allows, names are resolved relative to the folder's descriptor, so that nobody
who swaps a parent for a link can move what is read or written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Where a flag is missing, the system has nothing that it would keep out.
_SAFE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a planted FIFO must not stop us
)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _SAFE


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder. ``descriptor`` is None where the system opens only by path."""

    path: Path
    descriptor: int | None

    @classmethod
    @contextmanager
    def opened(cls, path: Path, *, by_descriptor: bool) -> Iterator[Self]:
        """Open the folder at *path*, whose last component is no link."""
        folder = cls(path, os.open(path, _FOLDER) if by_descriptor else None)
        try:
            yield folder
        finally:
            folder.close()

    def entered(self, name: str) -> Folder:
        """Open the folder *name* in this one; the caller closes it."""
        path = self.path / name
        if self.descriptor is not None:
            return Folder(path, os.open(name, _FOLDER, dir_fd=self.descriptor))
        if path.is_symlink() or not path.is_dir():
            raise NotADirectoryError(str(path))
        return Folder(path, None)

    @contextmanager
    def parent_of(self, path: str) -> Iterator[tuple[Folder, str]]:
        """Open the folder that holds *path*, slash-separated below this one, and its name."""
        *above, name = path.split("/")
        here = self
        try:
            for component in above:
                below = here.entered(component)
                if here is not self:
                    here.close()
                here = below
            yield here, name
        finally:
            if here is not self:
                here.close()

    def open(self, name: str, flags: int) -> int:
        """Open the file *name*; a link is refused."""
        return os.open(self._at(name), flags | _SAFE, 0o600, dir_fd=self.descriptor)

    def make(self, name: str) -> None:
        """Make the folder *name*, readable for everyone whatever the umask."""
        os.mkdir(self._at(name), 0o755, dir_fd=self.descriptor)
        if self.descriptor is not None:
            below = self.entered(name)
            os.fchmod(below.descriptor or 0, 0o755)
            below.close()

    def link(self, target: str, name: str) -> None:
        """Make the symbolic link *name*."""
        os.symlink(target, self._at(name), dir_fd=self.descriptor)

    def share(self, name: str, other: Folder, new_name: str) -> None:
        """Make *new_name* in the *other* folder a second name of the file *name*."""
        if self.descriptor is None or other.descriptor is None:
            os.link(self.path / name, other.path / new_name)
        else:
            os.link(
                name,
                new_name,
                src_dir_fd=self.descriptor,
                dst_dir_fd=other.descriptor,
                follow_symlinks=False,
            )

    def read_link(self, name: str) -> str:
        """Return where the link *name* points."""
        return os.readlink(self._at(name), dir_fd=self.descriptor)

    def stat(self, name: str) -> os.stat_result:
        """Return what *name* is, itself and not what it points to."""
        return os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)

    def names(self) -> set[str]:
        """Return the names in the folder."""
        return set(os.listdir(self.path if self.descriptor is None else self.descriptor))  # noqa: PTH208 - pathlib knows no descriptors

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor is not None:
            os.close(self.descriptor)

    def _at(self, name: str) -> str | Path:
        return self.path / name if self.descriptor is None else name
