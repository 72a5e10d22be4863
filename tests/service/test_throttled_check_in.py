"""A rollout that is offered at a bounded rate, as its installs hear of it."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from packaging.version import Version

from rollout.bucket import bucket_of
from rollout.first import FIRST_RING, first_name
from rollout.model import Action, Arm, InstallId, MustReach, OpenRing, Reason, RolloutState
from tests.public_world import (
    APP,
    LOW_BUCKET,
    NOW,
    SALT,
    V1,
    V2,
    World,
    a_completed_entry,
    a_rollout,
    a_world,
    an_entry,
)
from update_server.evidence.settings import Settings
from update_server.service.studies.memory import begin
from update_server.web.public.app import create_app


def offering(world: World, offers_per_minute: int) -> World:
    """Bound the rate of the rollout of 2.1.0."""
    rollout = a_rollout()
    with world.database.transaction() as stores:
        stores.rollouts.add(rollout)
        begin(stores, rollout, Settings(offers_per_minute=offers_per_minute))
        stores.apps.bump(APP)
    world.refresh()
    return world


@pytest.fixture
def world() -> World:
    """Return a server that offers 2.1.0 to one install a minute."""
    return offering(a_world(), 1)


def low_buckets(count: int) -> list[InstallId]:
    """Return installs in the ring 1%."""
    found: list[InstallId] = []
    number = 0
    while len(found) < count:
        name = InstallId(str(UUID(int=number)))
        if bucket_of(SALT, name) < 100:
            found.append(name)
        number += 1
    return found


def test_an_install_hears_that_the_rate_is_used_up(world: World) -> None:
    first, second = low_buckets(2)
    world.check_in(first)

    told = world.check_in(second).assignment

    assert (told.action, told.reason, told.version) == (Action.STAY, Reason.THROTTLED, None)
    assert (told.rollout, told.bucket) == (a_rollout().id, bucket_of(SALT, second))


def test_an_install_that_had_to_wait_is_offered_it_later(world: World) -> None:
    first, second = low_buckets(2)
    world.check_in(first)
    assert world.check_in(second).assignment.action is Action.STAY

    world.advance(60)
    world.refresh()

    assert world.check_in(second).assignment.version == V2


def test_waiting_does_not_change_the_arm(world: World) -> None:
    first, second = low_buckets(2)
    for install in (first, second):
        world.check_in(install)

    offered, waits = world.contacts
    assert (offered.action, waits.action) == ("update", "stay")
    assert (waits.reason, waits.offered) == ("throttled", None)
    assert waits.arm is Arm.CANDIDATE
    assert (waits.rollout, waits.ring, waits.arm) == (offered.rollout, offered.ring, offered.arm)
    assert waits.bucket == bucket_of(SALT, second)


def test_whoever_has_the_release_already_does_not_wait(world: World) -> None:
    first, second = low_buckets(2)
    world.check_in(first)

    assert world.check_in(second, staged_version=V2).assignment.version == V2
    assert world.check_in(second, staged_version=V1).assignment.reason is Reason.THROTTLED


def test_installs_outside_the_ring_use_nothing_up(world: World) -> None:
    for number in range(50):
        world.check_in(InstallId(str(UUID(int=2**100 + number))), version=V2)

    assert world.check_in(LOW_BUCKET).assignment.version == V2


def test_what_must_be_reached_does_not_wait(world: World) -> None:
    first, second = low_buckets(2)
    world.put_policy(must_reach=(MustReach(version=V2, after=NOW),))
    world.refresh()
    world.check_in(first)

    assert world.check_in(second).assignment.reason is Reason.MUST_REACH


def test_a_way_back_does_not_wait(world: World) -> None:
    bad = Version("2.2.0")
    back = replace(
        a_completed_entry(),
        rollout=None,
        state=RolloutState.ACTIVE,
        rollback=True,
        rings=(),
        from_versions=frozenset({bad}),
    )
    world.put_release(bad, rollback_to=(V1,))
    world.put_rollout(back, an_entry(version=bad, state=RolloutState.PULLED), a_completed_entry())
    world.refresh()

    told = {world.check_in(install, version=bad).assignment.reason for install in low_buckets(3)}

    assert told == {Reason.ROLLED_BACK}


def test_installs_that_are_taken_first_do_not_wait(world: World) -> None:
    bad = Version("2.0.5")
    first = replace(
        an_entry(),
        rollout=first_name(a_rollout().id),
        exposure_bp=10_000,
        rings=(OpenRing(name=FIRST_RING, exposure_bp=10_000),),
        from_versions=frozenset({bad}),
    )
    world.put_release(bad)
    world.put_rollout(first, an_entry(), a_completed_entry())
    world.refresh()

    told = {world.check_in(install, version=bad).assignment.version for install in low_buckets(3)}

    assert told == {V2}


def test_a_rollout_without_a_rate_is_offered_to_all() -> None:
    world = offering(a_world(), 0)

    told = {world.check_in(install).assignment.version for install in low_buckets(30)}

    assert told == {V2}


@pytest.mark.parametrize("fast_path", [True, False])
def test_both_ways_to_ask_know_the_rate(world: World, *, fast_path: bool) -> None:
    client = create_app(world.services, fast_path=fast_path).test_client()
    bodies = [
        json.dumps(
            {
                "install_id": install,
                "version": "2.0.0",
                "channel": "stable",
                "platform": "linux-x86_64",
            }
        )
        for install in low_buckets(2)
    ]

    told = [client.post("/v1/apps/demo/check-in", data=body).get_json() for body in bodies]

    assert [each["assignment"]["reason"] for each in told] == ["in_ring", "throttled"]
