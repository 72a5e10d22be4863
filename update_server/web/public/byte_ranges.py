"""Byte ranges of RFC 9110 section 14: which parts of a file a request wants.

Pure: a header and a length in, offsets and framing out. Several ranges are answered as
``multipart/byteranges``, in the order in which they were asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

CHUNK_BYTES: Final = 256 * 1024

# electron-updater asks for up to a thousand blocks at once.
MAX_RANGES: Final = 1_024

_SPEC: Final = re.compile(r"[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*")


class UnsatisfiableRangeError(Exception):
    """No range of the request lies in the file of ``size_bytes``."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"no requested range lies within {size_bytes} bytes")
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``length`` bytes from offset ``start`` on; at least one."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """Return the value of ``Content-Range`` for a file of *size_bytes*."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


def parse_ranges(header: str, size_bytes: int) -> tuple[ByteRange, ...] | None:
    """Return the ranges that *header* asks of a file of *size_bytes*.

    None means: send the whole file. That is so for another unit, bad syntax, too many
    ranges, and ranges that together are longer than the file (an amplification).

    Raises:
        UnsatisfiableRangeError: The syntax is right, but nothing lies in the file.
    """
    unit, equals, specs = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    ranges: list[ByteRange] = []
    texts = specs.split(",")
    if len(texts) > MAX_RANGES:
        return None
    for text in texts:
        match = _SPEC.fullmatch(text)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            start = max(0, size_bytes - int(suffix))
            end = size_bytes
        else:
            start = int(first)
            end = min(int(last) + 1, size_bytes) if last else size_bytes
            if last and int(last) < start:
                return None
        if start < end:
            ranges.append(ByteRange(start, end - start))
    if not ranges:
        raise UnsatisfiableRangeError(size_bytes)
    if len(ranges) > 1 and sum(each.length for each in ranges) > size_bytes:
        return None
    return tuple(ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """How several ranges of one file are framed.

    The boundary holds a part of the file's own hash, so no file can contain it on purpose.
    """

    ranges: Sequence[ByteRange]
    size_bytes: int
    sha256: str
    media_type: str

    @property
    def content_type(self) -> str:
        """The value of ``Content-Type``."""
        return f"multipart/byteranges; boundary={self._boundary}"

    @property
    def content_length(self) -> int:
        """The length of all parts with their framing."""
        framing = sum(len(self._head(each)) for each in self.ranges)
        return framing + sum(each.length for each in self.ranges) + len(self._tail())

    def pieces(self) -> Iterator[bytes | ByteRange]:
        """Yield framing as bytes, and ranges where the file's bytes go."""
        for each in self.ranges:
            yield self._head(each)
            yield each
        yield self._tail()

    @property
    def _boundary(self) -> str:
        return f"serinus-{self.sha256[:40]}"

    def _head(self, part: ByteRange) -> bytes:
        # The CRLF before the boundary belongs to the delimiter, also before the first:
        # electron-updater's parser relies on it.
        return (
            f"\r\n--{self._boundary}\r\n"
            f"Content-Type: {self.media_type}\r\n"
            f"Content-Range: {part.content_range(self.size_bytes)}\r\n\r\n"
        ).encode()

    def _tail(self) -> bytes:
        return f"\r\n--{self._boundary}--\r\n".encode()


class FileBody:
    """An iterable of bytes: framing as given, and parts of an open file.

    It ends early when the file does, so that a wrong length is seen and not made up for.
    ``close`` closes the file; WSGI servers call it however the request ends.
    """

    def __init__(self, file: BinaryIO, pieces: Iterator[bytes | ByteRange]) -> None:
        self._file = file
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            self._file.seek(piece.start)
            left = piece.length
            while left:
                data = self._file.read(min(left, CHUNK_BYTES))
                if not data:
                    return
                left -= len(data)
                yield data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
