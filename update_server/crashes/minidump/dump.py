"""What a minidump says of a crash, and reading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import MappingProxyType
from typing import Final

from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump.annotations import read_annotations
from update_server.crashes.minidump.data import Data, Place
from update_server.crashes.minidump.exceptions import (
    ANDROID,
    IOS,
    LINUX,
    MACOS,
    REQUESTED,
    WINDOWS,
    exception_name,
)
from update_server.crashes.minidump.modules import Modules, read_modules
from update_server.crashes.minidump.runtime import is_runtime
from update_server.crashes.minidump.threads import (
    ARM64,
    X86,
    X86_64,
    Registers,
    Stack,
    read_registers,
    read_stack,
    read_thread,
)
from update_server.crashes.minidump.walk import walk
from update_server.crashes.report import CrashReport, Frame, Kind, Raised

MAX_STREAMS: Final = 512
NO_EXCEPTION: Final = "no exception"
"""Stands for an exception in a dump without one."""

UNMAPPED: Final = "<unmapped>"
"""Stands for a module where code ran, or should have run, that is of no file."""

_MAGIC: Final = b"MDMP"
_VERSION: Final = 0xA793
_HEADER: Final = Struct("<4sHHII")  # magic, version, the writer's own, streams, their directory
_ENTRY: Final = Struct("<III")  # MINIDUMP_DIRECTORY: type, then the place
_SYSTEM: Final = Struct("<H18xI")  # MINIDUMP_SYSTEM_INFO: ProcessorArchitecture, PlatformId
# MINIDUMP_EXCEPTION_STREAM: ThreadId, ExceptionCode, ExceptionFlags, two of 15 parameters, context
_EXCEPTION: Final = Struct("<I4xII24xQQ104xII")

_THREADS: Final = 3
_MODULES: Final = 4
_EXCEPTIONS: Final = 6
_SYSTEMS: Final = 7
_CRASHPAD: Final = 0x43500001

_ARCHITECTURES: Final[Mapping[int, str]] = MappingProxyType(
    {0: X86, 9: X86_64, 12: ARM64, 0x8003: ARM64}  # the last one is Breakpad's older number
)
_PLATFORMS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: WINDOWS,
        2: WINDOWS,
        0x8101: MACOS,
        0x8102: IOS,
        0x8201: LINUX,
        0x8203: ANDROID,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """A minidump. ``os`` and ``arch`` are ``""`` where they are none that we know.

    ``is_crash`` is false where the app only wanted a dump of itself. ``main_module`` and
    ``main_debug_id`` name the program and its build. ``annotations`` are the allow-listed ones
    of Crashpad's.
    """

    report: CrashReport
    os: str
    arch: str
    is_crash: bool
    main_module: str
    main_debug_id: str
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def is_minidump(data: bytes) -> bool:
    """Return whether *data* begins as minidumps do. What handlers send at times does not."""
    return data.startswith(_MAGIC)


def parse_minidump(data: bytes) -> Dump:
    """Return what a minidump says.

    Raises:
        MalformedMinidumpError: It is none, or contradicts itself.
    """
    read = Data(data)
    streams = _streams(read)
    os, arch = _system(read, streams)
    modules = _modules(read, streams)
    error, frames = _crash(read, streams, modules, os, arch)
    main = modules.main
    return Dump(
        report=CrashReport(
            kind=Kind.NATIVE, exceptions=(Raised(type=error),), crashed_thread=frames
        ),
        os=os,
        arch=arch,
        is_crash=error != REQUESTED,
        main_module=modules.name(main) if main else "",
        main_debug_id=modules.debug_id(main) if main else "",
        annotations=read_annotations(read, streams.get(_CRASHPAD)),
    )


def _streams(data: Data) -> Mapping[int, Place]:
    """Return the places of the streams by their type; of two of one type, the first."""
    magic, version, _, count, directory = data.unpack(_HEADER, 0, "header")
    if magic != _MAGIC or version != _VERSION:
        raise MalformedMinidumpError("it has another header")
    if count > MAX_STREAMS:
        raise MalformedMinidumpError("it has too many streams")
    streams: dict[int, Place] = {}
    for index in range(count):
        kind, size, offset = data.unpack(_ENTRY, directory + index * _ENTRY.size, "directory")
        streams.setdefault(kind, Place(size, offset))
    return streams


def _system(data: Data, streams: Mapping[int, Place]) -> tuple[str, str]:
    """Return the operating system and the processor."""
    place = streams.get(_SYSTEMS)
    if place is None:
        return "", ""
    processor, platform = data.unpack(_SYSTEM, place.offset_bytes, "system information")
    return _PLATFORMS.get(platform, ""), _ARCHITECTURES.get(processor, "")


def _modules(data: Data, streams: Mapping[int, Place]) -> Modules:
    place = streams.get(_MODULES)
    return Modules(data, ()) if place is None else read_modules(data, place)


def _crash(
    data: Data, streams: Mapping[int, Place], modules: Modules, os: str, arch: str
) -> tuple[str, tuple[Frame, ...]]:
    """Return what ended the process, and the frames of the thread where it did."""
    place = streams.get(_EXCEPTIONS)
    if place is None:
        return NO_EXCEPTION, ()
    thread_id, code, flags, *told, context_size, context = data.unpack(
        _EXCEPTION, place.offset_bytes, "exception"
    )
    registers, stack = _thread(data, streams, Place(context_size, context), thread_id, arch)
    frames = (
        tuple(_frame(modules, address) for address in walk(registers, stack, modules, arch))
        if registers
        else ()
    )
    return exception_name(os, code, flags, told), frames


def _thread(
    data: Data, streams: Mapping[int, Place], context: Place, thread_id: int, arch: str
) -> tuple[Registers | None, Stack]:
    """Return where the thread was when it crashed, and its stack.

    The registers beside the exception are those of the crash; the thread's own may be those of
    the handler.
    """
    place = streams.get(_THREADS)
    thread = None if place is None else read_thread(data, place, thread_id)
    registers = read_registers(data, context, arch)
    if registers is None and thread is not None:
        registers = read_registers(data, thread.context, arch)
    if registers is None or thread is None:
        return registers, Stack(0, memoryview(b""))
    return registers, read_stack(data, thread, registers.stack_pointer)


def _frame(modules: Modules, address: int) -> Frame:
    module = modules.at(address)
    if module is None:
        return Frame(module=UNMAPPED)
    name = modules.name(module)
    return Frame(
        module=name,
        in_app=False if is_runtime(name) else None,
        offset=address - module.base,
        debug_id=modules.debug_id(module),
    )
