"""A temporary folder that does not outlive its command for long, even if that is killed.

The folder is locked while its command lives, and the kernel lets go of a dead one's lock: so
the next command that needs one removes what the dead left. It lies where temporary files go,
since what a publisher packs may be too large for the disk of the workspace.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = "serinus-work-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder, and remove it at the end."""
    if sys.platform == "win32":  # pragma: no cover - there what was left stays
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            yield Path(folder)
        return
    _remove_left_ones(Path(tempfile.gettempdir()))
    made, lock = _make()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[Path, int]:
    """Return a new folder and the descriptor that locks it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():  # else somebody took it for a dead one's before it was locked
                return folder, lock
            os.close(lock)


def _remove_left_ones(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Anyone may put anything into a folder for temporary files: only what is ours is removed.
        # What cannot be opened, locked or removed stays, and is no reason not to publish.
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
