"""Texts in a dump, each with its length before it. What cannot be shown is left out."""

from __future__ import annotations

from typing import Final

from update_server.crashes.minidump.data import Data, Place

MAX_CHARACTERS: Final = 256


def utf16_tail(data: Data, offset_bytes: int, what: str) -> str:
    """Return the end of a MINIDUMP_STRING: of a path, the last part counts."""
    size = data.u32(offset_bytes, what)
    view = data.view(Place(size, offset_bytes + 4), what)
    even = view[: size - size % 2]
    return _printable(bytes(even[-2 * MAX_CHARACTERS :]).decode("utf-16-le", "replace"))


def utf8_head(data: Data, offset_bytes: int, what: str) -> str:
    """Return the beginning of a MinidumpUTF8String."""
    size = data.u32(offset_bytes, what)
    view = data.view(Place(size, offset_bytes + 4), what)
    return _printable(bytes(view[:MAX_CHARACTERS]).decode("utf-8", "replace"))


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text))
