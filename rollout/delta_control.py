"""Reading the control stream of a delta: how each entry of the new tree comes about.

Strict: whatever could be meant in two ways is refused. Bounded: the stream is never held whole,
nor is anything whose length it tells.

Not here: how it is spelled (``rollout.delta_format``), the other two streams, files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from rollout.delta_format import (
    DIGEST_BYTES,
    MAX_FILE_BYTES,
    MAX_NAME_BYTES,
    MAX_UV_BITS,
    MODES,
    Op,
)
from rollout.errors import DeltaFormatError
from rollout.manifest import EntryKind, ManifestEntry
from rollout.names import MAX_TREE_ENTRIES


class Kind(IntEnum):
    """Where the bytes of a segment come from."""

    ADDED = 0  # the old file's, plus the difference stream's, each modulo 256
    OLD = 1  # the old file's, unchanged
    LITERAL = 2  # the literal stream's


Segment = tuple[Kind, int, int]
"""Kind, position in the old file (0 for ``LITERAL``), length in bytes. A tuple: there are many."""


class ByteReader:
    """Bytes that come in *chunks*, none of them empty, and are taken in any portions.

    Raises:
        DeltaFormatError: ``bad_delta``, from any method: there are fewer bytes, or others.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0

    def uv(self) -> int:
        """Return the next number; it must have the shortest spelling."""
        at = self._at
        if at == len(self._chunk):
            self._refill()
            at = 0
        byte = self._chunk[at]
        self._at = at + 1
        return byte if byte < 0x80 else self._long_uv(byte & 0x7F)  # noqa: PLR2004 - the eighth bit

    def sv(self) -> int:
        """Return the next signed number."""
        number = self.uv()
        return ~(number >> 1) if number & 1 else number >> 1

    def byte(self) -> int:
        """Return the next byte."""
        if self._at == len(self._chunk):
            self._refill()
        self._at += 1
        return self._chunk[self._at - 1]

    def pieces(self, size: int) -> Iterator[bytes]:
        """Return the next *size* bytes, as they come."""
        while size:
            if self._at == len(self._chunk):
                self._refill()
            piece = self._chunk[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes at once."""
        end = self._at + size
        if end > len(self._chunk):
            return b"".join(self.pieces(size))
        taken = self._chunk[self._at : end]
        self._at = end
        return taken

    def finish(self) -> None:
        """Return when nothing is left."""
        if self._at != len(self._chunk) or next(self._chunks, b""):
            raise DeltaFormatError("bad_delta", "a stream is not used up")

    def _long_uv(self, number: int) -> int:
        for shift in range(7, MAX_UV_BITS, 7):
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte == 0:
                raise DeltaFormatError("bad_delta", "a number is spelled too long")
            if byte < 0x80:  # noqa: PLR2004 - the eighth bit
                return number
        raise DeltaFormatError("bad_delta", "a number over 63 bits")

    def _refill(self) -> None:
        self._chunk = next(self._chunks, b"")
        self._at = 0
        if not self._chunk:
            raise DeltaFormatError("bad_delta", "a stream ends too early")


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry of the new tree, and where its content comes from.

    ``source``: the file of the base that it is, or that is patched; None for what the literal
    stream holds, and for links and folders. ``segments``: how to patch the source; to be used up
    before the next entry is asked for. None where nothing is patched.
    """

    entry: ManifestEntry
    source: ManifestEntry | None = None
    segments: Iterator[Segment] | None = None


class Control:
    """The control stream, once through: the header line, then the entries of the new tree.

    ``header`` is the first line of the new tree's manifest. The counters tell what the
    entries so far take from the other streams, what they make by that in all, and the size of
    the largest file among it.

    Raises:
        DeltaFormatError: from any method: ``bad_delta``, or ``over_cap``.
    """

    def __init__(self, chunks: Iterator[bytes], base: Sequence[ManifestEntry]) -> None:
        self._bytes = ByteReader(chunks)
        self._base = base
        self._name = b""  # the one spelled last, of any kind
        self.difference_bytes = 0
        self.literal_bytes = 0
        self.output_bytes = 0
        self.max_file_bytes = 0
        self.header = self._next_name()

    def entries(self) -> Iterator[Placed]:
        """Return the entries in their order; after the last one nothing is left."""
        for count, placed in enumerate(self._entries(), start=1):
            if count > MAX_TREE_ENTRIES:
                raise DeltaFormatError("over_cap", f"more than {MAX_TREE_ENTRIES} entries")
            yield placed
        self._bytes.finish()

    def _entries(self) -> Iterator[Placed]:
        cursor = 0
        while (op := self._bytes.byte()) != Op.END:
            if op in (Op.KEEP, Op.SKIP):
                passed = self._bytes.uv()
                if not 0 < passed <= len(self._base) - cursor:
                    raise DeltaFormatError("bad_delta", "the cursor leaves the old manifest")
                if op == Op.KEEP:
                    yield from map(_kept, self._base[cursor : cursor + passed])
                cursor += passed
            elif op == Op.SAME:
                mode, path, source = self._next_mode(), self._next_name(), self._next_source()
                entry = _file(path, mode, source.size_bytes, source.sha256)
                yield Placed(entry, source)
            elif op == Op.PATCH:
                mode, path, source = self._next_mode(), self._next_name(), self._next_source()
                entry = self._next_output(path, mode)
                segments = self._segments(entry.size_bytes, source.size_bytes)
                yield Placed(entry, source, segments)
            elif op == Op.NEW:
                mode, path = self._next_mode(), self._next_name()
                entry = self._next_output(path, mode)
                self.literal_bytes += entry.size_bytes
                yield Placed(entry)
            elif op == Op.LINK:
                path, target = self._next_name(), self._next_name()
                yield Placed(ManifestEntry(kind=EntryKind.LINK, path=path, target=target))
            elif op == Op.DIR:
                yield Placed(ManifestEntry(kind=EntryKind.FOLDER, path=self._next_name()))
            else:
                raise DeltaFormatError("bad_delta", f"an operation that does not exist: {op}")

    def _segments(self, size: int, old_size: int) -> Iterator[Segment]:
        """Return what to put together, until *size* bytes are out."""
        uv, sv = self._bytes.uv, self._bytes.sv
        at = 0
        left = size
        record = 0
        while left:
            head = uv()
            copy = head >> 1
            if copy > left or copy > old_size - at:
                raise DeltaFormatError("bad_delta", "a copy leaves its file")
            if head & 1:
                yield from self._runs(at, copy)
            elif copy:
                self.difference_bytes += copy
                yield Kind.ADDED, at, copy
            literal = uv()
            left -= copy + literal
            if left < 0:
                raise DeltaFormatError("bad_delta", "a file is longer than its size")
            if literal:
                self.literal_bytes += literal
                yield Kind.LITERAL, 0, literal
            elif not copy and record:
                raise DeltaFormatError("bad_delta", "a record without bytes")
            at += copy + sv()
            if not 0 <= at <= old_size:
                raise DeltaFormatError("bad_delta", "a seek leaves the old file")
            record += 1

    def _runs(self, at: int, copy: int) -> Iterator[Segment]:
        """Return *copy* bytes from *at* on, alternately added to and unchanged."""
        kind = Kind.ADDED
        first = True
        while copy:
            run = self._bytes.uv()
            if run > copy or not (run or first):
                raise DeltaFormatError("bad_delta", "runs that do not sum to the copy")
            if run:
                if kind is Kind.ADDED:
                    self.difference_bytes += run
                yield kind, at, run
            at += run
            copy -= run
            kind = Kind.OLD if kind is Kind.ADDED else Kind.ADDED
            first = False

    def _next_output(self, path: str, mode: int) -> ManifestEntry:
        size = self._bytes.uv()
        if size > MAX_FILE_BYTES:
            raise DeltaFormatError("over_cap", f"a file over {MAX_FILE_BYTES} bytes")
        self.output_bytes += size
        self.max_file_bytes = max(self.max_file_bytes, size)
        return _file(path, mode, size, self._bytes.take(DIGEST_BYTES).hex())

    def _next_source(self) -> ManifestEntry:
        index = self._bytes.uv()
        if index >= len(self._base) or self._base[index].kind is not EntryKind.FILE:
            raise DeltaFormatError("bad_delta", "no file of the old manifest")
        return self._base[index]

    def _next_mode(self) -> int:
        byte = self._bytes.byte()
        if byte not in MODES:
            raise DeltaFormatError("bad_delta", f"a mode that does not exist: {byte}")
        return MODES[byte]

    def _next_name(self) -> str:
        shared, more = self._bytes.uv(), self._bytes.uv()
        if shared > len(self._name) or shared + more > MAX_NAME_BYTES:
            raise DeltaFormatError("bad_delta", "a name longer than there can be")
        self._name = self._name[:shared] + self._bytes.take(more)
        try:
            return self._name.decode()
        except UnicodeDecodeError as error:
            raise DeltaFormatError("bad_delta", "a name that is not UTF-8") from error


def _kept(entry: ManifestEntry) -> Placed:
    return Placed(entry, entry if entry.kind is EntryKind.FILE else None)


def _file(path: str, mode: int, size_bytes: int, sha256: str) -> ManifestEntry:
    return ManifestEntry(
        kind=EntryKind.FILE, path=path, mode=mode, size_bytes=size_bytes, sha256=sha256
    )
