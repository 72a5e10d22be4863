"""Deltas: from the tree of one version to that of another (docs/agent.md, 9).

What is read here was verified as a TUF target, byte by byte, before. It is treated as hostile all
the same. The control stream is gone through twice: once to know that everything in it is possible
and leads to the signed manifest, once to write. Nothing is held whole, so memory does not grow
with the files.

Not here: how the control stream is read (``rollout.delta_control``), names of files, but for the
ones that the manifest's validator let through.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from client_agent.errors import Code, DeltaError
from client_agent.versions.tree import BaseFile, BaseTree
from client_agent.versions.tree_writer import TreeWriter
from client_agent.versions.xz_stream import STEP_BYTES, XzStream
from rollout.delta_control import ByteReader, Control, Kind, Placed, Segment
from rollout.delta_format import DICTIONARY_BYTES, HEADER_BYTES, DeltaHeader, parse_header
from rollout.errors import DeltaFormatError, ManifestError
from rollout.manifest import (
    MAX_MANIFEST_BYTES,
    EntryKind,
    Manifest,
    ManifestEntry,
    manifest_in_order,
    render_entry,
)

# What liblzma needs beside the dictionary; the next larger dictionary, 12 MiB, is above.
XZ_MEMORY_BYTES = DICTIONARY_BYTES + 1024**2

# A window ends after the piece that fills it, so it can grow to almost two steps.
_LOW_BITS = int.from_bytes(b"\x7f" * (2 * STEP_BYTES))
_HIGH_BITS = int.from_bytes(b"\x80" * (2 * STEP_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDelta:
    """A delta in *file* that leads to *manifest*. ``patched``: the base's files that it changes."""

    file: BinaryIO
    header: DeltaHeader
    manifest: Manifest
    patched: tuple[ManifestEntry, ...]


def open_delta(
    file: BinaryIO,
    base: Manifest,
    *,
    from_manifest: str,
    to_manifest: str,
    output_bytes: int,
    max_file_bytes: int,
) -> OpenDelta:
    """Return the delta in *file*, from its beginning to its end: possible, and to the signed tree.

    *base* is the manifest whose digest is *from_manifest*; the rest is what the release document
    says of the delta.

    1. The header: for these two manifests, and a length that is exactly the sum of the parts.
    2. The control stream, once through: each range, and the sums.
    3. The manifest that it makes: its digest is the signed one.
    4. The manifest itself: names, caps.

    Raises:
        DeltaError: one of these fails.
    """
    with _told():
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        header = parse_header(file.read(HEADER_BYTES))  # 1
        if length != header.delta_bytes:
            raise DeltaError(Code.BAD_DELTA, "not as long as declared")
        if header.from_manifest != from_manifest:
            raise DeltaError(Code.WRONG_BASE, "starts from another tree")
        if header.to_manifest != to_manifest:
            raise DeltaError(Code.MANIFEST_MISMATCH, "leads to another tree")
        if header.output_bytes != output_bytes:
            raise DeltaError(Code.BAD_DELTA, "makes more or less than the release says")
        return _first_pass(file, header, base, max_file_bytes)


def _first_pass(
    file: BinaryIO, header: DeltaHeader, base: Manifest, max_file_bytes: int
) -> OpenDelta:
    stream, control = _control(file, header, base)
    spelled = _Spelled(control.header)
    entries: list[ManifestEntry] = []
    patched: dict[str, ManifestEntry] = {}
    for placed in control.entries():  # 2
        if placed.source is not None and placed.segments is not None:
            patched[placed.source.path] = placed.source
            for _ in placed.segments:  # it counts, and refuses what is impossible
                pass
        spelled.add(render_entry(placed.entry))
        entries.append(placed.entry)
    stream.finish()
    counted = (control.difference_bytes, control.literal_bytes, control.output_bytes)
    if counted != (header.raw.difference, header.raw.literal, header.output_bytes):
        raise DeltaError(Code.BAD_DELTA, "the streams are not as long as they are used")
    if control.max_file_bytes > max_file_bytes:
        raise DeltaError(Code.OVER_CAP, "a file larger than the release says")
    if spelled.sha256() != header.to_manifest:  # 3
        raise DeltaError(Code.MANIFEST_MISMATCH, "not the signed manifest")
    try:
        manifest = manifest_in_order(control.header, entries)  # 4
    except ManifestError as error:
        raise DeltaError(Code(error.code), str(error)) from error
    return OpenDelta(file=file, header=header, manifest=manifest, patched=tuple(patched.values()))


