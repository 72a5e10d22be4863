"""Programs that are forked off here, and strace, which kills them or makes their calls fail.

A fork has everything imported already, so that strace sees the calls in question and no others:
it is attached before the first of them, and counts from there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client_agent import launcher
from tests.crash.lines import StuckError

_CHANGING = (
    "chmod copy_file_range fallocate fchmod fchmodat fdatasync fsync ftruncate ioctl link linkat "
    "mkdir mkdirat openat pwrite64 pwritev rename renameat renameat2 rmdir sendfile symlink "
    "symlinkat syncfs truncate unlink unlinkat utimensat write writev"
)
CHANGING = frozenset(_CHANGING.split())

FAILED = 99  # what a fork ends with when its work raised
_ANY_TRACER = 0x59616D61, ctypes.c_ulong(-1)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
_ONLY = {"openat": ("O_CREAT", "O_TRUNC"), "ioctl": ("FICLONE",)}  # others change nothing


@dataclass(frozen=True, slots=True)
class Point:
    """The *number*-th call of that name which a program makes, from 1; *line* is strace's."""

    call: str
    number: int
    line: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a fork ended: its status, or the signal as a negative number, and what it printed."""

    status: int
    output: str


def fork(work: Callable[[], int | None], strace: Sequence[str] | None = None) -> Ended:
    """Run *work* in a fork; with *strace*, these are the options it is traced with."""
    gate, open_gate = os.pipe()
    with tempfile.TemporaryFile() as output:
        process = os.fork()
        if process == 0:
            os.close(open_gate)
            _be_child(work, gate, output.fileno())
        os.close(gate)
        tracer = None
        try:
            if strace is not None:
                tracer = _attach(process, strace)
            os.write(open_gate, b"!")
        finally:
            os.close(open_gate)  # which ends a child that nobody could trace
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if tracer is not None:
                tracer.communicate()
        output.seek(0)
        return Ended(status, output.read().decode(errors="replace"))


def _be_child(work: Callable[[], int | None], gate: int, output: int) -> None:
    status = FAILED
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        ctypes.CDLL(None).prctl(*_ANY_TRACER, 0, 0, 0)  # where only parents may trace
        if os.read(gate, 1):
            os.close(gate)
            status = work() or 0
    except BaseException:  # noqa: BLE001 - the parent gets to know it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _attach(process: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    tracer = subprocess.Popen(["strace", *options, "-p", str(process)], stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if b"attached" not in said:
        raise RuntimeError(f"strace: {said.decode(errors='replace')}")
    return tracer


def missing() -> str:
    """Return why nothing can be traced here, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with tempfile.TemporaryDirectory() as folder:
        options = ["-o", f"{folder}/log", "-e", "trace=fchmod", "-e", "inject=fchmod:error=EIO"]
        try:
            ended = fork(lambda: os.fchmod(1, 0o600), options)
        except RuntimeError as error:
            return str(error)
    return "" if ended.status == FAILED else "strace may not change calls here"


def points_of(work: Callable[[], int | None], root: Path) -> list[Point]:
    """Return every call of *work* that changes something below *root*, up to its exec."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        traced = f"trace=execve,{','.join(sorted(CHANGING))}"
        ended = fork(work, ["-o", str(log), "-y", "-s", "0", "-e", traced])
        if ended.status != 0:
            raise RuntimeError(f"undisturbed, it ended with {ended.status}: {ended.output}")
        lines = log.read_text(errors="replace").splitlines()
    counts: Counter[str] = Counter()
    found = []
    for line in lines:
        call = line.partition("(")[0]
        if call == "execve":
            break  # the app, which is not ours
        counts[call] += 1
        changes = call not in _ONLY or any(flag in line for flag in _ONLY[call])
        if changes and " = -1 " not in line and f"{root}" in line:
            found.append(Point(call, counts[call], line))
    return found


def injected(work: Callable[[], int | None], point: Point, fault: str) -> Ended:
    """Run *work* with *fault* at *point*; raise when that never came.

    *fault*: in strace's words; " on" behind them makes every later call of that name fail, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        fault, _, on = fault.partition(" ")  # "on": from there on
        inject = f"inject={point.call}:{fault}:when={point.number}{'+' if on else ''}"
        options = ["-o", str(log), "-s", "0", "-e", f"trace={point.call}", "-e", inject]
        ended = fork(work, options)
        came = ended.status < 0 if "signal" in fault else b"(INJECTED)" in log.read_bytes()
        if not came:
            raise StuckError(f"{fault} never came at {point}")
        return ended


def launch(root: Path, *, wait: bool) -> int:
    """Be the launcher of *root*: start the app in place of this process, or return."""
    return launcher.Launcher(str(root), [], wait=wait).run()
