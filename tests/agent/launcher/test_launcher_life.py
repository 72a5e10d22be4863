"""Hundreds of starts in a row: good versions stay, bad ones go, whatever people and power do."""

import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from client_agent import launcher as module
from client_agent.launcher import Launcher
from client_agent.platforms.linux import Linux
from client_agent.values import MarkerStatus
from client_agent.versions.install import Installation
from tests.agent.trees import NOW, Packed, an_installation, arm, install, pack

GOOD, BAD = "2.0", "3.0"


@dataclass
class Life:
    """One machine: its clock, its boots, its person. Files are real, moments are not."""

    draw: random.Random
    now: datetime = NOW
    boot: int = 0
    trials: dict[str, int] = field(default_factory=dict)
    windows: list[bool] = field(default_factory=list)

    def time(self) -> float:
        return self.now.timestamp()

    def boot_id(self) -> str:
        return f"boot-{self.boot}"

    def pass_time(self) -> None:
        """An hour, a night, a weekend; now and then the clock is set back a little."""
        hours = self.draw.choice([0.01, 1, 8, 60, -0.5])
        self.now += timedelta(seconds=int(3600 * hours))

    def run_app(self, installation: Installation, version: str, launch: str) -> None:
        """What happens in a trial start."""
        self.trials[version] = self.trials.get(version, 0) + 1
        if version == BAD:
            return  # it dies: its marker stays open
        what = self.draw.random()
        if what < 0.7:
            installation.state.confirm(self.now)
        elif what < 0.85:  # a person quits before the minute is over
            installation.seal_marker(launch, MarkerStatus.EXITED, self.now)
        elif what < 0.95:
            self.boot += 1  # a power cut
        else:  # a second window while this one is open, and then both are closed
            self.windows.append(second_window_joins(installation))
            installation.seal_marker(launch, MarkerStatus.EXITED, self.now)


class Simulated(Launcher):
    """A launcher that hands the start to the simulation instead of the system."""

    on_start: Callable[[dict[str, Any], bool, str], None]

    def start(self, record: dict[str, Any], *, trial: bool) -> int:
        launch = record.get("launch_id") or module.new_id()
        marker = self.open_marker(launch, record, trial=trial)
        os.close(self.lock or -1)
        try:
            type(self).on_start(record, trial, launch)
        finally:
            os.close(marker)
        return 0


def second_window_joins(installation: Installation) -> bool:
    """Return whether another launcher takes the trial for running, as it is."""
    again = Launcher(str(installation.root), [], wait=True)
    os.close(again.lock or -1)
    return module.still_runs(again.state["pending"], again.launches, again.boot_id)


def arm_again(installation: Installation, packed: Packed, now: datetime) -> None:
    """What the agent does when an arming has run out, or its version was left."""
    arm(installation, packed, now=now)
    # The next rollout: bans are lifted, and the version before is current.
    installation.state.update(
        lambda state: replace(state, bans=(), last_result=None, previous=None)
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_life_of_starts_has_no_false_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    life = Life(random.Random(seed))
    monkeypatch.setattr(module, "time", life.time)
    monkeypatch.setattr(module, "boot_id", life.boot_id)
    monkeypatch.setattr(Linux, "boot_id", lambda _self: life.boot_id())
    # App, launcher and second window are one process here, and share its descriptors.
    monkeypatch.setattr(module, "close_markers", lambda _launches: None)
    places = itertools.count(1)
    monkeypatch.setattr(module, "process", lambda pid: [next(places), pid, ""])
    installation = an_installation(tmp_path)
    first = install(installation, pack(version="1.0"))
    packed = {version: pack(version=version) for version in (GOOD, BAD)}

    def on_start(record: dict[str, Any], trial: bool, launch: str) -> None:
        if trial:
            life.run_app(installation, record["version"], launch)

    Simulated.on_start = staticmethod(on_start)
    rounds = {GOOD: 0, BAD: 0}
    for _ in range(100):
        installation.state.update(lambda state: replace(state, current=first))
        version = life.draw.choice([GOOD, GOOD, BAD])
        rounds[version] += 1
        arm_again(installation, packed[version], life.now)
        tried = life.trials.get(version, 0)
        while (pending := installation.state.read().pending) is not None:
            life.pass_time()
            if not pending.armed_at - timedelta(hours=1) <= life.now <= pending.not_after:
                arm(installation, packed[version], now=life.now)
            Simulated(str(installation.root), [], wait=True).run()

        state = installation.state.read()
        assert state.current is not None
        if version == GOOD:
            assert str(state.current.version) == GOOD, "a false fall-back"
        else:
            assert (state.current, len(state.bans)) == (first, 1)
            assert life.trials[version] - tried == 3

    assert rounds[GOOD] > 50
    assert life.windows
    assert all(life.windows)
    assert life.trials[GOOD] > rounds[GOOD] * 1.2
    assert datetime(2027, 1, 1, tzinfo=UTC) < life.now
