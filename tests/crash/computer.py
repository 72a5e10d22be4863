"""A computer with one install on it, in virtual time.

The launcher, the agent's loop inside the app, the decision, the building and all files are the
real ones. Only processes, clocks and reboots are simulated, and what is signed is not fetched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from packaging.version import Version

from client_agent import launcher
from client_agent.config import AppSettings, Settings, Telemetry
from client_agent.errors import Code, NetworkError
from client_agent.machine import events as on
from client_agent.running.loop import Loop
from client_agent.running.parts import assemble
from client_agent.state import launches
from client_agent.trust.decision import Decision, FailureMemory, Hint, Trust
from client_agent.values import MarkerStatus
from client_agent.versions.install import Installation
from rollout.decide import decide
from rollout.model import Action, Documents, Entry, Install, Release
from tests.agent.agent_fakes import START, Dice, FakeClock
from tests.agent.trees import Packed, install, pack
from tests.builders import a_policy, a_rollout_document, an_entry
from tests.crash import workshop
from tests.crash.world import Box


class _Exec(BaseException):
    """The launcher has become the app: no line after it is reached."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.environment = environment


class _Os:
    """What the launcher takes for the operating system: its process may be another's."""

    def __init__(self, computer: Computer) -> None:
        self._computer = computer

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def getpid(self) -> int:
        return self._computer.processes

    def execve(self, _path: str, _command: list[str], environment: Mapping[str, str]) -> NoReturn:
        raise _Exec(environment)


@dataclass(eq=False)
class App:
    """The app in a process of its own, with the agent inside it."""

    computer: Computer
    process: int
    version: Version
    launch_id: str
    marker: int
    loop: Loop | None = None
    healthy_at: float | None = None

    def begin(self) -> None:
        self.loop = self.computer.loop(self.version, self.launch_id)
        self.loop.begin()

    def healthy_after(self, seconds: float) -> None:
        self.healthy_at = self.computer.clock.monotonic() + seconds

    def runs_for(self, seconds: float) -> None:
        """Let time pass, and the agent do in it what becomes due."""
        assert self.loop is not None
        clock, end = self.computer.clock, self.computer.clock.monotonic() + seconds
        while (now := clock.monotonic()) < end:
            due = [end, now + max(1.0, self.loop.seconds_to_wait() * 20)]
            clock.advance(min(due + ([self.healthy_at] if self.healthy_at else [])) - now)
            if self.healthy_at is not None and clock.monotonic() >= self.healthy_at:
                self.healthy_at = None
                self.computer.installation.mark_healthy(self.launch_id)
                self.loop.handle(on.AppHealthy())
            self.loop.tick()

    def quit(self) -> None:
        """End as apps should."""
        if self.loop is not None:
            self.loop.check_before_quit()
            self.loop.end()
            self.loop.quit()
        self.gone()

    def dies(self, *, said: bool) -> None:
        """End at once; *said*: with a traceback, of which the agent takes note."""
        if said:
            installation, now = self.computer.installation, self.computer.clock.now()
            installation.seal_marker(self.launch_id, MarkerStatus.CRASHED, now, exit_code=1)
        self.gone()

    def gone(self) -> None:
        self.computer.apps.remove(self)
        os.close(self.marker)


