"""What a verb would need is what it then needs."""

from __future__ import annotations

import pytest

from rollout.model import Actor, Rollout
from tests.admin_world import APP, World
from update_server.service.errors import ApprovalsMissingError, NeverAllowedError, PendingError
from update_server.service.rollouts.needs import ONE_PERSON, Needs


def needs(world: World, rollout: Rollout) -> dict[str, Needs]:
    return dict(world.services().report.detail(APP, rollout.id).needs)


def pause(world: World, rollout: Rollout, by: Actor = Actor.PERSON) -> None:
    world.services().control.pause(world.caller(), APP, rollout.id, by=by)


def test_each_legal_verb_is_told_of(released: World) -> None:
    rollout = released.start("2.1.0")

    found = needs(released, rollout)

    assert set(found) == {"promote", "pause", "pull"}
    assert found["pause"] == found["pull"] == ONE_PERSON


def test_a_promotion_needs_an_override_until_its_ring_has_soaked(released: World) -> None:
    rollout = released.start("2.1.0")

    early = needs(released, rollout)["promote"]
    with pytest.raises(ApprovalsMissingError) as caught:
        released.services().control.promote(released.caller(), APP, rollout.id)
    released.advance(60)
    due = needs(released, rollout)["promote"]

    assert (early.people, early.override) == (1, True)
    assert early.why == tuple(caught.value.why)
    assert (due.people, due.override) == (1, False)
    released.services().control.promote(released.caller(), APP, rollout.id)


def test_a_pause_by_itself_needs_more_people_to_be_ended_than_one_by_a_person(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    pause(released, rollout)
    by_person = needs(released, rollout)["resume"]
    released.services().control.resume(released.caller(), APP, rollout.id)
    pause(released, rollout, Actor.AUTOMATIC)

    automatic = needs(released, rollout)["resume"]

    assert by_person.people == 1
    assert automatic.people == 2
    with pytest.raises(PendingError) as caught:
        released.services().control.resume(released.caller(), APP, rollout.id)
    assert caught.value.pending.needs == 2


def test_what_nobody_may_do_needs_nobody(released: World) -> None:
    rollout = released.start("2.1.0")
    pause(released, rollout)
    released.change_policy(revoked=["2.1.0"])

    found = needs(released, rollout)["resume"]

    assert found.people is None
    with pytest.raises(NeverAllowedError) as caught:
        released.services().control.resume(released.caller(), APP, rollout.id)
    assert found.why == tuple(caught.value.why)
