"""The thread that crashed: where it was, and its stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Final

from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump.data import Data, Place

X86: Final = "x86"
X86_64: Final = "x86_64"
ARM64: Final = "arm64"

MAX_THREADS: Final = 4_096
"""Threads among which the one that crashed is looked for."""

MAX_STACK_BYTES: Final = 1 << 20

# MINIDUMP_THREAD: ThreadId, the stack's address and place, the context's place. What is passed
# over is SuspendCount, PriorityClass, Priority and Teb.
_THREAD: Final = Struct("<I20xQIIII")


@dataclass(frozen=True, slots=True)
class Registers:
    """Where a thread was. ``link`` is where arm64 keeps a function's return address, else 0."""

    program_counter: int
    stack_pointer: int
    frame_pointer: int
    link: int = 0


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread: the places of its registers and of its stack, which begins at an address."""

    context: Place
    stack: Place
    stack_address: int


@dataclass(frozen=True, slots=True)
class Stack:
    """The bytes of a stack from ``address`` on: the innermost part of it."""

    address: int
    view: memoryview

    def word(self, address: int, layout: Struct) -> int | None:
        """Return the number at an aligned *address*; None if it is no place on this stack."""
        offset = address - self.address
        if offset < 0 or offset + layout.size > len(self.view) or address % layout.size:
            return None
        number: int = layout.unpack_from(self.view, offset)[0]
        return number


# Where the registers lie in a CONTEXT: program counter, stack pointer, frame pointer, and with
# arm64 the link register. Breakpad's own context of arm64 has them at the same places.
_CONTEXTS: Final[Mapping[str, tuple[Struct, tuple[int, ...]]]] = MappingProxyType(
    {
        X86: (Struct("<I"), (0xB8, 0xC4, 0xB4)),
        X86_64: (Struct("<Q"), (0xF8, 0x98, 0xA0)),
        ARM64: (Struct("<Q"), (0x108, 0x100, 0xF0, 0xF8)),
    }
)


def read_registers(data: Data, place: Place, arch: str) -> Registers | None:
    """Return the registers in a thread's context; None for processors that we cannot read."""
    if arch not in _CONTEXTS or not place.size_bytes:
        return None
    layout, offsets = _CONTEXTS[arch]
    what = "context of a thread"
    data.view(place, what)
    if place.size_bytes < max(offsets) + layout.size:
        raise MalformedMinidumpError(f"the {what} is too short")
    return Registers(
        *(data.unpack(layout, place.offset_bytes + offset, what)[0] for offset in offsets)
    )


def read_thread(data: Data, place: Place, thread_id: int) -> Thread | None:
    """Return the thread with an ID out of a ThreadList stream; None if it is not there."""
    what = "list of threads"
    data.view(place, what)
    count = data.u32(place.offset_bytes, what)
    start = place.offset_bytes + 4
    room = place.size_bytes - 4 - count * _THREAD.size
    if room < 0:
        raise MalformedMinidumpError(f"the {what} is shorter than it says")
    if room == 4:  # noqa: PLR2004 - Breakpad aligns what follows the count to 8 bytes
        start += 4
    for index in range(min(count, MAX_THREADS)):
        one, address, stack_size, stack, context_size, context = data.unpack(
            _THREAD, start + index * _THREAD.size, what
        )
        if one == thread_id:
            return Thread(
                context=Place(context_size, context),
                stack=Place(stack_size, stack),
                stack_address=address,
            )
    return None


def read_stack(data: Data, thread: Thread, stack_pointer: int) -> Stack:
    """Return a thread's stack from its innermost frame on."""
    view = data.view(thread.stack, "stack")
    # The stack pointer of an overflowed stack lies below what there is.
    skipped = min(max(stack_pointer - thread.stack_address, 0), len(view))
    return Stack(thread.stack_address + skipped, view[skipped:][:MAX_STACK_BYTES])