@dataclass
class Computer:
    """A machine with one install on it, and the publisher's side as far as it shows there."""

    root: Path
    clock: FakeClock = field(default_factory=FakeClock)
    box: Box = field(default_factory=Box)
    processes: int = 1_000
    boots: int = 0
    online: bool = True
    apps: list[App] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    releases: dict[Version, Release] = field(default_factory=dict)
    packed: dict[str, Packed] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    was_current: str | None = None
    short: Counter[Version] = field(default_factory=Counter)
    """How often each version was quit within seconds."""

    @property
    def installation(self) -> Installation:
        return Installation(self.root, self.box, self.clock, in_process=True)

    # --- the publisher ---------------------------------------------------------------

    def release(self, version: str, *, rollout: str = "ro_7k2m") -> None:
        """Give *version* to everybody."""
        if version not in self.packed:
            app = f"#!/bin/sh\necho {version}\n".encode()
            self.packed[version] = pack({"app": app}, version=version)
            self.releases[Version(version)] = self.packed[version].goal.release
        self.entries = (an_entry(version=version, rollout=rollout),)

    def documents(self) -> Documents:
        rollout = a_rollout_document(*self.entries, next_check_in_seconds=3_600)
        wanted = {entry.version for entry in self.entries}
        releases = {version: self.releases[version] for version in wanted}
        return Documents(policy=a_policy(), rollout=rollout, releases=releases)

    # --- the machine -----------------------------------------------------------------

    def true_time(self) -> datetime:
        """Return what a clock would show that nobody has set."""
        return START + timedelta(seconds=self.clock.monotonic() - 1_000.0)

    def start(self) -> App:
        """Start the app with a click; a second click is a second window."""
        self.processes += 1
        begun = launcher.Launcher(str(self.root), [], wait=False)
        try:
            raise AssertionError(f"nothing started: {begun.run()}")
        except _Exec as became:
            launch_id = became.environment["SERINUS_LAUNCH"]
            descriptor = int(became.environment["SERINUS_LAUNCH_FD"])
        if begun.lock is not None:
            os.close(begun.lock)  # as it is where a program becomes another
        marker = self.installation.marker(launch_id)
        assert marker is not None
        app = App(self, self.processes, marker.version, launch_id, descriptor)
        self.apps.append(app)
        if str(app.version) not in self.bad:
            app.begin()
        return app

    def process(self, number: int) -> list[Any]:
        """Say what the launcher's function of that name would."""
        lives = number == self.processes or any(app.process == number for app in self.apps)
        return ["here", number, f"{number}" if lives else ""]

    def power_cut(self) -> None:
        for app in tuple(self.apps):
            app.gone()
        self.reboot()

    def reboot(self) -> None:
        self.boots += 1
        self.processes += 1
        self.box.boot = f"boot {self.boots}"

    def loop(self, version: Version, launch_id: str) -> Loop:
        nowhere = AppSettings(
            app="demo",
            channel="stable",
            platform="linux-x86_64",
            server="http://127.0.0.1:1",  # where nobody answers
            root_metadata=b"",
        )
        settings = Settings(app=nowhere, root=self.root, telemetry=Telemetry.OFF)
        chance = Dice(seed=self.processes)
        parts = assemble(
            settings,
            attributes={},
            platform=self.box,
            clock=self.clock,
            chance=chance,
            in_process=True,
        )
        parts.trust = SignedHere(self, parts.trust)  # type: ignore[assignment]
        return Loop(parts, own_version=version, launch_id=launch_id)

    # --- what must hold --------------------------------------------------------------

    def confirmed(self) -> bool:
        """Return whether another version is current than when this was asked before."""
        current = self.installation.current()
        found = None if current is None else str(current.version)
        before, self.was_current = self.was_current, found
        return found != before

    def complaint(self, number: int) -> str | None:
        """Return what is wrong when a good version was given up; it is asked for once."""
        state = self.installation.state.read()
        if not state.bans:
            return None
        self.installation.state.update(lambda state: replace(state, bans=()))
        return f"start {number}: {state.bans[-1]}"


class SignedHere:
    """Stands in for ``Trust``: the documents are here, and the decision on them is the real one."""

    def __init__(self, computer: Computer, trust: Trust) -> None:
        self._computer = computer
        self._trust = trust

    def refresh_and_decide(
        self,
        install: Install,
        _hint: Hint | None,
        _transport: object,
        now: datetime,
        memory: FailureMemory,
    ) -> Decision:
        computer = self._computer
        if not computer.online:
            raise NetworkError(Code.UNREACHABLE)
        documents = computer.documents()
        known = memory(documents.policy, documents.rollout)
        assignment = decide(documents, replace(install, failures=known), now)
        goal = None
        if assignment.action is not Action.STAY:
            packed = computer.packed[str(assignment.version)]
            goal = replace(packed.goal, rollout=assignment.rollout, reason=assignment.reason)
            packed.file(computer.installation.parts)  # as if it had been downloaded before
        return Decision(
            assignment=assignment,
            goal=goal,
            not_after=now + timedelta(hours=24),
            timestamp_version=1,
            snapshot_sha256="",
        )

    def raise_high_water(self, release: Release, running: Version | None) -> None:
        self._trust.raise_high_water(release, running)


@contextlib.contextmanager
def a_computer(seed: int) -> Iterator[Computer]:
    """Make a computer with version 1.0 on it, and let the launcher live there meanwhile."""
    root = workshop.folder() / f"computer-{seed}"
    computer = Computer(root)
    computer.release("1.0")
    Installation.create_root(root)
    install(computer.installation, computer.packed["1.0"])
    computer.installation.state.clear_last_result()
    names: dict[Any, dict[str, Any]] = {
        launcher: {
            "os": _Os(computer),
            "time": lambda: computer.clock.now().timestamp(),
            "boot_id": computer.box.boot_id,
            "process": computer.process,
            "close_markers": lambda _folder: None,  # those of other apps are open here, too
        },
        launches: {"process": computer.process},
    }
    before = {
        module: {name: getattr(module, name) for name in mine} for module, mine in names.items()
    }
    try:
        _set(names)
        yield computer
    finally:
        _set(before)
        for app in tuple(computer.apps):
            app.gone()
        shutil.rmtree(root)


def _set(names: Mapping[Any, Mapping[str, Any]]) -> None:
    for module, values in names.items():
        for name, value in values.items():
            setattr(module, name, value)