def apply_delta(delta: OpenDelta, base: BaseTree, writer: TreeWriter) -> None:
    """Write the delta's tree, durably.

    1. The files that are patched are hashed: nothing is made of damaged ones.
    2. The control stream, once more, with the other two beside it.

    Raises:
        DeltaError: the delta's streams are not what its control stream says.
        PayloadError: ``damaged``: a file of the base; ``manifest_mismatch``: a new file.
        OSError: the tree could not be written.
    """
    for entry in delta.patched:  # 1
        base.verify(entry)
    packed, raw = delta.header.packed, delta.header.raw
    with _told():  # 2
        control_xz, control = _control(delta.file, delta.header, base.manifest)
        difference_at = HEADER_BYTES + packed.control
        difference_xz = _stream(delta.file, difference_at, packed.difference)
        literal_xz = _stream(delta.file, difference_at + packed.difference, packed.literal)
        difference = ByteReader(difference_xz.read(raw.difference))
        literal = ByteReader(literal_xz.read(raw.literal))
        expected = iter(delta.manifest.entries)
        for placed in control.entries():
            # The same bytes as before, unless somebody writes to the part: no name may come of it.
            if placed.entry != next(expected, None):
                raise DeltaError(Code.BAD_DELTA, "not the control stream that it was")
            if placed.entry.kind is EntryKind.FILE:
                _write(placed, base, writer, difference, literal)
        for stream in (control_xz, difference_xz, literal_xz):
            stream.finish()
    writer.finish()


def _write(
    placed: Placed, base: BaseTree, writer: TreeWriter, difference: ByteReader, literal: ByteReader
) -> None:
    entry, source = placed.entry, placed.source
    if source is None:
        writer.write(entry, literal.pieces(entry.size_bytes))
    elif placed.segments is None:
        writer.take(entry, base, source)
    else:
        with base.opened(source) as old:
            writer.write(entry, _patched(placed.segments, old, difference, literal))


def _patched(
    segments: Iterable[Segment], old: BaseFile, difference: ByteReader, literal: ByteReader
) -> Iterator[bytes]:
    """Return the new file in windows of about 64 KiB.

    What comes from the old file and the literal stream is put together first, what is to be
    added lies beside it: many short segments then cost one sum.
    """
    window, added = bytearray(), bytearray()
    for kind, start, size in segments:
        for at in range(start, start + size, STEP_BYTES):
            step = min(STEP_BYTES, start + size - at)
            if kind is Kind.LITERAL:
                window += literal.take(step)
            else:
                if kind is Kind.ADDED:
                    added += bytes(len(window) - len(added))
                    added += difference.take(step)
                window += old.read_at(at, step)
            if len(window) >= STEP_BYTES:
                yield _sum(window, added)
                window, added = bytearray(), bytearray()
    yield _sum(window, added)


def _sum(window: bytearray, added: bytearray) -> bytes:
    """Return the sums of the bytes of both, each modulo 256; *added* may be shorter.

    One addition of two long numbers: the lower seven bits of each byte cannot carry into the
    next byte, and the eighth is the exclusive or of all that comes together there.
    """
    one, other = int.from_bytes(window, "little"), int.from_bytes(added, "little")
    if not other:
        return bytes(window)
    total = (one & _LOW_BITS) + (other & _LOW_BITS) ^ (one ^ other) & _HIGH_BITS
    return total.to_bytes(len(window), "little")


class _Spelled:
    """The digest of a manifest, line by line."""

    def __init__(self, header: str) -> None:
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.add(header)

    def add(self, line: str) -> None:
        data = line.encode() + b"\n"
        self._bytes += len(data)
        if self._bytes > MAX_MANIFEST_BYTES:
            raise DeltaError(Code.OVER_CAP, f"a manifest over {MAX_MANIFEST_BYTES} bytes")
        self._digest.update(data)

    def sha256(self) -> str:
        return self._digest.hexdigest()


def _control(file: BinaryIO, header: DeltaHeader, base: Manifest) -> tuple[XzStream, Control]:
    stream = _stream(file, HEADER_BYTES, header.packed.control)
    return stream, Control(stream.read(header.raw.control), base.entries)


def _stream(file: BinaryIO, start: int, packed_bytes: int) -> XzStream:
    return XzStream(file, start, packed_bytes, memory_bytes=XZ_MEMORY_BYTES, refused=_refused)


def _refused(detail: str) -> DeltaError:
    return DeltaError(Code.BAD_DELTA, detail)


@contextmanager
def _told() -> Iterator[None]:
    """Raise ``DeltaError`` for what the format's own reader refuses."""
    try:
        yield
    except DeltaFormatError as error:
        raise DeltaError(Code(error.code), error.detail) from error
