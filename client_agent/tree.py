"""A version's tree on disk: writing one into a new folder, and holding one against its manifest.

Not here: where the bytes come from (``unpack``), and where a finished tree goes (``install``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from client_agent.errors import Code, PayloadError
from client_agent.folder import Folder
from client_agent.platforms import Platform
from rollout.errors import ManifestError
from rollout.manifest import (
    MAX_MANIFEST_BYTES,
    EntryKind,
    Manifest,
    ManifestEntry,
    parse_manifest,
    render_manifest,
)
from rollout.names import RESERVED_ROOT

MANIFEST = "manifest"
CONFIRMED = "confirmed"
"""The two files of a version's ``.serinus``; the second from its first confirmation on."""

STEP_BYTES = 64 * 1024
_EXECUTABLE = 0o755
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL

# From here on one syncfs(2) is cheaper than an fsync(2) for each file.
MANY_FILES = 256


class TreeWriter:
    """Writes the tree of *manifest* into *root*, an empty folder that only we can reach.

    Files first, in any order (``write`` or ``copy``), then ``finish``. Nothing is durable
    before that has returned.
    """

    def __init__(self, root: Folder, manifest: Manifest, platform: Platform) -> None:
        self._root = root
        self._manifest = manifest
        self._platform = platform
        self._all_at_once = len(manifest.files) > MANY_FILES
        for folder in manifest.folders:
            with root.parent_of(folder) as (parent, name):
                parent.make(name)

    def write(self, entry: ManifestEntry, steps: Iterable[bytes]) -> None:
        """Write the file of *entry*.

        Raises:
            PayloadError: ``manifest_mismatch``: these are other bytes than the manifest's.
        """
        with self._root.parent_of(entry.path) as (parent, name):
            descriptor = parent.open(name, _NEW)
            try:
                digest = hashlib.sha256()
                with os.fdopen(descriptor, "wb", buffering=0, closefd=False) as file:
                    for step in steps:
                        _write_all(file.fileno(), step)
                        digest.update(step)
                if digest.hexdigest() != entry.sha256:
                    raise PayloadError(Code.MANIFEST_MISMATCH, entry.path)
                self._complete(descriptor, entry)
            finally:
                os.close(descriptor)

    def copy(self, entry: ManifestEntry, first: ManifestEntry) -> None:
        """Write the file of *entry* with the content of *first*, which has been written."""
        with self._root.parent_of(first.path) as (folder, name):
            source = folder.open(name, os.O_RDONLY)
        try:
            if not self._clone(entry, source):
                self.write(entry, _steps(source))
        finally:
            os.close(source)

    def finish(self) -> None:
        """Add the links and the manifest, and return when all of it is on the medium."""
        for entry in self._manifest.entries:
            if entry.kind is EntryKind.LINK:
                with self._root.parent_of(entry.path) as (parent, name):
                    parent.link(entry.target, name)
        self._root.make(RESERVED_ROOT)
        with self._root.parent_of(f"{RESERVED_ROOT}/{MANIFEST}") as (parent, name):
            descriptor = parent.open(name, _NEW)
            try:
                _write_all(descriptor, render_manifest(self._manifest))
                self._platform.seal(descriptor, executable=False)
                self._platform.sync_file(descriptor)
            finally:
                os.close(descriptor)
        if self._all_at_once:
            self._sync_files()
        for folder in reversed(self._manifest.folders):
            self._platform.sync_dir(self._root.path / folder)
        self._platform.sync_dir(self._root.path / RESERVED_ROOT)
        if self._root.descriptor is not None:
            os.fchmod(self._root.descriptor, 0o755)  # it was ours alone until now
        self._platform.sync_dir(self._root.path)

    def _clone(self, entry: ManifestEntry, source: int) -> bool:
        with self._root.parent_of(entry.path) as (parent, name):
            if parent.descriptor is None:
                return False
            if not self._platform.clone_file(source, parent.descriptor, name):
                return False
            descriptor = parent.open(name, os.O_RDONLY)
            try:
                self._complete(descriptor, entry)
            finally:
                os.close(descriptor)
        return True

    def _complete(self, descriptor: int, entry: ManifestEntry) -> None:
        self._platform.seal(descriptor, executable=entry.mode == _EXECUTABLE)
        if not self._all_at_once:
            self._platform.sync_file(descriptor)

    def _sync_files(self) -> None:
        root = self._root.descriptor  # open since before the first write, so it sees all errors
        if root is not None and self._platform.sync_file_system(root):
            return
        for entry in self._manifest.files:
            with self._root.parent_of(entry.path) as (parent, name):
                descriptor = parent.open(name, os.O_RDONLY)
            try:
                self._platform.sync_file(descriptor)
            finally:
                os.close(descriptor)


def read_manifest(root: Path, manifest_sha256: str) -> Manifest:
    """Return the manifest of the version in *root*, which must be the one with that digest.

    Raises:
        PayloadError: ``damaged``: it is missing or another one.
    """
    try:
        with (root / RESERVED_ROOT / MANIFEST).open("rb") as file:
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
    with os.fdopen(folder.open(name, os.O_RDONLY), "rb") as file:
        found = os.fstat(file.fileno())
        # Some file systems show every file as executable, so only a missing bit is wrong.
        lacks_bit = (
            platform.by_descriptor and entry.mode == _EXECUTABLE and not found.st_mode & 0o100
        )
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size_bytes or lacks_bit:
            raise PayloadError(Code.DAMAGED, entry.path)
        if from_medium:
            platform.drop_cache(file.fileno())
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise PayloadError(Code.DAMAGED, entry.path)


def _steps(descriptor: int) -> Iterable[bytes]:
    while step := os.read(descriptor, STEP_BYTES):
        yield step


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
