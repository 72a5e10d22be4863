"""The demo's data: one folder that is the demo's alone, and gone afterwards."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from update_server.cli.errors import UsageError

_MARK = ".serinus-demo"
_BLOCK_BYTES = 512  # st_blocks counts in these, whatever the file system's own are


@contextmanager
def demo_folder(chosen: Path | None, *, keep: bool) -> Iterator[Path]:
    """Give an empty folder, and remove what is in it at the end unless *keep*.

    *chosen* may hold what an earlier demo left there; anything else is not touched.

    Raises:
        UsageError: *chosen* holds something else, or another demo is at work in it.
    """
    if chosen is None:
        folder = Path(tempfile.mkdtemp(prefix="serinus-demo-"))
    else:
        folder = chosen.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
        if names and _MARK not in names:
            raise UsageError("not_empty", f"{folder} holds what is not the demo's")
    with (folder / _MARK).open("a", encoding="ascii") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError("busy", f"another demo is at work in {folder}") from error
        _clear(folder)
        try:
            yield folder
        finally:
            if not keep:
                _clear(folder)
                (folder / _MARK).unlink(missing_ok=True)
                folder.rmdir()


def disk_bytes(folder: Path) -> int:
    """Return how much of the disk everything in *folder* takes."""
    used = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                used += os.lstat(os.path.join(parent, name)).st_blocks * _BLOCK_BYTES  # noqa: PTH118
            except FileNotFoundError:
                continue  # a server at work renames its files
    return used


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _MARK:
            path.unlink()
