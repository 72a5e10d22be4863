"""What the demo starts ends with it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from update_server.cli.demo.children import Children
from update_server.cli.errors import CliError

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    yield made
    made.stop()


def test_stopped_children_are_gone(children: Children, tmp_path: Path) -> None:
    started = [
        children.start(name, SLEEPER, cwd=tmp_path, log=tmp_path / name, environment={})
        for name in ("one", "two")
    ]

    children.stop()

    assert not any(child.runs for child in started)
    children.check()


def test_some_can_be_stopped_while_others_run(children: Children, tmp_path: Path) -> None:
    one, two = (
        children.start(name, SLEEPER, cwd=tmp_path, log=tmp_path / name, environment={})
        for name in ("one", "two")
    )

    children.stop([one])

    assert (one.runs, two.runs) == (False, True)


def test_one_that_ends_by_itself_is_named_with_its_last_words(
    children: Children, tmp_path: Path
) -> None:
    command = (sys.executable, "-c", "print('no root metadata'); raise SystemExit(4)")
    child = children.start("agent 07", command, cwd=tmp_path, log=tmp_path / "log", environment={})
    child.process.wait()

    with pytest.raises(CliError) as caught:
        children.check()

    assert caught.value.code == "child_ended"
    assert caught.value.detail == "agent 07 ended with 4: no root metadata"


def test_one_that_is_killed_between_a_burial_and_the_check_waits_for_the_next(
    children: Children, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    child = children.start("agent 07", SLEEPER, cwd=tmp_path, log=log, environment={})
    child.process.kill()
    child.process.wait()

    children.check(mortal=True)
    with pytest.raises(CliError):
        children.check()

    assert children.bury() == [child]
    children.check()


def test_a_child_is_nicer_than_the_demo_and_leaves_no_core(
    children: Children, tmp_path: Path
) -> None:
    code = "import os, resource; print(os.nice(0), *resource.getrlimit(resource.RLIMIT_CORE))"
    child = children.start(
        "one", (sys.executable, "-c", code), cwd=tmp_path, log=tmp_path / "log",
        environment={}, nice=3,
    )  # fmt: skip
    child.process.wait()

    assert child.last_words() == f"{os.nice(0) + 3} 0 0"


def test_a_killed_demo_leaves_no_child_behind(tmp_path: Path) -> None:
    code = f"""
import pathlib, signal
from update_server.cli.demo.children import Children
folder = pathlib.Path({str(tmp_path)!r})
child = Children().start("one", {SLEEPER!r}, cwd=folder, log=folder / "log", environment={{}})
print(child.process.pid, flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        child = os.pidfd_open(int(demo.stdout.readline()))

        demo.send_signal(signal.SIGKILL)

        # A process's descriptor becomes readable when it has ended.
        ended, _, _ = select.select([child], [], [], 30)
        os.close(child)
        assert ended


def test_one_that_does_not_stop_is_killed(
    children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("update_server.cli.demo.children._STOP_SECONDS", 0.2)
    code = "import signal as s; s.signal(15, s.SIG_IGN); print('deaf', flush=True); s.pause()"
    log = tmp_path / "log"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    child = children.start(
        "deaf", (sys.executable, "-c", code), cwd=tmp_path, log=log, environment={}
    )
    select.select([reader], [], [], 30)
    os.close(reader)

    children.stop()

    assert child.process.returncode == -signal.SIGKILL
