"""A disk that was full before the agent began: it looks and reports, and says nothing twice."""

import errno
import os
from pathlib import Path

import pytest

from client_agent.errors import Code, DiskError
from client_agent.install import Installation
from client_agent.machine.states import Passive
from tests.agent.agent_fakes import Machine
from tests.agent.agent_world import TOKEN, a_world


class Full(Machine):
    def replace(self, source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{source}", None, f"{target}")


def _no_room(_installation: Installation) -> None:
    raise DiskError(Code.NO_SPACE)


def test_an_agent_that_cannot_store_a_token_looks_on_and_keeps_it_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_world(tmp_path) as world:
        world.put_in("2.0.0")
        world.machine = Full()
        monkeypatch.setattr(Installation, "prepare", _no_room)
        world.publish("2.1.0")
        world.say("update", "2.1.0", "in_ring")
        loop = world.loop()
        loop.begin()

        for _ in range(2):
            world.clock.advance(5 * 3_600)
            loop.tick()

        assert isinstance(loop.state, Passive)
        assert len(world.check_ins) == 2
        assert loop.visits.token == TOKEN
        assert world.state(loop).tokens == {}
        assert loop.performer.assignment is not None  # it got as far as what the server said
