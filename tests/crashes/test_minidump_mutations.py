"""Whatever a dump says, reading it ends soon, in little memory, and in one error at most."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crashes.dump_mutations import originals, peak_bytes, try_all
from tests.crashes.dumping import (
    CRASHPAD,
    EXCEPTION,
    MODULES,
    SYSTEM,
    THREADS,
    Module,
    Thread,
    a_crash,
    context,
    crashpad,
    dump_of,
    exception,
    modules,
    system,
    threads,
    words,
)
from tests.crashes.real_dumps import real_dump
from update_server.crashes.errors import MalformedMinidumpError
from update_server.crashes.minidump import parse_minidump
from update_server.crashes.minidump.data import Data
from update_server.crashes.signature import signature_of

SAMPLE = 4_000
"""Measured line by line, 20,000 take long: ``python -m tests.crashes.dump_mutations`` does."""

MAX_PEAK_BYTES = 2 << 20
MAX_SECONDS = 0.5


def test_mutated_dumps_are_read_or_refused() -> None:
    counts = try_all(SAMPLE, seed=1)

    assert not counts.others
    assert counts.read + counts.refused == SAMPLE
    assert min(counts.read, counts.refused) > SAMPLE / 10  # neither is the rule
    assert counts.slowest_seconds < MAX_SECONDS


def test_a_reader_that_does_not_check_places_would_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Data, "_check", lambda *_: None)

    assert try_all(200, seed=1).others


def test_mutated_dumps_take_little_memory() -> None:
    for data in originals():
        for at in range(0, len(data) - 4, 97):
            assert peak_bytes(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]) < MAX_PEAK_BYTES


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_header_are_read_or_refused(data: bytes) -> None:
    header = real_dump("read-2.4.0")[:32]
    try:
        signature_of(parse_minidump(header + data).report)
    except MalformedMinidumpError:
        return


def the_largest() -> bytes:
    """Return a dump that holds as much as is looked at of everything, and more."""
    stack_address, frames = 0x7F00_0000, 80
    stack = b"".join(
        words(stack_address + 16 * (n + 1), (n % 1024 + 1 << 16) + 5) for n in range(frames)
    )
    name = "/opt/" + "x" * 2_000
    loaded = [Module(base=n << 16, size=0xFFFF, name=name) for n in range(2_000, 0, -1)]
    crashed = Thread(stack_address=stack_address, stack=stack + bytes(2 << 20))
    registers = context(9, pc=0x10005, sp=stack_address, fp=stack_address)
    told: dict[str | bytes, str | bytes] = {f"{n}": "x" * 2_000 for n in range(1_000)}
    return dump_of(
        [
            (SYSTEM, system()),
            (MODULES, modules(*loaded[-1024:], *loaded)),
            (THREADS, threads(*(Thread(id=1_000 + n) for n in range(4_095)), crashed)),
            (EXCEPTION, exception(registers=registers)),
            (CRASHPAD, crashpad(told)),
            *((100 + n, system()) for n in range(507)),
        ]
    )


def test_the_largest_dump_is_read_soon_and_in_little_memory() -> None:
    data = the_largest()
    took = []
    for _ in range(5):  # the best of some: others may work on the machine
        before = time.process_time()
        dump = parse_minidump(data)
        took.append(time.process_time() - before)

    assert len(dump.report.frames) == 64
    assert min(took) < MAX_SECONDS
    assert peak_bytes(data) < MAX_PEAK_BYTES


def test_a_stack_that_holds_itself_is_left_after_one_turn() -> None:
    loop = words(0x7F00_0010, 0x10201, 0x7F00_0000, 0x10301)

    assert len(parse_minidump(a_crash(stack=loop)).report.frames) == 3
