"""One install, the steps of its updates as they really are done, and what must hold after each.

Time is virtual; the agent's loop, its downloads from a real server, its files and the launcher
are the real ones.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from packaging.version import Version

from client_agent import launcher
from client_agent.clock import Clock
from client_agent.config import Settings
from client_agent.errors import PayloadError
from client_agent.machine import events as on
from client_agent.running.loop import Loop
from client_agent.running.parts import assemble
from client_agent.values import MarkerStatus, Pending, State
from client_agent.versions.install import Installation
from client_agent.versions.tree import verify_tree
from tests.agent.agent_fakes import START, Dice, FakeClock, Machine
from tests.crash.lines import StuckError
from tests.crash.publisher import NEW, Publisher
from tests.crash.traced import Ended, fork, launch

_DAYS = 6  # of visits and starts, until an update must have come
_DAY = timedelta(hours=25)  # longer than any failure bars a version
_HOUR = timedelta(hours=1)  # an arming holds for longer
_HEALTHY_SECONDS = 61
_STARTED = re.compile(r"(\S+) (/\S+)/app\n")
_NOTHING = 70


class Box(Machine):
    """A machine that is started anew when a test says so, and that always has room."""

    def __init__(self, boot: str = "first") -> None:
        super().__init__()
        self.boot = boot
        self.room: int | None = 1 << 40

    def boot_id(self) -> str:
        return self.boot

    def free_bytes(self, folder: Path) -> int:
        return super().free_bytes(folder) if self.room is None else self.room


@dataclass(frozen=True, slots=True)
class Started:
    """What the launcher did: it started *version* in *folder*, or nothing."""

    version: str | None
    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """An install: its ROOT, the time, the machine's run, and whose it is."""

    root: Path
    publisher: Publisher
    at: datetime = START
    boot: str = "first"
    platform: Callable[[str], Box] = Box
    apart: bool = False
    """Whether versions are built in a child process."""

    rotten: frozenset[str] = frozenset()
    """Versions that need not be whole: a test has damaged them."""

    def later(self, by: timedelta) -> Here:
        return replace(self, at=self.at + by)

    def copied(self, to: Path) -> Here:
        shutil.copytree(self.root, to, symlinks=True)
        return replace(self, root=to)

    # --- what is there ---------------------------------------------------------------

    def installation(self, clock: Clock | None = None) -> Installation:
        clock = clock or FakeClock(self.at)
        return Installation(self.root, self.platform(self.boot), clock, in_process=True)

    def state(self) -> State:
        return self.installation().state.read()

    # --- the steps -------------------------------------------------------------------

    def loop(self, version: str | None, launch_id: str | None = None) -> tuple[Loop, FakeClock]:
        """Return an agent inside the app *version*."""
        clock = FakeClock(self.at)
        parts = assemble(
            Settings(app=self.publisher.app, root=self.root),
            attributes={},
            platform=self.platform(self.boot),
            clock=clock,
            chance=Dice(seed=int(self.at.timestamp()), fixed=0.0),
            in_process=not self.apart,
        )
        own = None if version is None else Version(version)
        return Loop(parts, own_version=own, launch_id=launch_id), clock

    def visit(self, version: str | None = None) -> None:
        """Let the agent look for an update, and take it up to the arming.

        *version*: what it is part of; None: of nothing, as ``serinus-agent check`` is.
        """
        loop, _ = self.loop(version)
        loop.begin()
        loop.handle(on.TimerFired())
        loop.quit()

    def start(self, *, wait: bool = False) -> int:
        """Be the launcher. Without *wait* this does not return when an app was started."""
        setattr(launcher, "time", self.at.timestamp)  # noqa: B010 - it is not exported
        launcher.boot_id = lambda: self.boot
        return launch(self.root, wait=wait)

    def confirm(self) -> None:
        """Be the new version on trial, until it is confirmed."""
        pending = self.state().pending
        loop, clock = self.loop(NEW, None if pending is None else pending.launch_id)
        loop.begin()
        loop.handle(on.AppHealthy())
        loop.tick()
        clock.advance(_HEALTHY_SECONDS)
        loop.tick()
        loop.quit()

    def prove_healthy(self) -> None:
        """Do what ``confirm`` does, but for the visit that becomes due meanwhile."""
        pending = self.state().pending
        loop, _ = self.loop(NEW, None if pending is None else pending.launch_id)
        loop.begin()
        loop.handle(on.AppHealthy())
        loop.handle(on.UptimeReached())
        loop.quit()

    # --- what must hold --------------------------------------------------------------

    def launched(self) -> Started:
        """Start the app in a fork; raise when it is no complete version, or an uncounted trial."""
        before = self.state()
        ended = fork(self.start)
        if ended.status == _NOTHING:
            return Started(None, None)
        found = _STARTED.fullmatch(ended.output)
        if ended.status != 0 or found is None:
            raise StuckError(f"the launcher ended with {ended.status}: {ended.output}")
        version, folder = found[1], Path(found[2])
        self._check_tree(version, folder)
        if before.pending is not None:
            self._check_count(before.pending, tried=folder.name)
        return Started(version, folder)

    def converge(self, version: str | None) -> None:
        """Go on from a start of *version*, day by day; raise when the new one does not come."""
        here = self
        for _ in range(_DAYS):
            if version == NEW and here.state().pending is not None:
                must_do(fork(here.prove_healthy), "confirming")
            if version == NEW:
                return here.check_settled()
            here = here.later(_DAY)
            must_do(fork(partial(here.visit, version)), "a visit")
            here = here.later(_HOUR)
            version = here.launched().version
        raise StuckError(f"no {NEW} after {_DAYS} days: {here.state()}")

    def check_settled(self) -> None:
        """Raise unless the new version is current, and nothing stays that is not needed."""
        state = self.state()
        self.installation().collect_garbage([])  # as the next update does
        if state.current is None or str(state.current.version) != NEW or state.pending is not None:
            raise StuckError(f"not settled: {state}")
        for kept in (state.current, state.previous):
            if kept is not None:
                self._check_tree(str(kept.version), self.root / "versions" / kept.directory)
        known = {kept.directory for kept in (state.current, state.previous) if kept is not None}
        left = {path.name for path in (self.root / "versions").iterdir()} - known
        left |= {
            path.name for name in ("staging", "parts") for path in (self.root / name).iterdir()
        }
        if left:
            raise StuckError(f"left over: {sorted(left)}")

    def _check_tree(self, version: str, folder: Path) -> None:
        if version in self.rotten:
            return
        digest = self.publisher.packed[version].goal.manifest_sha256
        try:
            verify_tree(folder, digest, self.platform(self.boot))
        except PayloadError as error:
            raise StuckError(f"{version} is not whole: {error.detail}") from error

    def _check_count(self, before: Pending, tried: str) -> None:
        """Raise unless a start on trial was counted, and no other start was."""
        pending = self.state().pending
        is_trial = tried == before.installed.directory
        if pending is None:
            if is_trial:
                raise StuckError("a trial that is nobody's")
            return
        refunded = pending.refunds - before.refunds
        given_back = refunded or self._quit_well(before.launch_id)
        if pending.tries_left != before.tries_left + given_back - is_trial:
            raise StuckError(f"counted wrongly: {before}, {pending} after a start of {tried}")

    def _quit_well(self, launch_id: str | None) -> bool:
        """Return whether that start called healthy() and quit cleanly: it costs nothing."""
        return any(
            marker.launch_id == launch_id
            and marker.healthy
            and marker.status is MarkerStatus.EXITED
            for marker in self.installation().markers()
        )


def must_do(ended: Ended, what: str) -> None:
    if ended.status != 0:
        raise StuckError(f"{what} ended with {ended.status}: {ended.output}")
