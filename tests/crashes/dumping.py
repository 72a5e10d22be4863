"""Minidumps as crash handlers write them, part by part."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

SYSTEM, MODULES, THREADS, EXCEPTION, CRASHPAD = 7, 4, 3, 6, 0x43500001
LINUX, MACOS, WINDOWS = 0x8201, 0x8101, 2
X86, X86_64, ARM64 = 0, 9, 12

GUID = bytes(range(16))
BUILD_ID = bytes.fromhex("b4cdc3f61f3b5761148a41857b56ff65895462cf")

_REGISTERS: Mapping[int, tuple[str, int, Mapping[str, int]]] = {
    X86: ("<I", 716, {"pc": 0xB8, "sp": 0xC4, "fp": 0xB4}),
    X86_64: ("<Q", 1232, {"pc": 0xF8, "sp": 0x98, "fp": 0xA0}),
    ARM64: ("<Q", 912, {"pc": 0x108, "sp": 0x100, "fp": 0xF0, "lr": 0xF8}),
}


def elf(build_id: bytes = BUILD_ID) -> bytes:
    return b"LEpB" + build_id


def pdb(guid: bytes = GUID, age: int = 1) -> bytes:
    return b"RSDS" + guid + struct.pack("<I", age) + b"notes.pdb\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    base: int
    size: int
    name: str | bytes
    code_view: bytes = b""


NOTES = Module(base=0x10000, size=0x4000, name="/opt/notes/bin/notes", code_view=elf())
LIBC = Module(base=0x70000, size=0x8000, name="/usr/lib/libc.so.6", code_view=elf(b"\x01" * 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    id: int = 7
    stack_address: int = 0x7F00_0000
    stack: bytes = b""
    context: bytes = b""


def context(arch: int, **registers: int) -> bytes:
    """Return a thread's context in which only *registers* are not 0."""
    layout, size, offsets = _REGISTERS[arch]
    data = bytearray(size)
    for name, value in registers.items():
        struct.pack_into(layout, data, offsets[name], value)
    return bytes(data)


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


@dataclass(slots=True)
class Writer:
    """A dump under way: streams refer to what was put before them."""

    header_bytes: int
    data: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.data = bytearray(self.header_bytes)

    def put(self, data: bytes) -> int:
        offset = len(self.data)
        self.data += data
        return offset

    def place(self, data: bytes) -> bytes:
        return struct.pack("<II", len(data), self.put(data) if data else 0)

    def text(self, text: str | bytes) -> int:
        data = text.encode("utf-16-le") if isinstance(text, str) else text
        return self.put(struct.pack("<I", len(data)) + data + b"\0\0")

    def utf8(self, text: str | bytes) -> int:
        data = text.encode() if isinstance(text, str) else text
        return self.put(struct.pack("<I", len(data)) + data + b"\0")


Stream = Callable[[Writer], bytes]


def dump_of(streams: Sequence[tuple[int, Stream]], *, count: int | None = None) -> bytes:
    """Return a dump with *streams*, which are made in order; it says that there are *count*."""
    writer = Writer(32 + 12 * len(streams))
    entries = []
    for kind, stream in streams:
        data = stream(writer)
        entries.append(struct.pack("<III", kind, len(data), writer.put(data)))
    count = len(streams) if count is None else count
    head = struct.pack("<4sHHIIIIQ", b"MDMP", 0xA793, 0, count, 32, 0, 0, 0)
    writer.data[: writer.header_bytes] = head + b"".join(entries)
    return bytes(writer.data)


def system(platform: int = LINUX, arch: int = X86_64) -> Stream:
    return lambda _: struct.pack("<H18xI32x", arch, platform)


def modules(*listed: Module, aligned: bool = False, count: int | None = None) -> Stream:
    def stream(writer: Writer) -> bytes:
        number = len(listed) if count is None else count
        rows = [struct.pack("<I", number), bytes(4 if aligned else 0)]
        for one in listed:
            name, view = writer.text(one.name), writer.place(one.code_view)
            rows.append(struct.pack("<QI8xI52x8s24x", one.base, one.size, name, view))
        return b"".join(rows)

    return stream


def threads(*listed: Thread, aligned: bool = False, count: int | None = None) -> Stream:
    def stream(writer: Writer) -> bytes:
        number = len(listed) if count is None else count
        rows = [struct.pack("<I", number), bytes(4 if aligned else 0)]
        for one in listed:
            stack, registers = writer.place(one.stack), writer.place(one.context)
            rows.append(struct.pack("<I20xQ8s8s", one.id, one.stack_address, stack, registers))
        return b"".join(rows)

    return stream


def exception(
    code: int = 11,
    flags: int = 1,
    thread: int = 7,
    registers: bytes = b"",
    told: tuple[int, int] = (0, 0),
) -> Stream:
    return lambda writer: struct.pack(
        "<I4xII24xQQ104x8s", thread, code, flags, *told, writer.place(registers)
    )


def crashpad(told: Mapping[str | bytes, str | bytes], *, count: int | None = None) -> Stream:
    def stream(writer: Writer) -> bytes:
        rows = [struct.pack("<II", writer.utf8(key), writer.utf8(told[key])) for key in told]
        number = struct.pack("<I", len(told) if count is None else count)
        place = writer.place(number + b"".join(rows)) if told else bytes(8)
        return struct.pack("<I32x8s24x", 1, place)

    return stream


def a_crash(
    *,
    platform: int = LINUX,
    arch: int = X86_64,
    code: int = 11,
    flags: int = 1,
    loaded: Sequence[Module] = (NOTES, LIBC),
    stack: bytes = b"",
    stack_address: int = 0x7F00_0000,
    registers: Mapping[str, int] | None = None,
    told: Mapping[str | bytes, str | bytes] | None = None,
) -> bytes:
    """Return the dump of a crash in ``notes``, whose stack holds *stack*."""
    given = {"pc": 0x10123, "sp": stack_address, "fp": stack_address, **(registers or {})}
    crashed = Thread(stack_address=stack_address, stack=stack)
    return dump_of(
        [
            (THREADS, threads(Thread(id=1), crashed)),
            (MODULES, modules(*loaded)),
            (EXCEPTION, exception(code, flags, registers=context(arch, **given))),
            (SYSTEM, system(platform, arch)),
            (CRASHPAD, crashpad(told or {})),
        ]
    )
