"""A damaged program is one that the kernel starts and a signal ends."""

from __future__ import annotations

import shutil
import signal
import struct
import sys
from pathlib import Path

import pytest

from update_server.cli.demo import programs
from update_server.cli.demo.damage import damage, write_damaged
from update_server.cli.errors import CliError

TRUE = Path(shutil.which("true") or "").read_bytes()


def an_elf(*, machine: int, bits: int = 64, order: str = "<", entry: int = 0x1010) -> bytes:
    """Return an executable of one segment, 0x100 bytes from offset 0x200 loaded at 0x1000."""
    kind = bytes([1 if bits == 32 else 2, 1 if order == "<" else 2])
    ident = b"\x7fELF" + kind + bytes(10)
    if bits == 32:
        rest = struct.pack(order + "HHIIIIIHHH", 2, machine, 1, entry, 52, 0, 0, 52, 32, 2)
        segments = struct.pack(order + "IIII", 6, 0, 0, 0) + bytes(16)
        segments += struct.pack(order + "IIIII", 1, 0x200, 0x1000, 0, 0x100) + bytes(12)
    else:
        rest = struct.pack(order + "HHIQQQIHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 2)
        segments = struct.pack(order + "IIQQQQ", 6, 0, 0, 0, 0, 0) + bytes(16)
        segments += struct.pack(order + "IIQQQQ", 1, 0, 0x200, 0x1000, 0, 0x100) + bytes(16)
    return (ident + rest).ljust(52 if bits == 32 else 64, b"\0") + (segments).ljust(0x300, b"\x55")


def test_a_damaged_program_really_dies_by_a_signal(tmp_path: Path) -> None:
    source = tmp_path / "tool"
    source.write_bytes(TRUE)
    target = tmp_path / "broken"

    name = write_damaged(source, target)

    assert programs.run(target, "--version").status == -signal.Signals[name]
    assert target.stat().st_size == source.stat().st_size


def test_only_a_few_bytes_of_code_are_changed() -> None:
    changed = [at for at, (a, b) in enumerate(zip(TRUE, damage(TRUE), strict=True)) if a != b]

    assert 0 < len(changed) <= 8
    assert changed[-1] - changed[0] < 8


@pytest.mark.parametrize(
    ("machine", "bits", "order", "trap"),
    [
        (62, 64, "<", b"\x0f\x0b"),
        (3, 32, "<", b"\x0f\x0b"),
        (40, 32, "<", b"\xf0\x00\xf0\xe7"),
        (183, 64, "<", b"\0\0\0\0"),
        (183, 64, ">", b"\0\0\0\0"),
        (243, 64, "<", b"\0\0\0\0"),
    ],
)
def test_the_code_at_the_entry_point_traps(
    machine: int, bits: int, order: str, trap: bytes
) -> None:
    program = an_elf(machine=machine, bits=bits, order=order)

    damaged = damage(program)

    assert damaged[0x210:].startswith(trap)
    assert damaged[:0x210] == program[:0x210]
    assert damaged[0x218:] == program[0x218:]


@pytest.mark.parametrize(
    "program",
    [
        b"#!/bin/sh\n",
        TRUE[:40],
        TRUE[:5] + b"\x07" + TRUE[6:],
        TRUE[:4] + b"\x07" + TRUE[5:],
        an_elf(machine=9999),
        an_elf(machine=62, entry=0x9000),
        an_elf(machine=62)[:0x212],
        an_elf(machine=62)[:100],
    ],
    ids=[
        "script",
        "short header",
        "unknown byte order",
        "unknown class",
        "unknown machine",
        "entry point in no segment",
        "entry point cut off",
        "segments cut off",
    ],
)
def test_what_cannot_be_damaged_is_refused(program: bytes) -> None:
    with pytest.raises(CliError) as caught:
        damage(program)

    assert caught.value.code == "bad_program"


def test_a_copy_that_still_runs_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "tool"
    source.write_bytes(TRUE)
    monkeypatch.setattr("update_server.cli.demo.damage.damage", bytes)

    with pytest.raises(CliError) as caught:
        write_damaged(source, tmp_path / "broken")

    assert caught.value.code == "bad_program"


def test_the_platform_of_these_tests_is_one_that_can_be_damaged() -> None:
    assert sys.platform == "linux"
