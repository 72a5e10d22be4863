"""An agent beside a program that has none: it follows what somebody else's launcher started."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent.commands.supervise import Supervisor, Wanted, describe_state
from client_agent.config import ConfirmBy
from client_agent.machine.states import Armed, Idle, Passive, Trial
from client_agent.running.loop import Loop
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.launching import until_started
from tests.agent.signed_world import an_entry

STAYS = b'#!/bin/sh\necho up >> "$SERINUS_ROOT/started"\nexec sleep 600\n'
CLOSES_ALL = (
    b"#!/usr/bin/env python3\nimport os, time\nos.closerange(3, 256)\n"
    b'open(os.environ["SERINUS_ROOT"] + "/started", "w").write("up")\ntime.sleep(600)\n'
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    """An agent whose clock is moved, beside a launcher with the real one."""
    with a_world(tmp_path, datetime.now(UTC).replace(microsecond=0)) as world:
        yield world


def publish(world: AgentWorld, version: str, app: bytes = STAYS) -> None:
    world.add(version, {"app": app})
    world.roll_out(an_entry(version, rollout=f"ro_{version.replace('.', '')}x"))
    world.say("update", version, "in_ring")


def armed(world: AgentWorld, app: bytes = STAYS, **options: Any) -> Loop:
    """Return the loop of ``serinus-agent``, which has armed 1.0.0 in an empty folder."""
    publish(world, "1.0.0", app)
    loop = world.loop(version=None, **{"confirm": ConfirmBy.UPTIME, **options})
    loop.begin()
    loop.trials.follow()
    loop.tick()
    assert isinstance(loop.state, Armed)
    return loop


@contextmanager
def launched(loop: Loop) -> Iterator[subprocess.Popen[bytes]]:
    """Start the app as its user does, ``python3 launcher.py``."""
    app = subprocess.Popen(loop.parts.installation.launcher_command())
    try:
        until_started(loop.parts.installation)
        yield app
    finally:
        app.kill()
        app.wait()


def pass_by(world: AgentWorld, loop: Loop, seconds: float) -> None:
    """Let time pass as ``serinus-agent run`` sees it."""
    end = world.clock.monotonic() + seconds
    while world.clock.monotonic() < end:
        left = end - world.clock.monotonic()
        world.clock.advance(max(0.001, min(loop.seconds_to_wait(), left)))
        loop.trials.follow()
        loop.tick()


def versions(world: AgentWorld, loop: Loop) -> tuple[Version | None, ...]:
    state = world.state(loop)
    pending = state.pending.installed if state.pending else None
    named = (state.current, state.previous, pending)
    return tuple(None if one is None else one.version for one in named)


def test_a_trial_that_stays_up_for_a_minute_is_confirmed(world: AgentWorld) -> None:
    loop = armed(world)

    with launched(loop):
        pass_by(world, loop, 55)
        before = loop.state
        pass_by(world, loop, 15)

    assert isinstance(before, Trial)
    assert isinstance(loop.state, Idle)
    assert versions(world, loop) == (Version("1.0.0"), None, None)
    assert world.steps()[-2:] == ["launched", "healthy"]


def test_a_trial_that_ends_before_is_not_confirmed(world: AgentWorld) -> None:
    loop = armed(world)

    with launched(loop):
        pass_by(world, loop, 30)
    pass_by(world, loop, 45)

    assert isinstance(loop.state, Armed)
    assert versions(world, loop) == (None, None, Version("1.0.0"))


def test_the_next_start_has_a_minute_of_its_own(world: AgentWorld) -> None:
    loop = armed(world)
    with launched(loop):
        pass_by(world, loop, 50)
    (world.root / "started").unlink()

    with launched(loop):
        pass_by(world, loop, 30)

        assert isinstance(loop.state, Trial)


def test_a_clock_that_is_set_ahead_makes_no_trial_older(world: AgentWorld) -> None:
    loop = armed(world)

    with launched(loop):
        world.clock.set_wall(world.clock.now() + timedelta(hours=3))
        pass_by(world, loop, 30)

        assert isinstance(loop.state, Trial)


def test_an_agent_that_begins_late_counts_from_the_start_of_the_app(world: AgentWorld) -> None:
    with launched(armed(world)):
        world.clock.advance(61)
        late = world.loop(version=None, confirm=ConfirmBy.UPTIME)
        late.begin()

        late.trials.follow()

        assert versions(world, late)[0] == Version("1.0.0")


def test_where_the_app_has_to_say_that_it_is_healthy_time_alone_confirms_nothing(
    world: AgentWorld,
) -> None:
    loop = armed(world, confirm=ConfirmBy.APP)

    with launched(loop):
        pass_by(world, loop, 90)
        waiting = loop.state
        (marker,) = loop.parts.installation.markers()
        loop.parts.installation.mark_healthy(marker.launch_id)
        pass_by(world, loop, 15)

    assert isinstance(waiting, Trial)
    assert versions(world, loop)[0] == Version("1.0.0")


def test_a_newer_version_waits_for_the_trial_and_leaves_something_to_go_back_to(
    world: AgentWorld,
) -> None:
    loop = armed(world)

    with launched(loop):
        pass_by(world, loop, 20)
        publish(world, "1.1.0")
        loop.check_before_quit()
        pass_by(world, loop, 2 * 3_600)
        assert versions(world, loop) == (Version("1.0.0"), None, Version("1.1.0"))
    (world.root / "started").unlink()
    with launched(loop):
        pass_by(world, loop, 80)

    assert versions(world, loop) == (Version("1.1.0"), Version("1.0.0"), None)


def test_a_trial_that_another_confirmed_is_over(world: AgentWorld) -> None:
    loop = armed(world)

    with launched(loop):
        pass_by(world, loop, 20)
        loop.parts.installation.state.confirm(world.clock.now())
        pass_by(world, loop, 15)

    assert isinstance(loop.state, Idle)


def test_an_agent_inside_another_window_leaves_the_trial_alone_and_says_whose_it_is(
    world: AgentWorld,
) -> None:
    outside = armed(world)

    with launched(outside) as app:
        inside = world.loop(version="0.9.0")
        inside.begin()
        pass_by_inside(world, inside)

        assert isinstance(inside.state, Passive)
        assert describe_state(inside) == (
            f"passive: state/busy: 1.0.0 is on trial in process {app.pid}: "
            "it is confirmed there, or let it end"
        )


def pass_by_inside(world: AgentWorld, loop: Loop) -> None:
    world.clock.advance(61)
    loop.tick()


def test_the_tree_of_an_app_that_closes_all_that_it_inherits_stays(world: AgentWorld) -> None:
    loop = armed(world, CLOSES_ALL)

    with launched(loop):
        loop.parts.installation.state.disarm()
        loop.parts.installation.collect_garbage([])

        assert [path.name[:5] for path in loop.parts.installation.versions.iterdir()] == ["1.0.0"]
    loop.parts.installation.collect_garbage([])
    assert list(loop.parts.installation.versions.iterdir()) == []


def test_run_says_when_it_looks_first_and_what_it_found(world: AgentWorld) -> None:
    said: list[str] = []
    loop = world.loop(version=None, unsafe_speed=1_200.0)
    publish(world, "1.0.0")

    def say(line: str) -> None:
        said.append(line)
        if "armed" in line:
            loop.end()

    wanted = Wanted()
    loop.parts.hooks = type(loop.parts.hooks)(on_progress=wanted.progress)
    Supervisor(loop, wanted, say).run_alone()

    now = f"{world.clock.now():%H:%M:%SZ}"
    assert said == [
        f"{now} idle nothing installed",
        f"{now} first check-in now",
        f"{now} downloading 1.0.0 (in_ring)",
        f"{now} armed 1.0.0 (in_ring)",
    ]
