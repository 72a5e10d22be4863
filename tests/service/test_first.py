"""A release that is offered first to the installs on a bad one, with the real signer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.first import FIRST_RING, first_name, is_first
from rollout.model import Approvals, Entry, Rollout, RolloutState, Step
from tests.admin_world import APP, STABLE, World, a_registered_world
from update_server.service.access.caller import Caller
from update_server.service.errors import (
    BadValueError,
    NeverAllowedError,
    PendingError,
)
from update_server.service.repository.rebuild import rollout_from

BAD = Version("2.1.0")
FIX = Version("2.2.0")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a server on which 2.1.0, which has no way back, is paused and 2.2.0 mends it."""
    return paused(a_registered_world(tmp_path / "signer"))


def paused(world: World) -> World:
    world.publish("2.1.0")
    world.publish("2.2.0")
    bad = world.start("2.1.0")
    world.services().control.pause(world.caller(), APP, bad.id, reason="crashes")
    return world


def start(world: World, *, bad: Version = BAD, reason: str = "crashes") -> Rollout:
    return world.services().control.start(
        world.caller(), APP, STABLE, FIX, first_for=bad, reason=reason
    )


def pull_bad(world: World) -> None:
    (bad,) = [view.rollout for view in world.services().report.rollouts(APP)]
    pulled = world.services().control.pull(world.caller(), APP, bad.id, reason="bad")
    assert pulled.replacement is None


def entries(world: World) -> tuple[Entry, ...]:
    with world.database.reading() as stores:
        for stored in stores.releases.documents(APP):
            if stored.kind == "rollout":
                return parse_rollout(stored.document).entries
    raise AssertionError("no document")


def test_installs_on_the_bad_version_have_an_entry_of_their_own(world: World) -> None:
    fix = start(world)

    first, ordinary = entries(world)[:2]
    assert (first.rollout, first.from_versions) == (first_name(fix.id), frozenset({BAD}))
    assert [ring.name for ring in first.rings] == [FIRST_RING]
    assert (ordinary.rollout, ordinary.from_versions) == (fix.id, frozenset())
    assert fix.first_for == BAD


def test_it_may_be_for_a_release_that_was_pulled_without_a_replacement(world: World) -> None:
    pull_bad(world)

    assert start(world).first_for == BAD


def test_it_is_an_override_and_needs_a_reason(world: World) -> None:
    with pytest.raises(BadValueError) as raised:
        start(world, reason="  ")

    assert raised.value.field == "reason"


@pytest.mark.parametrize("version", ["2.0.0", "2.2.0", "9.9.9"])
def test_it_is_for_a_release_that_hurts_alone(world: World, version: str) -> None:
    with pytest.raises(BadValueError) as raised:
        start(world, bad=Version(version))

    assert raised.value.field == "first_for"


def test_what_mends_is_newer(world: World) -> None:
    world.publish("2.0.5")
    pull_bad(world)

    with pytest.raises(BadValueError) as raised:
        world.services().control.start(
            world.caller(), APP, STABLE, Version("2.0.5"), first_for=BAD, reason="crashes"
        )

    assert raised.value.field == "first_for"


def test_it_needs_as_many_people_as_what_leaves_the_ramp(tmp_path: Path) -> None:
    world = paused(a_registered_world(tmp_path / "signer", approvals=Approvals(outside_ramp=2)))

    control = world.services().control

    def start(who: Caller, bad: Version | None = BAD) -> Rollout:
        return control.start(who, APP, STABLE, FIX, first_for=bad, reason="crashes")

    with pytest.raises(PendingError) as waits:
        start(world.person("ann"))
    assert not any(is_first(entry) for entry in entries(world))
    fix = start(world.person("ben"))

    assert (fix.id, fix.first_for) == (waits.value.pending.rollout, BAD)
    assert [is_first(entry) for entry in entries(world)[:2]] == [True, False]


def test_who_wants_the_ordinary_start_has_not_approved_it(tmp_path: Path) -> None:
    ramp = (Step(ring="1%", exposure_bp=100, approvals=2), Step(ring="all", exposure_bp=10_000))
    world = a_registered_world(tmp_path / "signer", ramp=ramp, approvals=Approvals(outside_ramp=2))
    world.publish("2.1.0")
    world.publish("2.2.0")
    control = world.services().control
    with pytest.raises(PendingError):
        control.start(world.person("ann"), APP, STABLE, BAD, reason="first")
    bad = control.start(world.person("ben"), APP, STABLE, BAD, reason="first")
    control.pause(world.caller(), APP, bad.id, reason="crashes")
    with pytest.raises(PendingError):
        control.start(world.person("ann"), APP, STABLE, FIX, reason="crashes")

    with pytest.raises(PendingError):
        control.start(world.person("ben"), APP, STABLE, FIX, first_for=BAD, reason="crashes")

    assert not any(is_first(entry) for entry in entries(world))


def test_it_stays_below_the_ceiling(tmp_path: Path) -> None:
    world = paused(a_registered_world(tmp_path / "signer", ceiling=((0, 100),)))

    with pytest.raises(NeverAllowedError) as never:
        start(world)

    assert any("above the ceiling of 1 %" in reason for reason in never.value.why)


def test_a_pause_ends_it_and_a_resume_does_not_bring_it_back(world: World) -> None:
    fix, control = start(world), world.services().control

    control.pause(world.caller(), APP, fix.id, reason="hm")
    assert not any(is_first(entry) for entry in entries(world))
    resumed = control.resume(world.caller(), APP, fix.id, reason="fine")

    assert (resumed.state, resumed.first_for) == (RolloutState.ACTIVE, None)
    assert not any(is_first(entry) for entry in entries(world))


def test_a_promotion_leaves_it_as_it_is(world: World) -> None:
    fix = start(world)
    world.clock.advance(timedelta(seconds=60))

    world.services().control.promote(world.caller(), APP, fix.id, reason="fine")

    assert [is_first(entry) for entry in entries(world)[:2]] == [True, False]


def test_it_is_rebuilt_from_what_is_signed(world: World) -> None:
    fix = start(world)
    with world.database.reading() as stores:
        documents = {each.kind: each.document for each in stores.releases.documents(APP)}
    document = parse_rollout(documents["rollout"])
    policy = world.services().report.policy(APP, STABLE).policy

    rebuilt = rollout_from(document.entries[1], document, policy)

    assert (rebuilt.id, rebuilt.first_for) == (fix.id, BAD)
