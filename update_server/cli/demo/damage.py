"""Breaks a real program: so that it dies by a signal, or so that nobody hears of it any more.

Not here: pretending. What is broken is signed, shipped and started like any other.
"""

from __future__ import annotations

import signal
import struct
from dataclasses import dataclass
from pathlib import Path

from update_server.cli.demo.programs import run
from update_server.cli.errors import CliError

_PT_LOAD = 1
_MIN_HEADER_BYTES = 64
_MACHINE_AT = 18
_TRAPS = {
    3: b"\x0f\x0b" * 4,  # x86: ud2
    62: b"\x0f\x0b" * 4,  # x86-64: ud2
    40: b"\xf0\x00\xf0\xe7" * 2,  # ARM: udf
    183: b"\x00" * 8,  # AArch64: udf
    243: b"\x00" * 8,  # RISC-V: all zeros is illegal by definition
}
"""By ``e_machine``: an instruction that no processor of the kind performs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where the fields lie that differ between 32-bit and 64-bit files (ELF-64 1.5, gABI 4)."""

    word: str
    entry: int
    table: int
    sizes: int
    offset: int
    address: int
    length: int


# Started by the launcher, which the agent started: both are gone before they can tell anybody.
_SILENT = """\
#!/bin/sh
read -r _ _ _ agent _ < /proc/$PPID/stat
kill -KILL "$agent" "$PPID"
"""

_LAYOUTS = {
    1: _Layout(word="I", entry=24, table=28, sizes=42, offset=4, address=8, length=16),
    2: _Layout(word="Q", entry=24, table=32, sizes=54, offset=8, address=16, length=32),
}
_ORDERS = {1: "<", 2: ">"}


def damage(program: bytes) -> bytes:
    """Return the executable with the code at its entry point overwritten.

    1. The header says class, byte order, machine and the entry point's address.
    2. The segment that is loaded there says where in the file those bytes lie.

    Raises:
        CliError: It is no ELF executable, or of a machine that the demo does not know.
    """
    try:
        order = _order(program)
        trap = _TRAPS[struct.unpack_from(order + "H", program, _MACHINE_AT)[0]]
        at = _entry_offset(program, order)
    except (KeyError, struct.error) as error:
        raise CliError("bad_program", "the program is no ELF executable known here") from error
    if at is None or at + len(trap) > len(program):
        raise CliError("bad_program", "the program's entry point is not in its file")
    return program[:at] + trap + program[at + len(trap) :]


def write_damaged(source: Path, target: Path) -> str:
    """Write a damaged copy of *source* to *target*; return the signal it died by when tried.

    Raises:
        CliError: It cannot be damaged, or does not die by a signal all the same.
    """
    target.write_bytes(damage(source.read_bytes()))
    target.chmod(0o755)
    tried = run(target, "--version")
    if tried.status >= 0:
        raise CliError("bad_program", f"the damaged {target.name} ends with {tried.status}")
    return signal.Signals(-tried.status).name


def write_silent(target: Path) -> None:
    """Write a program to *target* that kills the agent and the launcher that started it."""
    target.write_text(_SILENT, encoding="ascii")
    target.chmod(0o755)


def _order(program: bytes) -> str:
    if program[:4] != b"\x7fELF":
        raise CliError("bad_program", "the program is no ELF executable")
    if len(program) < _MIN_HEADER_BYTES:
        raise CliError("bad_program", "the program ends within its header")
    return _ORDERS[program[5]]


def _entry_offset(program: bytes, order: str) -> int | None:
    layout = _LAYOUTS[program[4]]
    word = order + layout.word
    entry = struct.unpack_from(word, program, layout.entry)[0]  # 1
    table = struct.unpack_from(word, program, layout.table)[0]
    size, count = struct.unpack_from(order + "HH", program, layout.sizes)
    for number in range(count):  # 2
        header = table + number * size
        if struct.unpack_from(order + "I", program, header)[0] != _PT_LOAD:
            continue
        offset, address, length = (
            struct.unpack_from(word, program, header + field)[0]
            for field in (layout.offset, layout.address, layout.length)
        )
        if address <= entry < address + length:
            return int(offset + entry - address)
    return None
