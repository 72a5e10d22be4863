"""A server's processes: started again when they die, gone when their parent is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from update_server import processes
from update_server.config import ConfigError
from update_server.processes import ROLES, Supervisor, main

_PATIENCE_SECONDS = 60.0

# A process as those of a server: it stops with its parent, and in order when asked to.
CHILD = """
import os, signal, sys, threading
from pathlib import Path
from update_server.processes import CONFIG_VARIABLE, stop_with_parent
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
signal.signal(signal.SIGINT, lambda *_: stop.set())
stop_with_parent()
with open(sys.argv[1], "a") as starts:
    starts.write(f"{os.getpid()} {os.environ[CONFIG_VARIABLE]}\\n")
stop.wait()
"""
STUBBORN = CHILD.replace(
    "stop.set())\nsignal.signal(signal.SIGINT", "None)\nsignal.signal(signal.SIGINT"
)

PARENT = """
import sys, threading
from pathlib import Path
from update_server.processes import Supervisor
command = lambda name: (sys.executable, sys.argv[1], sys.argv[2])
Supervisor(Path("x.toml"), "signer", log=lambda text: None, command=command).run(threading.Event())
"""


def until(happened: Callable[[], bool]) -> None:
    """Return when it has happened; fail when it never does."""
    end = time.monotonic() + _PATIENCE_SECONDS
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < end, "it never happened"
        pause.wait(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process ended; one that nobody has buried yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Fleet:
    """A supervisor in a thread, and who it started."""

    def __init__(self, folder: Path, source: str, role: str = "web") -> None:
        self._starts = folder / "starts"
        program = folder / "child.py"
        program.write_text(source)
        self.told: list[str] = []
        self.stop = threading.Event()

        def command(name: str) -> Sequence[str]:
            return (sys.executable, str(program), f"{self._starts}-{name}")

        self._folder = folder
        supervisor = Supervisor(
            folder / "serinus.toml", role, log=self.told.append, command=command
        )
        self._thread = threading.Thread(target=supervisor.run, args=(self.stop,))
        self._thread.start()

    def pids(self, name: str) -> list[int]:
        """Return the processes that were started under this name, oldest first."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self._folder / f"starts-{name}").read_text().splitlines()
            return [int(line.split()[0]) for line in lines]
        return []

    def end(self) -> None:
        self.stop.set()
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, CHILD)
    yield fleet
    fleet.end()


def test_each_process_of_a_role_is_started_with_the_settings(fleet: Fleet, tmp_path: Path) -> None:
    until(lambda: all(fleet.pids(name) for name in ROLES["web"]))

    started = (tmp_path / "starts-public").read_text().split()
    assert started[1] == str(tmp_path / "serinus.toml")


def test_a_process_that_dies_is_started_again_and_the_others_live_on(fleet: Fleet) -> None:
    until(lambda: all(fleet.pids(name) for name in ROLES["web"]))
    (victim,) = fleet.pids("public")

    os.kill(victim, signal.SIGKILL)
    until(lambda: len(fleet.pids("public")) == 2)

    assert fleet.told == ["public was killed by signal 9; starting it again in 0.2 s"]
    assert len(fleet.pids("admin")) == 1


def test_a_process_that_keeps_dying_is_given_longer_and_longer_pauses(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "raise SystemExit(7)", "controller")
    until(lambda: len(fleet.told) == 2)
    fleet.end()

    assert fleet.told == [
        "controller stopped with exit code 7; starting it again in 0.2 s",
        "controller stopped with exit code 7; starting it again in 1 s",
    ]


def test_a_stop_is_clean_and_quick(fleet: Fleet) -> None:
    until(lambda: all(fleet.pids(name) for name in ROLES["web"]))
    pids = [pid for name in ROLES["web"] for pid in fleet.pids(name)]
    began = time.monotonic()

    fleet.end()

    assert time.monotonic() - began < processes._STOP_SECONDS
    assert all(is_gone(pid) for pid in pids)
    assert fleet.told == []


def test_who_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.3)
    fleet = Fleet(tmp_path, STUBBORN, "signer")
    until(lambda: bool(fleet.pids("signer")))
    (pid,) = fleet.pids("signer")

    fleet.end()

    assert is_gone(pid)
    assert fleet.told == ["signer did not stop within 0.3 s and was killed"]


def test_a_supervisor_without_processes_stops(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()

    Supervisor(tmp_path, "all", log=print).run(stop)


def test_children_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    child, parent = tmp_path / "child.py", tmp_path / "parent.py"
    child.write_text(CHILD)
    parent.write_text(PARENT)
    starts = tmp_path / "starts"
    process = subprocess.Popen([sys.executable, str(parent), str(child), str(starts)])
    until(lambda: starts.exists() and starts.read_text().endswith("\n"))
    pid = int(starts.read_text().split()[0])

    process.kill()
    process.wait()

    until(lambda: is_gone(pid))


def test_a_process_that_cannot_begin_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERINUS_CONFIG", str(tmp_path / "none.toml"))

    assert main(["signer"]) == 1

    told = capsys.readouterr().err
    assert told.startswith("serinus signer: ConfigError: there is no ")
    assert told.count("\n") == 1
    monkeypatch.setenv("SERINUS_DEBUG", "1")
    with pytest.raises(ConfigError):
        main(["signer"])
