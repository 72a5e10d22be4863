"""Making a payload ``serinus-1`` (docs/agent.md, 8) from what a publisher has built.

A directory, a zip, a tar (.gz, .xz, .zst) or a single executable; the same bytes for the same
tree, whoever packs it and when.

Not here: reading archives (``archives``), what a tree may hold (``rollout.manifest``).
"""

from __future__ import annotations

import hashlib
import lzma
import stat
import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from packaging.version import Version

from rollout.manifest import (
    EntryKind,
    Manifest,
    ManifestEntry,
    manifest_for,
    render_manifest,
)
from update_server.cli.archives import (
    STEP_BYTES,
    PayloadError,
    SourceEntry,
    is_archive,
    read_archive,
)

__all__ = ["MadePayload", "PayloadError", "make_payload"]

_MAGIC = b"SRNPAY1\n"
_HEADER = struct.Struct("<8sIIQQ")  # magic; manifest and contents, packed and raw, in bytes
_PRESET = 9
_MAX_DICTIONARY_BYTES = 32 * 1024**2  # agents unpack with 34 MiB of memory
_MIN_DICTIONARY_BYTES = 64 * 1024
_EXECUTABLE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePayload:
    """A payload, and what the release document says about it."""

    manifest: Manifest
    manifest_sha256: str
    sha256: str
    length_bytes: int

    @property
    def tree_bytes(self) -> int:
        """The sum of the files' sizes."""
        return self.manifest.tree_bytes

    @property
    def files(self) -> int:
        """The number of files."""
        return len(self.manifest.files)


def make_payload(
    source: Path,
    payload: Path,
    *,
    app: str,
    platform: str,
    version: Version,
    entry_point: str | None = None,
) -> MadePayload:
    """Write *source* as the new file *payload*, which agents can install.

    *entry_point* is what the launcher starts; without it, the only executable at the top.

    Raises:
        PayloadError: the source cannot be read, changed meanwhile, or has no entry point.
        ManifestError: no agent would accept its tree.
        FileExistsError: *payload* is there already.
    """
    with tempfile.TemporaryDirectory(prefix="serinus-", dir=payload.parent) as folder:
        try:
            entries = _read(source, Path(folder))
        except OSError as error:
            raise PayloadError(f"{error.filename or source}: {error.strerror}") from error
        start = _entry_point(entries, entry_point)
        manifest = manifest_for(
            app=app,
            platform=platform,
            version=version,
            entry_point=start,
            entries=(_as_started(found.entry, start) for found in entries),
        )
        contents = {found.entry.path: found.content for found in entries if found.content}
        with payload.open("xb") as out:
            try:
                _write(out, manifest, contents)
            except BaseException:
                payload.unlink()
                raise
    with payload.open("rb") as written:
        sha256 = hashlib.file_digest(written, "sha256").hexdigest()
    return MadePayload(
        manifest=manifest,
        manifest_sha256=hashlib.sha256(render_manifest(manifest)).hexdigest(),
        sha256=sha256,
        length_bytes=payload.stat().st_size,
    )


def _read(source: Path, into: Path) -> list[SourceEntry]:
    if source.is_dir():
        return list(_walk(source, ""))
    if is_archive(source):
        found = read_archive(source, into)
        # Archives name every folder; a manifest names the empty ones.
        parents = {each.entry.path.rpartition("/")[0] for each in found}
        return [
            each
            for each in found
            if each.entry.kind is not EntryKind.FOLDER or each.entry.path not in parents
        ]
    return [_file(source, source.name, executable=True)]


def _walk(folder: Path, above: str) -> Iterable[SourceEntry]:
    """Return what lies in the folder, without ever following a link."""
    names = sorted(folder.iterdir())
    if not names and above:
        yield SourceEntry(entry=ManifestEntry(kind=EntryKind.FOLDER, path=above))
    for path in names:
        name = f"{above}/{path.name}" if above else path.name
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            target = path.readlink().as_posix()
            entry = ManifestEntry(kind=EntryKind.LINK, path=name, target=target)
            yield SourceEntry(entry=entry)
        elif stat.S_ISDIR(mode):
            yield from _walk(path, name)
        elif stat.S_ISREG(mode):
            yield _file(path, name, executable=bool(mode & 0o111))
        else:
            raise PayloadError(f"{name}: neither file, folder nor link")


def _file(path: Path, name: str, *, executable: bool) -> SourceEntry:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    entry = ManifestEntry(
        kind=EntryKind.FILE,
        path=name,
        mode=0o755 if executable else 0o644,
        size_bytes=size,
        sha256=sha256,
    )
    return SourceEntry(entry=entry, content=path)


def _entry_point(entries: Sequence[SourceEntry], asked: str | None) -> str:
    """Return what is started: what was asked for, or the only executable at the top."""
    files = {found.entry.path: found.entry for found in entries if found.content}
    if asked is not None:
        if asked not in files:
            raise PayloadError(f"there is no file {asked} to start")
        return asked
    top = [path for path, entry in files.items() if "/" not in path and entry.mode == _EXECUTABLE]
    if len(top) != 1:
        found = ", ".join(sorted(top)[:5]) or "none"
        raise PayloadError(f"say what is started (--entry PATH): executables at the top: {found}")
    return top[0]


def _as_started(entry: ManifestEntry, start: str) -> ManifestEntry:
    """Return the entry; what is started is executable, though not every archive can say so."""
    return replace(entry, mode=_EXECUTABLE) if entry.path == start else entry


def _write(out: BinaryIO, manifest: Manifest, contents: dict[str, Path]) -> None:
    out.write(bytes(_HEADER.size))  # known only in the end
    spelled = render_manifest(manifest)
    manifest_bytes = _pack(out, [spelled], len(spelled))
    content_bytes = _pack(out, _contents(manifest, contents), manifest.content_bytes)
    out.seek(0)
    sizes = (manifest_bytes, len(spelled), content_bytes, manifest.content_bytes)
    out.write(_HEADER.pack(_MAGIC, *sizes))


def _contents(manifest: Manifest, contents: dict[str, Path]) -> Iterable[bytes]:
    """Return the files' bytes in the manifest's order, each digest once."""
    seen: set[str] = set()
    for entry in manifest.files:
        if entry.sha256 in seen:
            continue
        seen.add(entry.sha256)
        digest = hashlib.sha256()
        with contents[entry.path].open("rb") as file:
            while step := file.read(STEP_BYTES):
                digest.update(step)
                yield step
        if digest.hexdigest() != entry.sha256:
            raise PayloadError(f"{entry.path}: changed while it was read")


def _pack(out: BinaryIO, steps: Iterable[bytes], raw_bytes: int) -> int:
    """Write the steps as one xz stream; return its length."""
    # No larger than the content needs: the memory is asked for here and on every machine.
    needed = 1 << max(raw_bytes - 1, 0).bit_length()
    dictionary = min(max(needed, _MIN_DICTIONARY_BYTES), _MAX_DICTIONARY_BYTES)
    packer = lzma.LZMACompressor(
        lzma.FORMAT_XZ,
        check=lzma.CHECK_CRC64,
        filters=[{"id": lzma.FILTER_LZMA2, "preset": _PRESET, "dict_size": dictionary}],
    )
    begin = out.tell()
    out.writelines(packer.compress(step) for step in steps)
    out.write(packer.flush())
    return out.tell() - begin
