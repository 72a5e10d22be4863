"""The same story on SQLite and a real folder, with real threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from rollout.model import RolloutState
from tests.admin_world import APP, World
from tests.fakes import FakeBlobs, FakeDatabase
from update_server.blobs import LocalBlobs
from update_server.service.agents.refresh import ensure_secrets
from update_server.service.errors import ApprovalsMissingError, ConflictError
from update_server.service.repository.fsck import Fsck
from update_server.service.repository.rebuild import rebuild
from update_server.store import SqlDatabase
from update_server.store.migration import migrate


def a_database(file: Path) -> FakeDatabase:
    """Return a real one, which does all that the world asks of its fake."""
    migrate(f"sqlite:///{file}")
    database = SqlDatabase(f"sqlite:///{file}")
    ensure_secrets(database, lambda: b"s" * 32)
    return cast("FakeDatabase", database)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(
        folder=tmp_path / "signer",
        database=a_database(tmp_path / "serinus.db"),
        blobs=cast("FakeBlobs", LocalBlobs(tmp_path / "files")),
        platforms=("linux-x86_64",),
    )
    world.register()
    world.publish("2.0.0")
    world.complete("2.0.0")
    world.publish("2.1.0", rollback_to=["2.0.0"])
    return world


def assert_sound(world: World) -> None:
    fsck = Fsck(world.database, world.blobs, world.clock, next_check_in_seconds=14_400)
    assert fsck.check() == ()


def test_a_release_is_walked_paused_pulled_and_rebuilt(world: World, tmp_path: Path) -> None:
    control = world.services().control
    rollout = world.start("2.1.0")
    world.advance(60)
    control.promote(world.caller(), APP, rollout.id)
    control.pause(world.caller(), APP, rollout.id, reason="hm")
    control.resume(world.caller(), APP, rollout.id)
    pulled = control.pull(world.caller(), APP, rollout.id, reason="bad")
    assert_sound(world)

    world.database = a_database(tmp_path / "new.db")
    world.secrets.clear()
    assert rebuild(world.database, world.blobs, world.clock) == (APP,)

    again = world.rollout(rollout)
    assert (again.state, again.replacement) == (RolloutState.PULLED, pulled.replacement)
    assert_sound(world)


@pytest.mark.no_cover
def test_of_many_operators_at_once_one_wins(world: World) -> None:
    rollout = world.start("2.1.0")
    world.advance(60)
    caller = world.caller()
    barrier, turn = threading.Barrier(4), threading.Event()
    outcomes: list[str] = []

    def take_turns(_: float) -> None:
        turn.wait(0.002)

    def promote() -> None:
        control = world.services(wait=take_turns).control
        barrier.wait()
        try:
            control.promote(caller, APP, rollout.id)
            outcomes.append("won")
        except (ConflictError, ApprovalsMissingError) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=promote) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (outcomes.count("won"), len(outcomes)) == (1, 4)
    assert world.rollout(rollout).position == 1
    assert_sound(world)
