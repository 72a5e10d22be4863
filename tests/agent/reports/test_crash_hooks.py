"""Deaths of the interpreter, event loops, our own errors: what is told of them, and what not."""

from __future__ import annotations

import asyncio
import faulthandler
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_agent.reports.crash_hooks import CrashHooks
from client_agent.reports.faults import MAX_FRAMES, parse_fault

Seen = list[tuple[BaseException, bool]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def hooks(seen: Seen) -> Iterator[CrashHooks]:
    hooks = CrashHooks(lambda error, ends: seen.append((error, ends)))
    yield hooks
    hooks.remove()


@pytest.fixture
def no_faulthandler() -> Iterator[None]:
    """Switch off what pytest has switched on, and on again after the test."""
    was_on = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if was_on:
        faulthandler.enable(sys.__stderr__.fileno() if sys.__stderr__ else 2)


# --- the interpreter ---------------------------------------------------------------------

DIES = """
import faulthandler, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from client_agent.reports.crash_hooks import CrashHooks
CrashHooks(print).install(Path(sys.argv[1]))

def innermost():
    os.abort()

def outermost():
    innermost()

outermost()
"""


def test_an_interpreter_that_dies_leaves_its_stack_behind(tmp_path: Path) -> None:
    fault = tmp_path / "launch.fault"
    command = [sys.executable, "-c", DIES, str(fault), str(Path(__file__).parents[3])]

    ended = subprocess.run(command, capture_output=True, check=False)

    assert ended.returncode < 0
    told = parse_fault(fault.read_bytes())
    assert told is not None
    assert told.kind == "Aborted"
    assert [frame["function"] for frame in told.frames] == ["innermost", "outermost", "<module>"]
    assert told.frames[0]["file"] == "<string>"


@pytest.mark.usefixtures("no_faulthandler")
def test_a_clean_end_leaves_no_file_behind(hooks: CrashHooks, tmp_path: Path) -> None:
    fault = tmp_path / "launch.fault"

    hooks.install(fault)
    assert fault.exists()
    assert faulthandler.is_enabled()
    hooks.remove()

    assert not fault.exists()
    assert not faulthandler.is_enabled()


def test_an_app_that_switched_faulthandler_on_keeps_it(hooks: CrashHooks, tmp_path: Path) -> None:
    faulthandler.enable(2)

    hooks.install(tmp_path / "launch.fault")

    assert not (tmp_path / "launch.fault").exists()


@pytest.mark.usefixtures("no_faulthandler")
def test_a_folder_that_takes_no_file_stops_nothing(hooks: CrashHooks, tmp_path: Path) -> None:
    hooks.install(tmp_path / "missing" / "launch.fault")

    assert not faulthandler.is_enabled()


WINDOWS = r"""Windows fatal exception: access violation

Thread 0x00000001 (most recent call first):
  File "C:\app\other.py", line 9 in waits

Current thread 0x00001234 (most recent call first):
  File "C:\app\anna\notes.py", line 3 in <lambda>
  File "<frozen runpy>", line ??? in main

Extension modules: numpy
"""


def test_only_the_thread_that_died_is_told_and_no_folder() -> None:
    told = parse_fault(WINDOWS.encode())

    assert told is not None
    assert told.kind == "access violation"
    assert told.frames == (
        {"function": "<lambda>", "file": "notes.py", "line": 3},
        {"function": "main", "file": "<frozen runpy>"},
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\x00", b"Timeout (0:00:05)!\nThread 0x1 (most recent call first):\n", b"File x"],
)
def test_what_tells_of_no_death_is_none(data: bytes) -> None:
    assert parse_fault(data) is None


def test_a_death_without_a_stack_is_one_all_the_same() -> None:
    told = parse_fault(b"Fatal Python error: Segmentation fault\n")

    assert told is not None
    assert told.frames == ()


def test_an_endless_stack_is_cut() -> None:
    frames = '  File "a.py", line 1 in f\n' * 9_999
    text = f"Fatal Python error: x\n\nCurrent thread 0x1 (most recent call first):\n{frames}"

    told = parse_fault(text.encode())

    assert told is not None
    assert len(told.frames) == MAX_FRAMES


# --- event loops -------------------------------------------------------------------------


def test_what_nobody_caught_in_an_event_loop_is_told_and_handed_on(
    hooks: CrashHooks, seen: Seen
) -> None:
    handed_on: list[object] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: handed_on.append(context["exception"]))
    hooks.watch(loop)
    error = LookupError("x")

    loop.call_exception_handler({"message": "m", "exception": error})
    loop.call_exception_handler({"message": "m", "exception": asyncio.CancelledError()})
    loop.close()

    assert seen == [(error, False)]
    assert handed_on[0] is error
    assert len(handed_on) == 2


def test_without_a_handler_the_loops_own_says_it(
    hooks: CrashHooks, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    hooks.watch(loop)

    loop.call_exception_handler({"message": "a message of asyncio's own"})
    loop.close()

    assert seen == []
    assert "a message of asyncio's own" in caplog.text


# --- our own -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_our_telling_is_not_told_in_its_turn() -> None:
    told: list[BaseException] = []
    handed_on: list[BaseException] = []

    def tell(error: BaseException, _ends: bool) -> None:
        told.append(error)
        thread_hook = threading.excepthook
        thread_hook(threading.ExceptHookArgs([LookupError, LookupError("again"), None, None]))

    hooks = CrashHooks(tell)
    before, sys.excepthook = sys.excepthook, lambda _kind, error, _trace: handed_on.append(error)
    try:
        hooks.install()
        first = ValueError("first")
        sys.excepthook(ValueError, first, None)
    finally:
        hooks.remove()
        sys.excepthook = before

    assert told == [first]
    assert handed_on == [first]


def test_no_crash_is_an_end_that_somebody_wanted(hooks: CrashHooks, seen: Seen) -> None:
    before, sys.excepthook = sys.excepthook, lambda *_: None
    try:
        hooks.install()
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        sys.excepthook(SystemExit, SystemExit(3), None)
    finally:
        hooks.remove()
        sys.excepthook = before

    assert seen == []
