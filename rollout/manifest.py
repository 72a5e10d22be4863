"""The manifest: what a version's tree holds, line by line. Its SHA-256 is the tree's identity.

Written by the publisher, read by the agent and the launcher; docs/agent.md, 8 is the format.
Exactly one sequence of bytes describes a tree: entries are sorted, numbers have one spelling.

Not here: the names' own rules (``rollout.names``), and any file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from packaging.version import Version

from rollout.errors import BadNameError, InvalidVersionError, ManifestError
from rollout.names import MAX_TREE_ENTRIES, check_app, check_platform, check_tree
from rollout.versions import parse_canonical_version, render_version

MAX_MANIFEST_BYTES = 16 * 1024**2
MAX_TREE_BYTES = 8 * 1024**3

_MAGIC = "serinus-manifest"
_FORMAT = "1"
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MODES = {"644": 0o644, "755": 0o755}
_WITH_LINKS = ("linux-", "macos-")


class EntryKind(StrEnum):
    """The first field of an entry's line."""

    FOLDER = "d"
    FILE = "f"
    LINK = "l"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One line. ``mode``, ``size_bytes`` and ``sha256`` belong to files, ``target`` to links."""

    kind: EntryKind
    path: str
    mode: int = 0
    size_bytes: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole tree. Made by ``manifest_for`` or ``parse_manifest``, and so valid."""

    app: str
    platform: str
    version: Version
    entry_point: str
    entries: tuple[ManifestEntry, ...]

    @property
    def files(self) -> tuple[ManifestEntry, ...]:
        """The files, in the order of the payload's contents."""
        return tuple(entry for entry in self.entries if entry.kind is EntryKind.FILE)

    @property
    def tree_bytes(self) -> int:
        """The sum of all files' sizes."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def content_bytes(self) -> int:
        """The length of the payload's contents: each digest once."""
        return sum({entry.sha256: entry.size_bytes for entry in self.files}.values())

    @property
    def folders(self) -> tuple[str, ...]:
        """Every folder of the tree, parents before their children."""
        found = {entry.path for entry in self.entries if entry.kind is EntryKind.FOLDER}
        for entry in self.entries:
            above = entry.path.rpartition("/")[0]
            while above and above not in found:  # what is found has brought those above it
                found.add(above)
                above = above.rpartition("/")[0]
        return tuple(sorted(found))


def manifest_for(
    *,
    app: str,
    platform: str,
    version: Version,
    entry_point: str,
    entries: Iterable[ManifestEntry],
) -> Manifest:
    """Return the manifest of a tree whose entries come in any order.

    Raises:
        ManifestError: no agent would accept it.
    """
    in_order = tuple(sorted(entries, key=lambda entry: entry.path.encode("utf-8", "replace")))
    manifest = Manifest(
        app=app, platform=platform, version=version, entry_point=entry_point, entries=in_order
    )
    _check(manifest)
    if len(render_manifest(manifest)) > MAX_MANIFEST_BYTES:
        raise ManifestError("over_cap", f"longer than {MAX_MANIFEST_BYTES} bytes")
    return manifest


def render_manifest(manifest: Manifest) -> bytes:
    """Return the bytes that describe the tree."""
    return b"".join(render_lines(manifest))


def render_lines(manifest: Manifest) -> Iterator[bytes]:
    """Return the same line by line, for those who need not hold it whole."""
    version = render_version(manifest.version)
    header = (_MAGIC, _FORMAT, manifest.app, manifest.platform, version, manifest.entry_point)
    yield "\t".join(header).encode() + b"\n"
    for entry in manifest.entries:
        yield render_entry(entry).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest that *data* spells.

    1. Within the caps, whole lines.
    2. The header and each line by itself: UTF-8, and what it says.
    3. The tree: names, order, links, sums.

    Each part has one spelling, so that a tree has one digest: ``render_manifest`` of the answer
    is *data* again.

    Raises:
        ManifestError: anything else.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError("over_cap", f"longer than {MAX_MANIFEST_BYTES} bytes")  # 1
    if not data.endswith(b"\n"):
        raise ManifestError("bad_manifest", "the last line has no end")
    if data.count(b"\n") > MAX_TREE_ENTRIES + 1:
        raise ManifestError("over_cap", f"more than {MAX_TREE_ENTRIES} entries")
    lines = _lines(data)
    header = next(lines)
    entries = (_entry(line, at) for at, line in enumerate(lines, start=2))
    return manifest_in_order(header, entries)  # 2, 3


