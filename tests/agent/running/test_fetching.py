"""How a download fits into the app around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client_agent.errors import Code, DiskError
from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.values import Fault, Goal, Plan
from client_agent.running.loop import Loop
from client_agent.versions.unpack import MAX_PAYLOAD_BYTES
from rollout.manifest import MAX_TREE_BYTES
from rollout.names import MAX_TREE_ENTRIES
from tests.agent.delta_world import NEW_VERSION, DeltaWorld, a_delta_world
from tests.agent.machine_builders import a_delta, a_goal
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


@pytest.mark.parametrize("stuck", ["downloader", "state"])
def test_a_delta_that_failed_is_deleted_and_remembered_even_if_one_of_both_fails(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    def fail(_: object) -> None:
        raise DiskError(Code.IO)

    world.publish(sign=lambda data: data[:-1] + b"?")
    loop = world.begun()
    parts = loop.parts
    if stuck == "downloader":
        monkeypatch.setattr(parts.downloader, "drop", fail)
    else:
        monkeypatch.setattr(parts.installation.state, "note_delta_failure", fail)

    world.run(loop)

    assert world.is_armed(loop)
    assert len(world.world.state(loop).delta_failures) == (stuck == "downloader")
    delta = hashlib.sha256(world.delta).hexdigest()
    assert (parts.installation.parts / f"{delta}.part").exists() is (stuck == "downloader")


def a_goal_of(
    *, tree_bytes: int = 1_000, files: int = 2, length_bytes: int = 500, delta_bytes: int = 50
) -> Goal:
    delta = a_delta("0d" * 32, length_bytes=delta_bytes)
    goal = a_goal(length_bytes=length_bytes, deltas=[delta])
    artifact = replace(goal.release.artifact, tree_bytes=tree_bytes, files=files)
    return replace(goal, release=replace(goal.release, artifact=artifact))


@pytest.mark.parametrize(
    "sizes",
    [
        {"tree_bytes": MAX_TREE_BYTES},
        {"files": MAX_TREE_ENTRIES},
        {"length_bytes": MAX_PAYLOAD_BYTES},
    ],
    ids=lambda sizes: next(iter(sizes)),
)
def test_what_no_agent_builds_is_not_even_fetched(world: DeltaWorld, sizes: dict[str, int]) -> None:
    perform = world.begun().performer.perform
    over = {name: size + 1 for name, size in sizes.items()}

    assert perform(do.Choose(goal=a_goal_of(**sizes))) == on.Planned(plan=Plan())
    assert perform(do.Choose(goal=a_goal_of(**over))) == on.DownloadFailed(
        fault=Fault(category="payload", code="over_cap")
    )


@pytest.mark.parametrize(("files", "fits"), [(2, True), (1_000, False)])
def test_many_small_files_need_room_too(
    world: DeltaWorld, monkeypatch: pytest.MonkeyPatch, files: int, fits: bool
) -> None:
    loop = world.begun()
    monkeypatch.setattr(loop.parts.platform, "free_bytes", lambda _: 17 << 20)

    answer = loop.performer.perform(do.Fetch(goal=a_goal_of(files=files), plan=Plan()))

    assert isinstance(answer, on.DownloadFailed)  # nobody has it
    assert (answer.fault.code != "no_space") is fits
