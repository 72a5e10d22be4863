"""From the registers of a thread to the places that it was called from.

Only what is certain is followed: the chain of frame pointers. Looking for numbers on the stack that
could be return addresses finds old ones as well, and then one crash has many signatures. Where code
is built without frame pointers, the chain breaks, and the frames end there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Final

from update_server.crashes.minidump.modules import Modules
from update_server.crashes.minidump.threads import ARM64, X86, X86_64, Registers, Stack

MAX_FRAMES: Final = 64


@dataclass(frozen=True, slots=True)
class _Machine:
    """How a processor calls: the size of an address, and how far a call lies before its return.

    ``links``: a call puts the return address into a register, and not onto the stack.
    """

    word: Struct
    back_bytes: int
    links: bool = False


_MACHINES: Final[Mapping[str, _Machine]] = MappingProxyType(
    {
        X86: _Machine(Struct("<I"), 1),
        X86_64: _Machine(Struct("<Q"), 1),
        ARM64: _Machine(Struct("<Q"), 4, links=True),
    }
)


def walk(registers: Registers, stack: Stack, modules: Modules, arch: str) -> Iterator[int]:
    """Yield the addresses of instructions that were under way, innermost first."""
    machine = _MACHINES[arch]
    # arm64 may sign a return address in the bits that no address has.
    mask = (1 << modules.end.bit_length()) - 1 if machine.links else -1
    yield registers.program_counter

    def calls() -> Iterator[int]:
        if modules.at(registers.program_counter) is None:
            # Just called what is no code, such as a null pointer: it made no frame of its own.
            yield _returns_to(registers, stack, machine)
        yield from _chain(registers.frame_pointer, stack, machine)

    for count, address in enumerate(calls(), start=1):
        call = (address & mask) - machine.back_bytes
        if count == MAX_FRAMES or modules.at(call) is None:
            return
        yield call


def _returns_to(registers: Registers, stack: Stack, machine: _Machine) -> int:
    if machine.links:
        return registers.link
    return stack.word(registers.stack_pointer, machine.word) or 0


def _chain(frame: int, stack: Stack, machine: _Machine) -> Iterator[int]:
    """Yield the return addresses of a chain of frames, each of which lies further out."""
    size = machine.word.size
    while True:
        caller = stack.word(frame, machine.word)
        address = stack.word(frame + size, machine.word)
        if caller is None or address is None:
            return
        yield address
        if caller <= frame:
            return
        frame = caller