def manifest_in_order(header: str, entries: Iterable[ManifestEntry]) -> Manifest:
    """Return the manifest whose first line is *header*, before its line feed.

    Raises:
        ManifestError: as ``parse_manifest`` of the lines that *entries* have.
    """
    match header.split("\t"):
        case [magic, number, app, platform, version, entry_point] if (magic, number) == (
            _MAGIC,
            _FORMAT,
        ):
            manifest = Manifest(
                app=app,
                platform=platform,
                version=_version(version),
                entry_point=entry_point,
                entries=tuple(entries),
            )
        case _:
            raise ManifestError("bad_manifest", "no manifest of format 1", line=1)
    _check(manifest)
    return manifest


def render_entry(entry: ManifestEntry) -> str:
    """Return the entry's line, before its line feed."""
    if entry.kind is EntryKind.FILE:
        return f"f\t{entry.mode:o}\t{entry.size_bytes}\t{entry.sha256}\t{entry.path}"
    if entry.kind is EntryKind.LINK:
        return f"l\t{entry.target}\t{entry.path}"
    return f"d\t{entry.path}"


def _lines(data: bytes) -> Iterator[str]:
    """Return the lines of *data*, which ends with one. All at once would double the memory."""
    start = 0
    while start < len(data):
        end = data.index(b"\n", start)
        try:
            yield data[start:end].decode()
        except UnicodeDecodeError as error:
            detail = f"byte {start + error.start} is not UTF-8"
            raise ManifestError("bad_manifest", detail) from error
        start = end + 1


def _entry(line: str, number: int) -> ManifestEntry:
    match line.split("\t"):
        case ["d", path]:
            return ManifestEntry(kind=EntryKind.FOLDER, path=path)
        case ["l", target, path]:
            return ManifestEntry(kind=EntryKind.LINK, path=path, target=target)
        case ["f", mode, size, sha256, path] if mode in _MODES and _SIZE.fullmatch(size):
            return ManifestEntry(
                kind=EntryKind.FILE,
                path=path,
                mode=_MODES[mode],
                size_bytes=int(size),
                sha256=sha256,
            )
    raise ManifestError("bad_manifest", "not an entry", line=number)


def _version(text: str) -> Version:
    try:
        return parse_canonical_version(text)
    except InvalidVersionError as error:
        raise ManifestError("bad_manifest", str(error), line=1) from error


def _check(manifest: Manifest) -> None:
    """Return when the tree is one that every agent of the platform can build.

    1. Names: each by itself, and all together (``rollout.names``); among other things, a folder
       has a line of its own only if nothing is in it, and no path comes twice.
    2. Entries in the order of their paths' bytes.
    3. Files: one size for each digest, and a sum within the cap.
    4. Links only where the platform has them.
    5. The entry point is a file that can be executed.
    """
    try:
        check_app(manifest.app)
        check_platform(manifest.platform)
        check_tree(manifest.entries)  # 1
    except BadNameError as error:
        raise ManifestError("bad_name", str(error)) from error
    # Characters sort as their bytes in UTF-8 do.
    if any(one.path > other.path for one, other in pairwise(manifest.entries)):  # 2
        raise ManifestError("bad_manifest", "entries are not in order")
    _check_files(manifest)  # 3
    links = [entry for entry in manifest.entries if entry.kind is EntryKind.LINK]
    if links and not manifest.platform.startswith(_WITH_LINKS):  # 4
        raise ManifestError("bad_manifest", f"links on {manifest.platform}: {links[0].path}")
    entry_point = next((e for e in manifest.files if e.path == manifest.entry_point), None)
    if entry_point is None or entry_point.mode != _MODES["755"]:  # 5
        raise ManifestError("bad_manifest", f"cannot be executed: {manifest.entry_point}")


def _check_files(manifest: Manifest) -> None:
    sizes: dict[str, int] = {}
    for entry in manifest.files:
        if not _SHA256.fullmatch(entry.sha256):
            raise ManifestError("bad_manifest", f"digest of {entry.path}")
        if sizes.setdefault(entry.sha256, entry.size_bytes) != entry.size_bytes:
            raise ManifestError("bad_manifest", f"two sizes for one digest: {entry.path}")
    if manifest.tree_bytes > MAX_TREE_BYTES:
        raise ManifestError("over_cap", f"more than {MAX_TREE_BYTES} bytes in all")
