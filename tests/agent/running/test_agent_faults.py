"""Disks that fill up and break: a typed event, less service, and the next visit goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent.errors import DiskError
from client_agent.machine import events as on
from client_agent.machine.states import Armed, Idle, Staged, Trial
from client_agent.running.loop import Loop
from tests.agent.agent_fakes import Machine
from tests.agent.agent_world import AgentWorld, a_world
from tests.agent.running.test_agent_loop import HOUR, begun, launch, stands, wait
from tests.agent.signed_world import an_entry


class Faulty(Machine):
    """A machine of which single calls fail, for paths whose name contains a word."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[str, tuple[int, str]] = {}
        self.free: int | None = None

    def _may(self, call: str, path: Path | None = None) -> None:
        code, word = self.broken.get(call, (0, ""))
        if code and (path is None or word in path.name):
            raise OSError(code, os.strerror(code))

    def sync_file(self, descriptor: int) -> None:
        self._may("sync_file")
        super().sync_file(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._may("replace", target)
        super().replace(source, target)

    def boot_id(self) -> str:
        self._may("boot_id")
        return super().boot_id()

    def free_bytes(self, folder: Path) -> int:
        return super().free_bytes(folder) if self.free is None else self.free


@pytest.fixture
def machine() -> Faulty:
    return Faulty()


@pytest.fixture
def world(tmp_path: Path, machine: Faulty) -> Iterator[AgentWorld]:
    with a_world(tmp_path) as world:
        world.machine = machine
        yield world


def ready(world: AgentWorld, **options: Any) -> Loop:
    """Return a loop that has 2.0.0 and is offered 2.1.0."""
    loop = begun(world, **options)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring")
    return loop


def codes(world: AgentWorld) -> list[str]:
    return [event["error"]["code"] for event in world.events if event.get("error")]


def test_too_little_room_is_found_out_before_the_download(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    machine.free = 1_000

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert codes(world) == ["no_space"]
    assert not any("/targets/" in path for path in world.server.paths())
    (failure,) = world.state(loop).failures
    assert (failure.retry_at - world.clock.now()).total_seconds() > 5.9 * HOUR


def test_room_that_appears_lets_the_update_through_at_the_next_check_in(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    machine.free = 1_000
    wait(world, loop, 61)
    machine.free = None

    wait(world, loop, 1.2 * HOUR)

    assert stands(loop, Armed)


def test_a_disk_that_stays_too_full_is_asked_again_after_six_hours(
    world: AgentWorld, machine: Faulty
) -> None:
    """The control of the test before: without the room it is no earlier."""
    loop = ready(world)
    machine.free = 1_000
    wait(world, loop, 61)

    wait(world, loop, 5 * HOUR)
    assert codes(world) == ["no_space"]
    wait(world, loop, 2 * HOUR)
    assert codes(world) == ["no_space"] * 2


class OverQuota(Faulty):
    """No part can be stored, and the free bytes do not tell."""

    def sync_file(self, descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().sync_file(descriptor)


def test_a_disk_that_takes_nothing_in_spite_of_its_room_is_not_asked_at_each_check_in(
    world: AgentWorld,
) -> None:
    world.machine = OverQuota()
    loop = ready(world)

    wait(world, loop, 3 * HOUR)

    assert codes(world) == ["no_space"]
    assert len(world.check_ins) > 1


def test_a_floor_that_cannot_be_stored_installs_nothing(world: AgentWorld, machine: Faulty) -> None:
    loop = ready(world)
    machine.broken["replace"] = (errno.ENOSPC, "floor.")

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert set(codes(world)) <= {"no_space", "io"}
    assert codes(world)
    assert world.state(loop).pending is None


def test_a_state_that_cannot_be_written_arms_nothing(world: AgentWorld, machine: Faulty) -> None:
    loop = ready(world)
    machine.broken["replace"] = (errno.EIO, "state.json")

    wait(world, loop, 61)

    assert stands(loop, Idle)
    assert world.state(loop).pending is None
    machine.broken.clear()
    wait(world, loop, 5 * HOUR)
    assert stands(loop, Armed)


def test_a_staged_tree_that_rots_is_not_armed_but_built_again(world: AgentWorld) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    state = loop.state
    assert isinstance(state, Armed)
    (tree,) = (world.root / "versions").glob("2.1.0-*")
    app = tree / "app"
    app.chmod(0o755)
    app.write_bytes(b"rotten")
    loop.performer.state = Staged(edition=state.edition)
    loop.parts.installation.state.disarm()

    loop.post(on.Allowed())
    loop.tick()

    assert stands(loop, Idle)
    assert "damaged" in codes(world)
    wait(world, loop, 3 * HOUR)
    assert stands(loop, Armed)


def test_a_trial_that_cannot_be_written_down_stays_one_until_it_can(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    loop.quit()
    inside = world.loop(version="2.1.0", launch_id=launch(world, loop))
    inside.begin()
    machine.broken["replace"] = (errno.ENOSPC, "state")
    inside.post(on.AppHealthy())
    wait(world, inside, 61)
    assert stands(inside, Trial)

    machine.broken.clear()
    wait(world, inside, HOUR)

    assert stands(inside, Idle)
    current = world.state(inside).current
    assert current is not None
    assert current.version == Version("2.1.0")


def test_what_is_on_trial_and_no_longer_pending_is_not_confirmed(world: AgentWorld) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    loop.quit()
    inside = world.loop(version="2.1.0", launch_id=launch(world, loop))
    inside.begin()
    inside.parts.installation.state.ban_pending("tries_used_up", world.clock.now())

    inside.post(on.AppHealthy())
    wait(world, inside, 61)

    current = world.state(inside).current
    assert current is not None
    assert current.version == Version("2.0.0")


def test_a_disarming_that_fails_is_told_and_tried_at_the_next_check_in(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    machine.broken["replace"] = (errno.EIO, "state.json")
    world.roll_out(an_entry("2.1.0", state="pulled"))
    world.say("stay", None, "pulled")
    wait(world, loop, 1.1 * HOUR)
    assert world.state(loop).pending is not None

    machine.broken.clear()
    wait(world, loop, 5 * HOUR)

    assert world.state(loop).pending is None
    assert "io" in codes(world)


def test_a_system_that_does_not_tell_its_boot_costs_only_the_sessions(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = world.loop()
    world.put_in("2.0.0")
    world.say("stay", None, "up_to_date")
    world.roll_out()
    machine.broken["boot_id"] = (errno.EIO, "")

    loop.begin()
    wait(world, loop, 121)

    assert codes(world) == ["io"]


def test_a_last_result_is_told_even_when_it_cannot_be_forgotten(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    loop.parts.installation.state.ban_pending("tries_used_up", world.clock.now())
    machine.broken["replace"] = (errno.EIO, "state.json")

    again = world.loop()
    again.begin()

    assert [what for what, _ in world.told] == ["staged", "fell_back"]


def reported(world: AgentWorld) -> list[tuple[str, float]]:
    return [(event["name"], event["value"]) for event in world.events if event["kind"] == "metric"]


def test_a_reset_that_fails_has_forgotten_the_old_install_and_not_become_another(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    loop.parts.reporter.metric("startup_ms", 1, Version("2.0.0"))
    old = loop.identity.install_id
    machine.broken["replace"] = (errno.EIO, "identity.json")

    with pytest.raises(DiskError):
        loop.wishes.reset_identity()

    assert loop.identity.install_id == old
    assert loop.parts.identities.load(world.clock.now(), print).install_id == old
    assert loop.parts.spool.load() == []
    assert dict(world.state(loop).tokens) == {}


def test_no_event_of_a_copied_folder_goes_out_under_the_new_id(
    world: AgentWorld, machine: Faulty
) -> None:
    loop = ready(world)
    wait(world, loop, 61)
    loop.parts.reporter.metric("startup_ms", 1, Version("2.0.0"))
    loop.parts.spool.seal()
    machine.id = "another"
    machine.broken["replace"] = (errno.EIO, "state.json")  # stopped before the new ID is stored
    world.loop().begin()
    machine.broken.clear()

    copy = world.loop()
    copy.begin()
    wait(world, copy, 121)

    assert copy.identity.install_id != loop.identity.install_id
    assert len({check_in["install_id"] for check_in in world.check_ins}) == 2
    assert reported(world) == []


def test_what_an_app_reports_before_its_first_id_is_kept(world: AgentWorld) -> None:
    loop = world.loop()
    world.put_in("2.0.0")
    world.roll_out()
    world.say("stay", None, "up_to_date")
    loop.parts.reporter.metric("startup_ms", 1, Version("2.0.0"))

    loop.begin()
    wait(world, loop, 61)

    assert reported(world) == [("startup_ms", 1)]


# --- a version that is no longer whole ---------------------------------------------------


def lose_a_file(loop: Loop) -> None:
    current = loop.parts.installation.current()
    assert current is not None
    folder = loop.parts.installation.path_of(current)
    (folder / "app").unlink()


def test_a_version_that_lost_a_file_is_made_anew_beside_what_is_left(world: AgentWorld) -> None:
    loop = begun(world)
    world.roll_out(an_entry("2.0.0"))
    world.say("update", "2.0.0", "in_ring")
    left = loop.parts.installation.current()
    lose_a_file(loop)

    wait(world, loop, 61)

    pending = world.state(loop).pending
    assert pending is not None
    assert left is not None
    assert pending.installed.version == left.version
    assert pending.installed.directory != left.directory
    assert world.check_ins[0]["version"] is None
    assert world.check_ins[0]["self_selected"]
    damaged = [event for event in world.events if event.get("error", {}).get("code") == "damaged"]
    assert [event["phase"] for event in damaged] == ["failed"]

    loop.parts.installation.state.confirm(world.clock.now())
    again = world.loop(version=None)
    again.begin()
    wait(world, again, 61)
    assert world.check_ins[-1]["version"] == "2.0.0"


def test_what_was_made_anew_and_is_damaged_again_is_told_and_left(world: AgentWorld) -> None:
    loop = begun(world)
    world.roll_out(an_entry("2.0.0"))
    world.say("update", "2.0.0", "in_ring")
    lose_a_file(loop)
    wait(world, loop, 61)
    loop.parts.installation.state.confirm(world.clock.now())
    again = world.loop(version=None)
    again.begin()
    lose_a_file(again)

    wait(world, again, 61)

    assert world.check_ins[-1]["version"] == "2.0.0"
    assert world.state(again).pending is None
    assert codes(world).count("damaged") == 2


def test_a_whole_version_is_looked_at_once_a_day(world: AgentWorld) -> None:
    loop = begun(world)
    world.roll_out(an_entry("2.0.0"))
    wait(world, loop, 61)
    lose_a_file(loop)

    wait(world, loop, 12 * 3_600)
    assert {body["version"] for body in world.check_ins} == {"2.0.0"}
    world.clock.advance(12 * 3_600)
    wait(world, loop, 120)
    assert world.check_ins[-1]["version"] is None


def test_what_was_pulled_is_not_made_anew(world: AgentWorld) -> None:
    loop = begun(world)
    world.roll_out(an_entry("2.0.0", state="pulled"))
    lose_a_file(loop)

    wait(world, loop, 61)

    assert world.state(loop).pending is None
