"""The files that were loaded when a process crashed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump.data import Data, Place
from update_server.crashes.minidump.texts import utf16_tail

MAX_MODULES: Final = 1_024
"""Modules that are looked at: the first ones, among which the main module and the system's are."""

# MINIDUMP_MODULE: BaseOfImage, SizeOfImage, ModuleNameRva, CvRecord. What is passed over is
# CheckSum and TimeDateStamp, VersionInfo, MiscRecord and two reserved numbers.
_MODULE: Final = Struct("<QI8xI52xII24x")
_PDB70: Final = Struct("<4sIHH8sI")  # "RSDS", then a GUID in its parts, then the age
_ELF: Final = b"LEpB"  # 0x4270454c, before a build ID; Breakpad and Crashpad
_MAX_BUILD_ID_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Module:
    """A file in memory. Its name and debug ID are read when they are asked for."""

    base: int
    size_bytes: int
    name_offset_bytes: int
    code_view: Place


class Modules:
    """The modules of a dump, in its order; the first is the program itself."""

    __slots__ = ("_bases", "_by_base", "_data", "_listed")

    def __init__(self, data: Data, listed: Sequence[Module]) -> None:
        self._data = data
        self._listed = listed
        self._by_base = sorted((one for one in listed if one.size_bytes), key=lambda one: one.base)
        self._bases = [one.base for one in self._by_base]

    @property
    def main(self) -> Module | None:
        """The program itself; None when nothing is listed."""
        return self._listed[0] if self._listed else None

    @property
    def end(self) -> int:
        """The address after the highest module; 0 without modules."""
        return max((one.base + one.size_bytes for one in self._by_base), default=0)

    def at(self, address: int) -> Module | None:
        """Return the module that *address* lies in."""
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            return None
        module = self._by_base[index]
        return module if address < module.base + module.size_bytes else None

    def name(self, module: Module) -> str:
        """Return the last part of a module's path."""
        path = utf16_tail(self._data, module.name_offset_bytes, "name of a module")
        return path.replace("\\", "/").rpartition("/")[2]

    def debug_id(self, module: Module) -> str:
        """Return what names this very build of a module, in lower-case hex; ``""`` if nothing does.

        That is a GUID and the age, if there is one, as symbol servers spell them; or an ELF
        file's build ID, as ``file`` shows it.
        """
        record = bytes(self._data.view(module.code_view, "debug ID of a module")[: _PDB70.size])
        if record.startswith(_ELF):
            size = min(module.code_view.size_bytes, len(_ELF) + _MAX_BUILD_ID_BYTES)
            place = Place(size, module.code_view.offset_bytes)
            return self._data.view(place, "build ID")[len(_ELF) :].hex()
        if record.startswith(b"RSDS") and len(record) == _PDB70.size:
            _, one, two, three, four, age = _PDB70.unpack(record)
            guid = f"{one:08x}{two:04x}{three:04x}{four.hex()}"
            return f"{guid}{age:x}" if age else guid
        return ""


def read_modules(data: Data, place: Place) -> Modules:
    """Return the modules in a ModuleList stream."""
    what = "list of modules"
    data.view(place, what)
    count = data.u32(place.offset_bytes, what)
    start = place.offset_bytes + 4
    room = place.size_bytes - 4 - count * _MODULE.size
    if room < 0:
        raise MalformedMinidumpError(f"the {what} is shorter than it says")
    if room == 4:  # noqa: PLR2004 - Breakpad aligns what follows the count to 8 bytes
        start += 4
    listed = []
    for index in range(min(count, MAX_MODULES)):
        base, size, name, cv_size, cv = data.unpack(_MODULE, start + index * _MODULE.size, what)
        listed.append(Module(base, size, name, Place(cv_size, cv)))
    return Modules(data, listed)
