"""The delta format PB1: what leads from one tree to another (docs/agent.md, 9).

The header, and how numbers and names are spelled: one place for those who write deltas and
those who read them.

Not here: reading the control stream (``rollout.delta_control``), compression, files.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from enum import IntEnum

from rollout.errors import DeltaFormatError

ALGO = "pb1"
"""What a release document calls this format."""

MAGIC = b"SRNPB1\r\n"
HEADER_BYTES = 128
DICTIONARY_BYTES = 8 * 1024**2  # of each xz stream, at most
MAX_DELTA_BYTES = 512 * 1024**2
MAX_CONTROL_BYTES = 64 * 1024**2  # unpacked
MAX_FILE_BYTES = 4 * 1024**3
MAX_NAME_BYTES = 4096  # above every path, target and header line that a manifest can hold
DIGEST_BYTES = 32
MAX_UV_BITS = 63  # nine bytes of seven bits
MODES = {0: 0o644, 1: 0o755}  # mode byte to mode

_HEADER = struct.Struct("<8s32s32s3Q3QQ")


class Op(IntEnum):
    """The first byte of each entry of the control stream."""

    END = 0
    KEEP = 1
    SKIP = 2
    SAME = 3
    PATCH = 4
    NEW = 5
    LINK = 6
    DIR = 7


@dataclass(frozen=True, slots=True)
class StreamSizes:
    """The lengths of the three streams, in their order in the file."""

    control: int
    difference: int
    literal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHeader:
    """The first 128 bytes. Manifests by their SHA-256, in hexadecimal."""

    from_manifest: str
    to_manifest: str
    packed: StreamSizes
    raw: StreamSizes
    output_bytes: int

    @property
    def delta_bytes(self) -> int:
        """The length of the whole file."""
        sizes = self.packed
        return HEADER_BYTES + sizes.control + sizes.difference + sizes.literal


def render_header(header: DeltaHeader) -> bytes:
    """Return the bytes that ``parse_header`` reads."""
    return _HEADER.pack(
        MAGIC,
        bytes.fromhex(header.from_manifest),
        bytes.fromhex(header.to_manifest),
        *astuple(header.packed),
        *astuple(header.raw),
        header.output_bytes,
    )


def parse_header(data: bytes) -> DeltaHeader:
    """Return the header that *data* is, its sizes within the caps.

    Raises:
        DeltaFormatError: ``bad_delta``: this is no delta; ``over_cap``.
    """
    if len(data) != HEADER_BYTES or not data.startswith(MAGIC):
        raise DeltaFormatError("bad_delta", "not a delta")
    _, from_manifest, to_manifest, *sizes, output_bytes = _HEADER.unpack(data)
    header = DeltaHeader(
        from_manifest=from_manifest.hex(),
        to_manifest=to_manifest.hex(),
        packed=StreamSizes(*sizes[:3]),
        raw=StreamSizes(*sizes[3:]),
        output_bytes=output_bytes,
    )
    if header.delta_bytes > MAX_DELTA_BYTES or header.raw.control > MAX_CONTROL_BYTES:
        raise DeltaFormatError("over_cap", "delta or control stream too long")
    return header


def spell_uv(number: int) -> bytes:
    """Return *number*, from 0 to 2^63 - 1, seven bits a byte, lowest first (LEB128)."""
    if not 0 <= number < 1 << MAX_UV_BITS:
        raise ValueError(number)
    spelled = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        spelled.append(number & 0x7F | 0x80)
        number >>= 7
    spelled.append(number)
    return bytes(spelled)


def spell_sv(number: int) -> bytes:
    """Return *number*, signed: 0, -1, 1, -2 are spelled as 0, 1, 2, 3 (zigzag)."""
    return spell_uv(number << 1 if number >= 0 else ~number << 1 | 1)


def spell_name(previous: bytes, name: bytes) -> bytes:
    """Return *name* as what it shares with the *previous* name, and the rest."""
    shared = 0
    for one, other in zip(previous, name, strict=False):
        if one != other:
            break
        shared += 1
    return spell_uv(shared) + spell_uv(len(name) - shared) + name[shared:]
