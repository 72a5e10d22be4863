"""Bytes that are read at checked places only."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from update_server.crashes.errors import MalformedMinidumpError

_U32: Final = Struct("<I")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies in a dump, as MINIDUMP_LOCATION_DESCRIPTOR says it. Not yet checked."""

    size_bytes: int
    offset_bytes: int


class Data:
    """The bytes of a dump. What lies outside of them raises ``MalformedMinidumpError``."""

    __slots__ = ("_view",)

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)

    def unpack(self, layout: Struct, offset_bytes: int, what: str) -> tuple[Any, ...]:
        """Return the fields of *layout* at an offset."""
        self._check(offset_bytes, layout.size, what)
        return layout.unpack_from(self._view, offset_bytes)

    def u32(self, offset_bytes: int, what: str) -> int:
        """Return the number at an offset."""
        number: int = self.unpack(_U32, offset_bytes, what)[0]
        return number

    def view(self, place: Place, what: str) -> memoryview:
        """Return the bytes at *place*, without a copy."""
        self._check(place.offset_bytes, place.size_bytes, what)
        return self._view[place.offset_bytes :][: place.size_bytes]

    def _check(self, offset_bytes: int, size_bytes: int, what: str) -> None:
        if offset_bytes + size_bytes > len(self._view):
            raise MalformedMinidumpError(f"the {what} ends outside of it")
