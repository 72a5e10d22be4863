"""File systems of a test's own, which only root can mount."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def run(*command: str | Path) -> None:
    """Run a command; raise with what it said when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip() or done.returncode}")


@contextmanager
def mounted(what: str | Path, at: Path, options: Sequence[str]) -> Iterator[Path]:
    """Mount *what* at the folder *at*, with these words before it."""
    at.mkdir(exist_ok=True)
    run("mount", *options, what, at)
    try:
        yield at
    finally:
        run("umount", at)


@contextmanager
def tmpfs(at: Path) -> Iterator[Path]:
    """Mount an empty file system in memory, of 64 MiB."""
    with mounted("tmpfs", at, ("-t", "tmpfs", "-o", "size=64m,mode=755")):
        yield at


@cache
def missing(*programs: str) -> str:
    """Return why nothing can be mounted here, or nothing; *programs* are needed, too."""
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if os.geteuid() != 0:
        return "only root can mount"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder)):
                return ""
        except OSError as error:
            return f"nothing can be mounted here ({error})"


@cache
def missing_loop(kind: str) -> str:
    """Return why no image of a *kind* of file system can be mounted here, or nothing."""
    if why := missing(f"mkfs.{kind}"):
        return why
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        try:
            make_image(kind, image)
            with mounted(image, Path(folder) / "at", ("-o", "loop")):
                return ""
        except OSError as error:
            return f"no image of {kind} can be mounted here ({error})"


_SIZES = {"ext4": 16, "xfs": 304, "btrfs": 128}  # MiB; the least that they take


def make_image(kind: str, image: Path) -> None:
    """Make an empty file system in a file, with holes where nothing is."""
    with image.open("wb") as file:
        file.truncate(_SIZES[kind] << 20)
    quiet = ("-q",) if kind != "ext4" else ("-q", "-F")
    run(f"mkfs.{kind}", *quiet, image)
