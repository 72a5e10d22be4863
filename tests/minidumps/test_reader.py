"""The child that reads minidumps, as the server sees it: it may die, and that costs one dump."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crashes.dump_mutations import mutated, originals
from tests.crashes.real_dumps import real_dump
from update_server.minidumps import ChildReader, child
from update_server.minidumps.child import MAX_DUMP_BYTES

ROOT = Path(__file__).parents[2]
DUMP = real_dump("read-2.4.0")
Start = Callable[..., ChildReader]

# A child that answers as a good one does, but what the dump says it shall do first.
PROGRAM = """
import json, os, runpy, signal, struct, sys, time
sys.path.insert(0, {root!r})
answer = runpy.run_path({child!r})["answerer"]()
asked, told = sys.stdin.buffer, sys.stdout.buffer
with open({log!r}, "a") as log:
    log.write(f"{{os.getpid()}}\\n")
while head := asked.read(4):
    data = asked.read(*struct.unpack("<I", head))
    if not data.startswith(b"MDMP"):
        exec(data)
        continue
    text = json.dumps(answer(data)).encode()
    told.write(struct.pack("<I", len(text)) + text)
    told.flush()
"""


@pytest.fixture
def reader() -> Iterator[ChildReader]:
    reader = ChildReader()
    yield reader
    reader.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "started"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    """Start readers whose children do what a dump says, if it is a program."""
    started: list[ChildReader] = []
    program = PROGRAM.format(root=str(ROOT), child=child.__file__, log=str(log))

    def start(*, wall_seconds: float = 30.0, most_dumps: int = 64) -> ChildReader:
        command = (sys.executable, "-I", "-S", "-c", program)
        reader = ChildReader(command=command, wall_seconds=wall_seconds, most_dumps=most_dumps)
        started.append(reader)
        return reader

    yield start
    for reader in started:
        reader.close()


def starts(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").split())


def test_a_dump_is_read(reader: ChildReader) -> None:
    report = reader.read(DUMP)

    assert report is not None
    assert (report.error, report.os, report.main_module) == ("SIGSEGV", "linux", "notes")
    assert len(report.frames) == 5


def test_dumps_are_read_one_after_the_other(reader: ChildReader) -> None:
    assert reader.read(b"MDMP broken") is None
    assert reader.read(b"") is None
    assert reader.read(DUMP) == reader.read(DUMP) != None  # noqa: E711 - both are reports


def test_a_large_dump_is_read_and_a_larger_one_is_not_sent(reader: ChildReader) -> None:
    large = DUMP + bytes(MAX_DUMP_BYTES - len(DUMP))

    assert reader.read(large) is not None
    assert reader.read(large + b"\0") is None


def test_no_mutated_dump_is_the_end_of_a_child(reader: ChildReader) -> None:
    for data in mutated(random.Random(1), originals(), 200):
        reader.read(data)

        assert reader._child is not None


def test_one_child_reads_so_many_dumps_and_then_another(start: Start, log: Path) -> None:
    reader = start(most_dumps=3)

    for count, started in ((3, 1), (1, 2), (2, 2), (1, 3)):
        assert all(reader.read(DUMP) for _ in range(count))
        assert starts(log) == started


@pytest.mark.parametrize(
    "program",
    [
        "sys.exit()",
        "sys.exit(1)",
        "1 / 0",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGPROF)",
        "told.write(b'ab'); told.flush(); os._exit(0)",
        "told.write(struct.pack('<I', 9) + b'short'); told.flush(); os._exit(0)",
        "told.write(struct.pack('<I', (256 << 10) + 1)); told.flush()",
        "told.write(struct.pack('<I', 4) + b'null'); told.flush()",
    ],
)
def test_a_child_that_dies_or_talks_nonsense_costs_one_dump(
    start: Start, log: Path, program: str
) -> None:
    reader = start()
    assert reader.read(DUMP) is not None

    assert reader.read(program.encode()) is None

    assert reader.read(DUMP) is not None
    assert starts(log) == 2


def test_a_child_that_takes_too_long_is_killed(start: Start) -> None:
    assert start(wall_seconds=0.5).read(b"time.sleep(60)") is None


def test_a_child_that_does_not_read_is_killed_too() -> None:
    sleeper = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")

    assert ChildReader(command=sleeper, wall_seconds=0.3).read(DUMP + bytes(1 << 20)) is None


def test_a_child_that_died_between_two_dumps_costs_none(start: Start, log: Path) -> None:
    reader = start()
    reader.read(DUMP)
    assert reader._child is not None
    reader._child._process.kill()
    reader._child._process.wait()

    assert reader.read(DUMP) is not None
    assert starts(log) == 2


def test_a_child_that_cannot_be_started_costs_one_dump() -> None:
    reader = ChildReader(command=("/nowhere/python",))

    assert reader.read(DUMP) is None


def test_after_its_end_the_next_dump_has_a_new_child(start: Start, log: Path) -> None:
    reader = start()
    reader.read(DUMP)

    reader.close()
    reader.close()

    assert reader.read(DUMP) is not None
    assert starts(log) == 2


def test_the_child_does_not_see_the_environment(
    start: Start, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERINUS_SECRET", "hush")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")

    start().read(f"open({str(log)!r}, 'w').write(' '.join(os.environ)); os._exit(0)".encode())

    seen = set(log.read_text(encoding="utf-8").split())
    assert "LD_LIBRARY_PATH" in seen
    assert seen <= {"LC_CTYPE", "LD_LIBRARY_PATH", "__CF_USER_TEXT_ENCODING"}


def test_a_dump_that_takes_too_much_time_ends_the_real_child() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from update_server.minidumps import child\n"
        "def read_for_ever(data):\n"
        "    while True: pass\n"
        "child.answerer = lambda: read_for_ever\n"
        "child.CPU_SECONDS = 1.0\n"
        "child.main()\n"
    )
    reader = ChildReader(command=(sys.executable, "-c", program), wall_seconds=60)
    before = time.monotonic()

    assert reader.read(DUMP) is None

    assert time.monotonic() - before < 30  # it was not the other limit
