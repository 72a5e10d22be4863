"""A disk that was full before the agent began: it looks and reports, until there is room."""

import errno
import os
from pathlib import Path

import pytest

from client_agent.errors import Code, DiskError
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Passive, State
from client_agent.running.loop import Loop
from client_agent.versions.install import Installation
from tests.agent.agent_fakes import Machine
from tests.agent.agent_world import TOKEN, AgentWorld, a_world


class Full(Machine):
    def replace(self, source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{source}", None, f"{target}")


def _no_room(_installation: Installation) -> None:
    raise DiskError(Code.NO_SPACE)


def test_an_agent_that_cannot_store_a_token_looks_on_and_keeps_it_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_world(tmp_path) as world, monkeypatch.context() as patch:
        patch.setattr(Installation, "prepare", _no_room)
        loop = begun(world, Full())

        for _ in range(2):
            assert isinstance(passes(world, loop), Passive)

        assert len(world.check_ins) == 2
        assert loop.visits.token == TOKEN
        assert world.state(loop).tokens == {}
        assert loop.performer.assignment is not None  # it got as far as what the server said


@pytest.mark.parametrize("asked", [True, False])
def test_it_goes_on_as_soon_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, asked: bool
) -> None:
    with a_world(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(Installation, "prepare", _no_room)
            loop = begun(world)
            looked = passes(world, loop)
        assert isinstance(looked, Passive)

        if asked:
            world.clock.advance(60)
            loop.post(on.CheckRequested())
            loop.tick()
            assert isinstance(loop.state, Armed)
        else:
            assert isinstance(passes(world, loop), Armed)


def begun(world: AgentWorld, machine: Machine | None = None) -> Loop:
    """Return an agent on 2.0.0 that has just begun, and is offered 2.1.0."""
    world.put_in("2.0.0")
    world.machine = machine or world.machine
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    loop = world.loop()
    loop.begin()
    return loop


def passes(world: AgentWorld, loop: Loop) -> State:
    """Let so much time pass that the next check-in is due; return where the agent stands then."""
    world.clock.advance(5 * 3_600)
    loop.tick()
    return loop.state
