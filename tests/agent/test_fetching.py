"""How a download fits into the app around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client_agent.loop import Loop
from tests.agent.delta_world import NEW_VERSION, DeltaWorld, a_delta_world
from tests.agent.signed_world import an_entry, zulu


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DeltaWorld]:
    with a_delta_world(tmp_path) as world:
        yield world


def begun(world: DeltaWorld, in_foreground: Callable[[], bool]) -> Loop:
    loop = world.begun()
    loop.parts.hooks = replace(loop.parts.hooks, on_foreground=in_foreground)
    return loop


def test_a_download_waits_for_an_app_in_the_foreground(world: DeltaWorld) -> None:
    world.publish()
    answers = [True, True, False]
    loop = begun(world, lambda: bool(answers) and answers.pop(0))

    world.run(loop)

    assert world.is_armed(loop)
    assert world.world.clock.waits == [1.0, 1.0]


def test_what_must_be_reached_waits_for_no_app(world: DeltaWorld) -> None:
    world.publish()
    rule = {"version": NEW_VERSION, "after": zulu(world.world.clock.now())}
    world.world.signed.set_policy(must_reach=[rule])
    world.world.roll_out(an_entry(NEW_VERSION))
    loop = begun(world, lambda: True)

    world.run(loop)

    assert world.is_armed(loop)
    assert world.world.clock.waits == []


def test_a_hook_that_raises_pauses_nothing_and_is_reported_once(world: DeltaWorld) -> None:
    world.publish(from_manifest="00" * 32)  # in full: it comes in several chunks
    asked = []

    def broken() -> bool:
        asked.append(True)
        raise ValueError

    loop = begun(world, broken)

    world.run(loop)

    assert world.is_armed(loop)
    assert len(asked) > 1
    assert [event["kind"] for event in world.world.events].count("crash") == 1
