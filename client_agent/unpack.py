"""The payload ``serinus-1``: one file that holds a tree (docs/agent.md, 8).

What is read here was verified as a TUF target, byte by byte, before. It is treated as hostile all
the same: a publisher's key may be stolen, and no archive may use up memory or disk.

Not here: making payloads (the publisher's command line), and names of files, but for the ones
that the manifest's validator let through.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from client_agent.errors import Code, PayloadError
from client_agent.tree import STEP_BYTES, TreeWriter
from rollout.errors import ManifestError
from rollout.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_TREE_BYTES,
    Manifest,
    ManifestEntry,
    parse_manifest,
)

MAGIC = b"SRNPAY1\n"
XZ_MEMORY_BYTES = 34 * 1024**2  # a dictionary of 32 MiB, and what liblzma needs beside it
_HEADER = struct.Struct("<8sIIQQ")

Progress = Callable[[int, int], None]
"""Gets the bytes written and the bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload whose manifest has been read: *file* stands at its contents."""

    file: BinaryIO
    manifest: Manifest
    content_xz_bytes: int


class XzStream:
    """One xz stream of *packed_bytes*, read from the start to the end.

    Raises:
        PayloadError: ``bad_payload``, from any method: the stream is not exactly that.
    """

    def __init__(self, file: BinaryIO, packed_bytes: int) -> None:
        self._file = file
        self._packed_left = packed_bytes
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)

    def read(self, size: int) -> Iterator[bytes]:
        """Return the next *size* unpacked bytes in steps of at most 64 KiB."""
        while size:
            step = self._step(min(size, STEP_BYTES))
            size -= len(step)
            yield step

    def finish(self) -> None:
        """Return when everything has been read and the stream ends where it should."""
        while not self._decoder.eof:
            if self._step(1):
                raise PayloadError(Code.BAD_PAYLOAD, "more content than declared")
        if self._packed_left or self._decoder.unused_data:
            raise PayloadError(Code.BAD_PAYLOAD, "bytes that belong to nothing")
        if self._decoder.check not in {lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256}:
            raise PayloadError(Code.BAD_PAYLOAD, "no integrity check")

    def _step(self, most: int) -> bytes:
        """Return some bytes, at most *most*; none when the decoder needs more input."""
        packed = b""
        if self._decoder.needs_input:
            packed = self._file.read(min(self._packed_left, STEP_BYTES))
            if not packed:
                raise PayloadError(Code.BAD_PAYLOAD, "ends too early")
            self._packed_left -= len(packed)
        try:
            return self._decoder.decompress(packed, max_length=most)
        except lzma.LZMAError as error:  # also: over the limit of memory
            raise PayloadError(Code.BAD_PAYLOAD, "no xz stream within the limits") from error
        except EOFError as error:  # its end was reached before
            raise PayloadError(Code.BAD_PAYLOAD, "less content than declared") from error


def open_payload(file: BinaryIO, *, manifest_sha256: str) -> Payload:
    """Return the payload in *file*, from its beginning to its end, with the signed manifest.

    1. The header, and a length that is exactly the sum of the parts.
    2. The manifest's bytes, within its cap; their digest is the signed one.
    3. The manifest itself: names, caps.
    4. The contents are as long as the manifest says.

    Raises:
        PayloadError: one of these fails.
    """
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = file.read(_HEADER.size)
    if len(header) != _HEADER.size or not header.startswith(MAGIC):  # 1
        raise PayloadError(Code.BAD_PAYLOAD, "not a payload")
    _, manifest_xz, manifest_raw, content_xz, content_raw = _HEADER.unpack(header)
    if length != _HEADER.size + manifest_xz + content_xz:
        raise PayloadError(Code.BAD_PAYLOAD, "not as long as declared")
    if manifest_raw > MAX_MANIFEST_BYTES or content_raw > MAX_TREE_BYTES:
        raise PayloadError(Code.OVER_CAP, "manifest or contents too long")
    stream = XzStream(file, manifest_xz)
    spelled = b"".join(stream.read(manifest_raw))
    stream.finish()
    if hashlib.sha256(spelled).hexdigest() != manifest_sha256:  # 2
        raise PayloadError(Code.MANIFEST_MISMATCH, "not the signed manifest")
    try:
        manifest = parse_manifest(spelled)  # 3
    except ManifestError as error:
        raise PayloadError(Code(error.code), str(error)) from error
    if manifest.content_bytes != content_raw:  # 4
        raise PayloadError(Code.BAD_PAYLOAD, "contents and manifest disagree")
    return Payload(file=file, manifest=manifest, content_xz_bytes=content_xz)


def unpack(payload: Payload, writer: TreeWriter, progress: Progress) -> None:
    """Write the payload's tree, durably.

    Raises:
        PayloadError: the contents are not what the manifest says.
        OSError: the tree could not be written.
    """
    stream = XzStream(payload.file, payload.content_xz_bytes)
    total = payload.manifest.tree_bytes
    written = 0
    first_with: dict[str, ManifestEntry] = {}
    for entry in payload.manifest.files:
        if entry.sha256 in first_with:
            writer.copy(entry, first_with[entry.sha256])
        else:
            first_with[entry.sha256] = entry
            steps = stream.read(entry.size_bytes)
            writer.write(entry, _told(steps, progress, written, total))
        written += entry.size_bytes
        progress(written, total)
    stream.finish()
    writer.finish()


def _told(steps: Iterator[bytes], progress: Progress, written: int, total: int) -> Iterator[bytes]:
    for step in steps:
        yield step
        written += len(step)
        progress(written, total)
