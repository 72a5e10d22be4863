"""One xz stream inside a file, unpacked step by step within a limit of memory.

Not here: what the streams hold (``unpack``, ``delta``).
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from typing import BinaryIO

from client_agent.errors import AgentError

STEP_BYTES = 64 * 1024


class XzStream:
    """The xz stream of *packed_bytes* from *start* on, read once. Several may share a file.

    *memory_bytes*: what the decoder may take, its dictionary above all. *refused*: makes the
    error, from a detail, that every method raises when the stream is not exactly that.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        packed_bytes: int,
        *,
        memory_bytes: int,
        refused: Callable[[str], AgentError],
    ) -> None:
        self._file = file
        self._at = start
        self._packed_left = packed_bytes
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory_bytes)
        self._refused = refused

    def read(self, size: int) -> Iterator[bytes]:
        """Return the next *size* unpacked bytes in steps of at most 64 KiB."""
        while size:
            step = self._step(min(size, STEP_BYTES))
            size -= len(step)
            if step:
                yield step

    def finish(self) -> None:
        """Return when everything has been read and the stream ends where it should."""
        while not self._decoder.eof:
            if self._step(1):
                raise self._refused("more content than declared")
        if self._packed_left or self._decoder.unused_data:
            raise self._refused("bytes that belong to nothing")
        if self._decoder.check not in {lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256}:
            raise self._refused("no integrity check")

    def _step(self, most: int) -> bytes:
        """Return some bytes, at most *most*; none when the decoder needs more input."""
        packed = b""
        if self._decoder.needs_input:
            self._file.seek(self._at)
            packed = self._file.read(min(self._packed_left, STEP_BYTES))
            if not packed:
                raise self._refused("ends too early")
            self._at += len(packed)
            self._packed_left -= len(packed)
        try:
            return self._decoder.decompress(packed, max_length=most)
        except lzma.LZMAError as error:  # also: over the limit of memory
            raise self._refused("no xz stream within the limits") from error
        except EOFError as error:  # its end was reached before
            raise self._refused("less content than declared") from error
