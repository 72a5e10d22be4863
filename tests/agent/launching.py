"""Starting an installed app through its launcher, and looking at what started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client_agent import launcher as module
from client_agent.launcher import Launcher
from client_agent.values import State
from client_agent.versions.install import Installation
from tests.agent.trees import Packed, pack

NOTHING = 70


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def an_app(version: str, script: str = "", **more: Any) -> Packed:
    """Return a version that notes its start, then does what *script* says."""
    content = f'#!/bin/sh\necho "{version} $*" >> "$SERINUS_ROOT/started"\n{script}\n'
    return pack({"app": content.encode(), "data": b"data"}, version=version, **more)


def run(installation: Installation, *arguments: str, wait: bool = True) -> int:
    """Start the app as a shortcut does, in a process of its own; return the status."""
    command = installation.launcher_command(arguments, wait=wait)
    done = subprocess.run(command, check=False, stderr=subprocess.DEVNULL, timeout=60)
    return done.returncode


def run_here(installation: Installation, *arguments: str) -> int:
    """Start the app as its parent, with the launcher in this process."""
    before = {number: signal.getsignal(number) for number in (15, 2, 1)}
    open_before = _open_below(installation.root)
    launcher = Launcher(str(installation.root), list(arguments), wait=True)
    try:
        return launcher.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for descriptor in _open_below(installation.root) - open_before:
            os.close(descriptor)  # a process of its own would have ended


def _open_below(root: Path) -> set[int]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor of this very listing
            if path.readlink().is_relative_to(root):
                found.add(int(path.name))
    return found


def started(installation: Installation) -> list[str]:
    path = installation.root / "started"
    return path.read_text().splitlines() if path.exists() else []


def until_started(installation: Installation, seconds: float = 20) -> None:
    """Wait until an app that was started notes it; it has its own clock."""
    end = time.monotonic() + seconds
    while not started(installation):
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.02)


def versions(installation: Installation) -> list[str]:
    return [line.split(" ", 1)[0] for line in started(installation)]


@contextmanager
def time_moved(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "time", (now() + by).timestamp)
        yield


@contextmanager
def rebooted(monkeypatch: pytest.MonkeyPatch, boot_id: str = "another") -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(module, "boot_id", lambda: boot_id)
        yield


def edit(installation: Installation, change: Callable[[State], State]) -> None:
    installation.state.update(change)


def tries(installation: Installation) -> tuple[int, int]:
    pending = installation.state.read().pending
    assert pending is not None
    return pending.tries_left, pending.refunds
