"""Writing a version's tree into a new folder, durably.

Not here: where the bytes come from (``unpack``, ``delta``), and where a finished tree goes
(``install``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable

from client_agent.disk.folder import Folder
from client_agent.errors import Code, PayloadError
from client_agent.platforms import Platform
from client_agent.versions.tree import EXECUTABLE, MANIFEST, BaseTree
from client_agent.versions.xz_stream import STEP_BYTES
from rollout.manifest import EntryKind, Manifest, ManifestEntry, render_lines
from rollout.names import RESERVED_ROOT

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_WRITABLE = 0o222

# From here on one syncfs(2) is cheaper than an fsync(2) for each file.
MANY_FILES = 256

Progress = Callable[[int, int], None]
"""Gets the bytes written and the bytes in all."""


class TreeWriter:
    """Writes the tree of *manifest* into *root*, an empty folder that only we can reach.

    Files first, in any order (``write``, ``copy`` or ``take``), then ``finish``. Nothing is
    durable before that has returned.

    *hard_links*: files that stay as they are share their blocks with the base where the file
    system cannot clone, too; one bad block then damages both versions.
    """

    def __init__(
        self,
        root: Folder,
        manifest: Manifest,
        platform: Platform,
        progress: Progress,
        *,
        hard_links: bool = False,
    ) -> None:
        self._root = root
        self._manifest = manifest
        self._platform = platform
        self._progress = progress
        self._hard_links = hard_links
        self._written_bytes = 0
        self._tree_bytes = manifest.tree_bytes
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
                for step in steps:
                    _write_all(descriptor, step)
                    digest.update(step)
                    self._tell(len(step))
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

    def take(self, entry: ManifestEntry, base: BaseTree, source: ManifestEntry) -> None:
        """Write the file of *entry* with the content that *source* has in the base.

        What is shared instead of copied is not read here: ``verify_tree`` does that.

        Raises:
            PayloadError: ``damaged`` or ``manifest_mismatch``: the base's file is another one.
        """
        if self._hard_links and entry.mode == source.mode and self._link(entry, base, source):
            return
        with base.opened(source) as old:
            if not self._clone(entry, old.descriptor):
                self.write(entry, old.steps())

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
                with os.fdopen(descriptor, "wb", STEP_BYTES, closefd=False) as file:
                    file.writelines(render_lines(self._manifest))
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

    def _link(self, entry: ManifestEntry, base: BaseTree, source: ManifestEntry) -> bool:
        """Return False where there can be no second name, and where there should be none."""
        try:
            with (
                base.root.parent_of(source.path) as (folder, old),
                self._root.parent_of(entry.path) as (parent, name),
            ):
                # Sealed files cannot be written to. Who can write to this one could change the
                # new version through it, after that was verified.
                sealed = not folder.stat(old).st_mode & _WRITABLE
                if self._platform.by_descriptor and not sealed:
                    return False
                folder.share(old, parent, name)
        except OSError:  # another file system, or a damaged base: copying it says which
            return False
        self._tell(entry.size_bytes)
        return True

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
        self._tell(entry.size_bytes)
        return True

    def _tell(self, written_bytes: int) -> None:
        self._written_bytes += written_bytes
        self._progress(self._written_bytes, self._tree_bytes)

    def _complete(self, descriptor: int, entry: ManifestEntry) -> None:
        self._platform.seal(descriptor, executable=entry.mode == EXECUTABLE)
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


def _steps(descriptor: int) -> Iterable[bytes]:
    while step := os.read(descriptor, STEP_BYTES):
        yield step


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
