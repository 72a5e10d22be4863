"""The payload ``serinus-1``: one file that holds a tree (docs/agent.md, 8).

What is read here was verified as a TUF target, byte by byte, before. It is treated as hostile all
the same: a publisher's key may be stolen, and no archive may use up memory or disk.

Not here: making payloads (the publisher's command line), and names of files, but for the ones
that the manifest's validator let through.
"""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from client_agent.errors import Code, PayloadError
from client_agent.versions.tree_writer import TreeWriter
from client_agent.versions.xz_stream import XzStream
from rollout.errors import ManifestError
from rollout.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_TREE_BYTES,
    Manifest,
    ManifestEntry,
    parse_manifest,
)

MAGIC = b"SRNPAY1\n"
MAX_PAYLOAD_BYTES = MAX_TREE_BYTES + 2 * MAX_MANIFEST_BYTES  # xz adds far less than a thousandth
XZ_MEMORY_BYTES = 34 * 1024**2  # a dictionary of 32 MiB, and what liblzma needs beside it
_HEADER = struct.Struct("<8sIIQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload whose manifest has been read, and where in *file* its contents are."""

    file: BinaryIO
    manifest: Manifest
    content_start: int
    content_xz_bytes: int


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
    spelled = _unpacked(file, manifest_xz, manifest_raw)
    if hashlib.sha256(spelled).hexdigest() != manifest_sha256:  # 2
        raise PayloadError(Code.MANIFEST_MISMATCH, "not the signed manifest")
    try:
        manifest = parse_manifest(spelled)  # 3
    except ManifestError as error:
        raise PayloadError(Code(error.code), str(error)) from error
    if manifest.content_bytes != content_raw:  # 4
        raise PayloadError(Code.BAD_PAYLOAD, "contents and manifest disagree")
    return Payload(
        file=file,
        manifest=manifest,
        content_start=_HEADER.size + manifest_xz,
        content_xz_bytes=content_xz,
    )


def unpack(payload: Payload, writer: TreeWriter) -> None:
    """Write the payload's tree, durably.

    Raises:
        PayloadError: the contents are not what the manifest says.
        OSError: the tree could not be written.
    """
    stream = _stream(payload.file, payload.content_start, payload.content_xz_bytes)
    first_with: dict[str, ManifestEntry] = {}
    for entry in payload.manifest.files:
        if entry.sha256 in first_with:
            writer.copy(entry, first_with[entry.sha256])
        else:
            first_with[entry.sha256] = entry
            writer.write(entry, stream.read(entry.size_bytes))
    stream.finish()
    writer.finish()


def _unpacked(file: BinaryIO, manifest_xz: int, manifest_raw: int) -> bytes:
    """Return the manifest's bytes. The decoder and its dictionary end here."""
    stream = _stream(file, _HEADER.size, manifest_xz)
    spelled = b"".join(stream.read(manifest_raw))
    stream.finish()
    return spelled


def _stream(file: BinaryIO, start: int, packed_bytes: int) -> XzStream:
    return XzStream(file, start, packed_bytes, memory_bytes=XZ_MEMORY_BYTES, refused=_refused)


def _refused(detail: str) -> PayloadError:
    return PayloadError(Code.BAD_PAYLOAD, detail)
