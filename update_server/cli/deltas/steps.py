"""How each entry of a new tree comes about from an old one: the steps of a delta.

What is the same is kept, what has moved is copied, what has changed is patched from the file that
is most likely its older self; and what would be longer as a patch is sent as it is.

Not here: how steps are spelled (``writer``).
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from rollout.delta_format import MAX_FILE_BYTES, Op
from rollout.manifest import EntryKind, Manifest, ManifestEntry, render_manifest
from update_server.cli.deltas.matches import Matches, matches_between
from update_server.cli.deltas.patch import Streams, write_patch


class NoDeltaError(Exception):
    """There is no delta between these trees; the text says why."""


@dataclass(frozen=True)
class Tree:
    """A verified tree in *root*."""

    root: Path
    manifest: Manifest

    def file(self, entry: ManifestEntry) -> Path:
        """Return where the bytes of *entry* are."""
        return self.root / entry.path

    @cached_property
    def sha256(self) -> str:
        """The digest of the manifest, which identifies the tree."""
        return hashlib.sha256(render_manifest(self.manifest)).hexdigest()

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of each entry in the manifest, by path."""
        return {entry.path: at for at, entry in enumerate(self.manifest.entries)}

    @cached_property
    def by_digest(self) -> dict[str, int]:
        """The place of one file with each content."""
        entries = self.manifest.entries
        return {entry.sha256: at for at, entry in enumerate(entries) if entry.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation: on *count* entries of the old tree, or for one *entry* of the new tree.

    ``source`` is the place in the old manifest of the file that is copied or patched.
    """

    op: Op
    count: int = 0
    entry: ManifestEntry | None = None
    source: int = 0
    matches: Matches | None = None


def steps_between(old: Tree, new: Tree) -> Iterator[Step]:
    """Return the steps from *old* to *new*, in the order of the new manifest.

    Raises:
        NoDeltaError: A changed file is larger than any that a delta can make.
    """
    sources = Sources(old, new)
    cursor = kept = 0  # where KEEP and SKIP are in the old manifest, entries to keep from there
    for entry in new.manifest.entries:
        at = old.index.get(entry.path, -1)
        if at >= 0 and old.manifest.entries[at] == entry:
            if at != cursor + kept:
                yield from _keep(kept)
                yield Step(op=Op.SKIP, count=at - cursor - kept)
                cursor, kept = at, 0
            kept += 1
            continue
        yield from _keep(kept)
        cursor, kept = cursor + kept, 0
        yield _step(old, new, entry, sources)
    yield from _keep(kept)


def _keep(count: int) -> Iterator[Step]:
    if count:
        yield Step(op=Op.KEEP, count=count)


def _step(old: Tree, new: Tree, entry: ManifestEntry, sources: Sources) -> Step:
    """Return how *entry*, which the old tree has not, comes about."""
    if entry.kind is EntryKind.LINK:
        return Step(op=Op.LINK, entry=entry)
    if entry.kind is EntryKind.FOLDER:
        return Step(op=Op.DIR, entry=entry)
    if entry.sha256 in old.by_digest:
        return Step(op=Op.SAME, entry=entry, source=old.by_digest[entry.sha256])
    if entry.size_bytes > MAX_FILE_BYTES:
        raise NoDeltaError(f"{entry.path} is larger than {MAX_FILE_BYTES} bytes")
    source = sources.source_for(entry)
    if source is not None and (matches := _worth_it(old, source, new, entry)):
        return Step(op=Op.PATCH, entry=entry, source=old.index[source.path], matches=matches)
    return Step(op=Op.NEW, entry=entry)


class Sources:
    """The files of an old tree that files of a new one may have come from."""

    def __init__(self, old: Tree, new: Tree) -> None:
        self._old = old
        files = [file for file in old.manifest.files if file.size_bytes]
        self._gone = [file for file in files if file.path not in new.index]
        self._by_suffix = _groups(self._gone, lambda path: path.suffix)
        self._by_name = _groups(files, lambda path: path.name) | _groups(
            self._gone, lambda path: path.name
        )

    def source_for(self, entry: ManifestEntry) -> ManifestEntry | None:
        """Return the file that became *entry*, as far as names and sizes tell.

        1. The file with its path.
        2. A file with its name elsewhere; if some of these are gone, one of them.
        3. Of the files that are gone, one with its suffix, or else any.

        Of several, the one that is next in size.
        """
        if (at := self._old.index.get(entry.path)) is not None:  # 1
            found = self._old.manifest.entries[at]
            return found if found.size_bytes else None
        path = PurePosixPath(entry.path)
        some = self._by_name.get(path.name) or self._by_suffix.get(path.suffix) or self._gone
        return min(some, key=lambda file: abs(file.size_bytes - entry.size_bytes), default=None)


def _groups(
    files: Iterable[ManifestEntry], key: Callable[[PurePosixPath], str]
) -> dict[str, list[ManifestEntry]]:
    found: dict[str, list[ManifestEntry]] = {}
    for file in files:
        found.setdefault(key(PurePosixPath(file.path)), []).append(file)
    return found


def _worth_it(old: Tree, source: ManifestEntry, new: Tree, entry: ManifestEntry) -> Matches | None:
    """Return the matches if a patch by them is shorter than the new file, both packed roughly."""
    was, now = old.file(source).read_bytes(), new.file(entry).read_bytes()
    if not now:
        return None
    matches = matches_between(was, now)
    patch, whole = _Rough(), _Rough()
    write_patch(was, now, matches, None, Streams(patch.add, patch.add, patch.add))
    whole.add(now)
    return matches if patch.packed() < whole.packed() else None


class _Rough:
    """Counts how long something would be about, in bytes."""

    def __init__(self) -> None:
        self._packer = lzma.LZMACompressor(lzma.FORMAT_XZ, preset=1)
        self._bytes = 0

    def add(self, data: bytes) -> None:
        self._bytes += len(self._packer.compress(data))

    def packed(self) -> int:
        return self._bytes + len(self._packer.flush())
