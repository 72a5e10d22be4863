"""Killed, or refused by the disk, at any call that changes something: an app always starts.

strace stops each step of an update at one of its system calls. Afterwards the launcher must
start a complete version, and the same steps done again must lead to the new one. The tests take
a seeded sample of the calls; with ``SERINUS_CRASH_POINTS=all`` they take every one.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from client_agent.clock import SystemClock
from client_agent.install import Installation
from client_agent.platforms.linux import Linux
from client_agent.tree import verify_tree
from client_agent.values import State
from tests.agent import crash_step
from tests.agent.crash_step import NEW, part_of, version
from tests.agent.trees import an_installation, install

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(crash_step.__file__)

_CHANGING = (
    "chmod copy_file_range fchmod fchmodat fdatasync fsync ftruncate link linkat mkdir mkdirat "
    "openat pwrite64 rename renameat renameat2 rmdir sendfile symlink symlinkat syncfs truncate "
    "unlink unlinkat write"
)
CHANGING = frozenset(_CHANGING.split())

STEPS = ("build", "arm", "launch", "confirm", "fall back", "collect", "disarm")
LAUNCHES = ("launch", "fall back")
FAULTS = {"killed": "signal=KILL", "disk full": "error=ENOSPC", "disk broken": "error=EIO"}
SAMPLE = {"killed": 3, "disk full": 1, "disk broken": 1}  # calls of each step
FAST = ("-f", "--seccomp-bpf")  # stops at the calls in question alone; injects no signals
ALL = os.environ.get("SERINUS_CRASH_POINTS") == "all"


@dataclass(frozen=True)
class Point:
    """The *number*-th call of that name which a process makes."""

    call: str
    number: int
    line: str


def strace(*options: str, step: str, root: Path) -> subprocess.CompletedProcess[bytes]:
    """Run one step under strace; strace ends with its status, or by the same signal."""
    if step in LAUNCHES:
        command = [sys.executable, "-I", "-B", str(root / "launcher.py")]
    else:
        command = [sys.executable, "-B", str(PROGRAM), step, str(root)]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "PYTHONHASHSEED": "0",  # so that each run makes the same calls in the same order
    }
    return subprocess.run(
        ["strace", "-qq", *options, *command],
        check=False,
        capture_output=True,
        env=environment,
        timeout=60,
    )


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return, for each step, a ROOT in which it can be done next. Never changed: see ``copy``."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("roots")
    probe = ["strace", "-o", str(folder / "log"), "-e", "inject=getuid:error=EPERM", "/bin/true"]
    if subprocess.run(probe, check=False, capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here")
    installation = an_installation(folder)
    install(installation, version("0.9"))
    install(installation, version("1.0"))
    NEW.file(installation.parts)
    found = {}
    for step in ("build", "arm", "launch", "confirm", "collect"):
        found[step] = copy(installation.root, folder / step)
        if step != "launch":
            crash_step.main(step, str(installation.root))
    found["disarm"] = copy(found["confirm"], folder / "disarm")
    found["fall back"] = copy(found["confirm"], folder / "fall back")
    use_up(Installation(found["fall back"], Linux(), SystemClock()))
    return found


INJECTIONS = 4


def use_up(installation: Installation) -> None:
    """Leave the pending version no try."""

    def used_up(state: State) -> State:
        assert state.pending is not None
        return replace(state, pending=replace(state.pending, tries_left=0))

    installation.state.update(used_up)


def copy(root: Path, to: Path) -> Path:
    shutil.copytree(root, to, symlinks=True)
    return to


@pytest.fixture(scope="session")
def points(
    roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Point]]:
    """Return every changing call that each step makes below ROOT."""
    return {step: points_of(step, roots, tmp_path_factory.mktemp("points")) for step in STEPS}


def points_of(step: str, roots: dict[str, Path], folder: Path) -> list[Point]:
    root = copy(roots[step], folder / "counted")
    log = folder / "log"
    calls = f"trace=execve,{','.join(sorted(CHANGING))}"
    done = strace(*FAST, "-o", str(log), "-y", "-e", calls, step=step, root=root)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = {}
    found = []
    for line in log.read_text(errors="replace").splitlines():
        call = line.split("(", 1)[0].rpartition(" ")[2]  # the process comes first
        counts[call] = counts.get(call, 0) + 1
        if call == "execve" and counts[call] > 1:
            break  # the app, which is not ours
        changes = call != "openat" or "O_CREAT" in line
        if changes and call in CHANGING and str(root) in line:
            found.append(Point(call, counts[call], line))
    return found


def chosen(step: str, fault: str, found: list[Point]) -> Iterator[Point]:
    few = len(found) if ALL else SAMPLE[fault]
    yield from random.Random(f"{step} {fault}").sample(found, few)


def app_of(root: Path) -> str:
    """Return what the launcher starts, which must be a whole version."""
    command = [sys.executable, "-I", str(root / "launcher.py")]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def converge(root: Path) -> None:
    """Do the whole update again, as the agent does after its next check-in."""
    installation = Installation(root, Linux(), SystemClock(), in_process=True)
    installation.prepare()
    with installation.lock():
        state = installation.state.read()
        if state.current is None or state.current.version != NEW.goal.version:
            if installation.find_built(NEW.goal) is None:
                if not part_of(installation).exists():
                    NEW.file(installation.parts)
                crash_step.build(installation)
            crash_step.arm(installation)
            assert app_of(root) == "2.0"
            crash_step.confirm(installation)
        installation.collect_garbage([])
    current = installation.current()
    assert current is not None
    assert current.version == NEW.goal.version
    for path in installation.versions.iterdir():
        verify_tree(path, _digest(installation, path.name), Linux())
    assert list(installation.staging.iterdir()) == []
    assert app_of(root) == "2.0"


def _digest(installation: Installation, directory: str) -> str:
    state = installation.state.read()
    known = [each for each in (state.current, state.previous) if each is not None]
    return next(each.manifest_sha256 for each in known if each.directory == directory)


def injected(
    step: str, fault: str, point: Point, index: int, roots: dict[str, Path], folder: Path
) -> Path:
    """Do *step* with *fault* at its point number *index*; return the ROOT it leaves.

    The interpreter's own calls count, too, and vary with its caches: a fault that did not
    come is tried again at the same point, counted anew. It must come in the end.
    """
    for attempt in range(INJECTIONS):
        root = copy(roots[step], folder / str(attempt))
        log = folder / f"{attempt}.log"
        inject = f"inject={point.call}:{FAULTS[fault]}:when={point.number}"
        options = ["-o", str(log), "-e", f"trace={point.call}", "-e", inject]
        done = strace(*(() if fault == "killed" else FAST), *options, step=step, root=root)
        if fault == "killed":
            came = done.returncode in {-9, 137}
        else:
            came = "(INJECTED)" in log.read_text(errors="replace")
        if came:
            return root
        point = points_of(step, roots, folder / f"{attempt}-counted")[index]
    raise AssertionError(f"{fault} never came at {point}")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_an_app_starts_after_a_fault_at_any_call_and_the_update_still_comes(
    tmp_path: Path,
    roots: dict[str, Path],
    points: dict[str, list[Point]],
    step: str,
    fault: str,
) -> None:
    for number, point in enumerate(chosen(step, fault, points[step])):
        root = injected(
            step, fault, point, points[step].index(point), roots, tmp_path / str(number)
        )
        assert app_of(root) in {"1.0", "2.0"}, point
        converge(root)


def test_there_are_as_many_crash_points_as_the_design_asks_for(
    points: dict[str, list[Point]],
) -> None:
    assert len(points["build"]) >= 40
    assert all(points.values())
    assert len(FAULTS) * sum(map(len, points.values())) >= 200
