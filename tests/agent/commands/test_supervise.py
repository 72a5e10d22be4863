"""The app as a child: how often it is started, and when it is left alone."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client_agent.clock import SystemClock
from client_agent.commands.supervise import Supervisor, Wanted
from client_agent.config import Apply
from client_agent.running.loop import Loop
from client_agent.running.parts import Hooks, assemble
from client_agent.values import Outcome
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.launching import an_app, versions
from tests.agent.running.test_agent_faults import Faulty
from tests.agent.signed_world import an_entry
from tests.agent.trees import arm, install

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def machine() -> Faulty:
    return Faulty()


@pytest.fixture
def world(tmp_path: Path, machine: Faulty) -> Iterator[AgentWorld]:
    with a_world(tmp_path, NOW) as world:
        world.machine = machine
        world.roll_out()
        yield world


def a_loop(world: AgentWorld, script: str = "") -> Loop:
    """Return a loop on a ROOT with 1.0, and a 2.0 that was armed and is no longer whole."""
    settings = world.settings(unsafe_speed=1_200.0)
    loop = Loop(assemble(settings, platform=world.machine, clock=SystemClock(), in_process=True))
    installation = loop.parts.installation
    installation.create_root(world.root)
    install(installation, an_app("1.0", script))
    damaged = installation.path_of(arm(installation, an_app("2.0"), now=NOW)) / "data"
    damaged.chmod(0o644)
    damaged.write_bytes(b"more than it was")
    return loop


def test_an_app_that_quits_is_not_kept_running_by_a_result_that_cannot_be_cleared(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = a_loop(world)
    machine.broken["replace"] = (errno.EIO, "state.json")  # the launcher writes on its own

    status = Supervisor(loop, Wanted(), print).run_app([])

    result = loop.parts.installation.state.read().last_result
    assert status == 0
    assert result is not None
    assert result.outcome is Outcome.DAMAGED
    assert versions(loop.parts.installation) in (["1.0"], ["1.0", "1.0"])


def test_a_result_from_before_restarts_nothing(world: AgentWorld, machine: Faulty) -> None:
    loop = a_loop(world)
    loop.parts.installation.state.ban_pending("tries_used_up", NOW)
    machine.broken["replace"] = (errno.EIO, "state.json")

    assert Supervisor(loop, Wanted(), print).run_app([]) == 0

    assert versions(loop.parts.installation) == ["1.0"]


def test_a_fall_back_is_told_while_the_version_before_it_runs(world: AgentWorld) -> None:
    told = """grep -q '"last_result":null' "$SERINUS_ROOT/state.json" && exit 7"""
    loop = a_loop(world, f"for n in $(seq 1200); do {told}; sleep 0.05; done")

    status = Supervisor(loop, Wanted(), print).run_app([])

    assert status == 7
    assert versions(loop.parts.installation) == ["1.0"]


def test_a_new_version_that_dies_at_once_is_tried_thrice_and_left(
    world: AgentWorld, tmp_path: Path
) -> None:
    note = f'#!/bin/sh\necho "2.0" >> "{tmp_path}/tried"; exit 3\n'
    world.add("2.0", {"app": note.encode(), "data": b"data"})
    world.roll_out(an_entry("2.0"))
    settings = world.settings(unsafe_speed=1_200.0, apply=Apply.NOW)
    wanted = Wanted()
    parts = assemble(
        settings,
        hooks=Hooks(on_restart_wanted=wanted.note),
        platform=world.machine,
        clock=SystemClock(),
        in_process=True,
    )
    installation = parts.installation
    installation.create_root(world.root)
    thrice = f'[ "$(cat {tmp_path}/tried 2>/dev/null | wc -l)" = 3 ]'
    until_then = f"for n in $(seq 1200); do {thrice} && exit 7; sleep 0.05; done"
    install(installation, an_app("1.0", until_then))

    status = Supervisor(Loop(parts), wanted, print).run_app([])

    assert status == 7
    assert (tmp_path / "tried").read_text().split() == ["2.0"] * 3
    assert [str(ban.version) for ban in installation.state.bans()] == ["2.0"]


def test_what_is_armed_is_decided_once_more_when_the_app_has_quit(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = a_loop(world)
    loop.parts.installation.state.disarm()
    asked: list[str] = []
    monkeypatch.setattr(loop, "check_before_quit", lambda: asked.append(str(loop.stop.is_set())))

    Supervisor(loop, Wanted(), print).run_app([])

    assert asked == ["False"]  # while the loop still works
