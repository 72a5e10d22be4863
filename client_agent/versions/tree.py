"""A version's finished tree on disk: reading it, and holding it against its manifest.

Not here: how it comes there (``tree_writer``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from client_agent.disk.folder import Folder
from client_agent.errors import Code, PayloadError
from client_agent.platforms import Platform
from client_agent.state.state_body import CONFIRMED
from client_agent.versions.xz_stream import STEP_BYTES
from rollout.errors import ManifestError
from rollout.manifest import (
    MAX_MANIFEST_BYTES,
    EntryKind,
    Manifest,
    ManifestEntry,
    parse_manifest,
)
from rollout.names import RESERVED_ROOT

MANIFEST = "manifest"
"""The file of a version's ``.serinus`` that lists all its others."""

EXECUTABLE = 0o755
"""The mode of a file that can be started."""


class BaseFile:
    """A file of a ``BaseTree``, open.

    Raises:
        PayloadError: ``damaged``, from each method: the bytes cannot be read, or end too early.
    """

    def __init__(self, file: BinaryIO, entry: ManifestEntry) -> None:
        self._file = file
        self._entry = entry
        self._at = 0

    @property
    def descriptor(self) -> int:
        return self._file.fileno()

    def read_at(self, at: int, size: int) -> bytes:
        """Return the *size* bytes from *at* on."""
        try:
            if at != self._at:
                self._file.seek(at)
            data = self._file.read(size)
        except OSError as error:
            raise PayloadError(Code.DAMAGED, self._entry.path) from error
        if len(data) != size:
            raise PayloadError(Code.DAMAGED, self._entry.path)
        self._at = at + size
        return data

    def steps(self) -> Iterator[bytes]:
        """Return the whole file in steps of at most 64 KiB."""
        for at in range(0, self._entry.size_bytes, STEP_BYTES):
            yield self.read_at(at, min(STEP_BYTES, self._entry.size_bytes - at))


@dataclass(frozen=True, slots=True)
class BaseTree:
    """The finished tree that a new one is made from; nothing is ever written to it."""

    root: Folder
    manifest: Manifest
    platform: Platform

    def verify(self, entry: ManifestEntry) -> None:
        """Return when the file of *entry* is what the manifest says.

        Raises:
            PayloadError: ``damaged``.
        """
        with _read_from(entry), self.root.parent_of(entry.path) as (folder, name):
            _verify_file(folder, name, entry, self.platform, from_medium=False)

    @contextmanager
    def opened(self, entry: ManifestEntry) -> Iterator[BaseFile]:
        """Open the file of *entry*.

        Raises:
            PayloadError: ``damaged``: it cannot be opened, or is no file.
        """
        with _read_from(entry), self.root.parent_of(entry.path) as (folder, name):
            descriptor = folder.open(name, os.O_RDONLY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PayloadError(Code.DAMAGED, entry.path)
            with os.fdopen(descriptor, "rb", STEP_BYTES, closefd=False) as file:
                yield BaseFile(file, entry)
        finally:
            os.close(descriptor)


def read_manifest(root: Path, manifest_sha256: str) -> Manifest:
    """Return the manifest of the version in *root*, which must be the one with that digest.

    Raises:
        PayloadError: ``damaged``: it is missing or another one.
    """
    try:
        with _regular(Folder(root / RESERVED_ROOT, None), MANIFEST) as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
        if hashlib.sha256(data).hexdigest() == manifest_sha256:
            return parse_manifest(data)
    except (OSError, ManifestError) as error:
        raise PayloadError(Code.DAMAGED, f"{RESERVED_ROOT}/{MANIFEST}") from error
    raise PayloadError(Code.DAMAGED, f"{RESERVED_ROOT}/{MANIFEST}")


def verify_tree(
    root: Path,
    manifest_sha256: str,
    platform: Platform,
    *,
    from_medium: bool = False,
    exactly: bool = True,
) -> Manifest:
    """Return the manifest when *root* holds its tree: names, kinds, sizes, bytes.

    *from_medium*: read what is stored, not what the system remembers to have written.
    *exactly*: names that an app left there count as damage, too.

    Raises:
        PayloadError: ``damaged``; the detail is the first path that differs.
    """
    manifest = read_manifest(root, manifest_sha256)
    expected: dict[str, dict[str, ManifestEntry | None]] = {"": {RESERVED_ROOT: None}}
    for path in manifest.folders:
        above, _, name = path.rpartition("/")
        expected[above][name] = None
        expected[path] = {}
    for entry in manifest.entries:
        if entry.kind is not EntryKind.FOLDER:
            above, _, name = entry.path.rpartition("/")
            expected[above][name] = entry
    try:
        with Folder.opened(root, by_descriptor=platform.by_descriptor) as folder:
            for path, names in expected.items():
                with folder.parent_of(f"{path}/." if path else ".") as (here, _):
                    if exactly and here.names() != names.keys():
                        raise PayloadError(Code.DAMAGED, path or "/")
                    _verify_folder(here, path, names, platform, from_medium=from_medium)
            with folder.parent_of(f"{RESERVED_ROOT}/{MANIFEST}") as (own, _):
                if exactly and not own.names() <= {MANIFEST, CONFIRMED}:
                    raise PayloadError(Code.DAMAGED, RESERVED_ROOT)
    except OSError as error:
        raise PayloadError(Code.DAMAGED, error.strerror or type(error).__name__) from error
    return manifest


def _verify_folder(
    folder: Folder,
    path: str,
    names: dict[str, ManifestEntry | None],
    platform: Platform,
    *,
    from_medium: bool,
) -> None:
    for name, entry in names.items():
        if entry is None:
            if not stat.S_ISDIR(folder.stat(name).st_mode):
                raise PayloadError(Code.DAMAGED, f"{path}/{name}")
        elif entry.kind is EntryKind.LINK:
            is_link = stat.S_ISLNK(folder.stat(name).st_mode)
            if not is_link or folder.read_link(name) != entry.target:
                raise PayloadError(Code.DAMAGED, entry.path)
        else:
            _verify_file(folder, name, entry, platform, from_medium=from_medium)


def _verify_file(
    folder: Folder, name: str, entry: ManifestEntry, platform: Platform, *, from_medium: bool
) -> None:
    with _read_from(entry), _regular(folder, name) as file:
        found = os.fstat(file.fileno())
        # Some file systems show every file as executable, so only a missing bit is wrong.
        lacks_bit = (
            platform.by_descriptor and entry.mode == EXECUTABLE and not found.st_mode & 0o100
        )
        if found.st_size != entry.size_bytes or lacks_bit:
            raise PayloadError(Code.DAMAGED, entry.path)
        if from_medium:
            platform.drop_cache(file.fileno())
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise PayloadError(Code.DAMAGED, entry.path)


@contextmanager
def _regular(folder: Folder, name: str) -> Iterator[BufferedReader]:
    """Open the file *name*. What is there may be anything: a folder, or a pipe without an end.

    Raises:
        OSError: it cannot be opened, or is no file.
    """
    descriptor = folder.open(name, os.O_RDONLY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


@contextmanager
def _read_from(entry: ManifestEntry) -> Iterator[None]:
    """Take what the system refuses to open or to read for damage."""
    try:
        yield
    except OSError as error:
        raise PayloadError(Code.DAMAGED, entry.path) from error
