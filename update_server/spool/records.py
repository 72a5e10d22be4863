"""The records of a spool file: ``length u32, crc32 u32, kind u8, body``, little-endian.

``length`` counts the body; the checksum covers kind and body. The body is MessagePack, a map
by field name, so a reader understands an older writer whose values had fewer fields.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from update_server.service.ports import Contact, Event

_HEADER = struct.Struct("<IIB")
_CONTACT, _EVENT = 1, 2
# The checksum goes over the kind first; a check-in waits for this, so it is computed once.
_OF_KIND = tuple(zlib.crc32(bytes((kind,))) for kind in range(256))
_MAX_BODY_BYTES = 4 << 20  # four times the largest request that events come in


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a spool cannot keep a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_contacts = msgspec.msgpack.Decoder(Contact)
_events = msgspec.msgpack.Decoder(Event)


class Halt(Enum):
    """Why there is no further record here."""

    END = "end"  # the bytes end, or a record that was not written to its end begins
    DAMAGED = "damaged"  # the bytes of a whole record are here, but not those written


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A whole record. ``value`` is None when this version does not understand it."""

    value: Contact | Event | None
    end: int


def pack(record: Contact | Event) -> bytes:
    """Return *record* as it stands in a spool file."""
    kind = _CONTACT if isinstance(record, Contact) else _EVENT
    body = _encoder.encode(record)
    checksum = zlib.crc32(body, _OF_KIND[kind])
    return _HEADER.pack(len(body), checksum, kind) + body


def unpack(data: bytes, start: int) -> Found | Halt:
    """Return the record that begins at *start* of *data*, or why there is none."""
    if len(data) - start < _HEADER.size:
        return Halt.END
    length, checksum, kind = _HEADER.unpack_from(data, start)
    if length > _MAX_BODY_BYTES:
        return Halt.DAMAGED
    begin = start + _HEADER.size
    end = begin + length
    if end > len(data):
        return Halt.END
    body = memoryview(data)[begin:end]
    if zlib.crc32(body, _OF_KIND[kind]) != checksum:
        return Halt.DAMAGED
    return Found(value=_value(kind, body), end=end)


def _value(kind: int, body: memoryview) -> Contact | Event | None:
    try:
        if kind == _CONTACT:
            return _contacts.decode(body)
        if kind == _EVENT:
            return _events.decode(body)
    except msgspec.MsgspecError:
        pass  # written by another version of this program; see Found
    return None
