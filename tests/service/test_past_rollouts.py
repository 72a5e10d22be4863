from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.model import Automatic, RolloutState
from tests.admin_world import APP, STABLE, World
from tests.service.clinic import FLEET, HALF, OPEN, Clinic, a_clinic, sicken
from update_server.evidence.settings import May
from update_server.service.studies.decisions import DecisionLog
from update_server.service.studies.past_rollouts import PastRollout, Would

PAUSES = replace(OPEN, automatic=frozenset({May.PAUSE}))


def past(world: World, limit: int = 10) -> list[PastRollout]:
    return list(DecisionLog(world.database).past(APP, STABLE, limit))


@pytest.fixture
def paused(released: World) -> Clinic:
    clinic = a_clinic(released, terms=PAUSES)
    sicken(clinic)
    clinic.round()
    return clinic


def test_a_rollout_that_paused_on_this_ladder_would_pause_again(paused: Clinic) -> None:
    newest, completed = past(paused.world)

    assert newest.stopped is not None
    assert (newest.stopped.verdict, newest.stopped.record["ring"]) == ("pause", "half")
    assert (newest.same_ladder, newest.would) == (True, Would.PAUSED)
    assert completed.rollout.state is RolloutState.COMPLETED
    assert (completed.stopped, completed.would) == (None, Would.UNKNOWN)


def test_where_the_policy_leaves_pausing_to_people_they_would_be_told(paused: Clinic) -> None:
    paused.world.change_policy(ramp=HALF, automatic=Automatic(pause=False))

    assert past(paused.world)[0].would is Would.TOLD


def test_of_another_ladder_nobody_knows(paused: Clinic) -> None:
    paused.world.change_policy(ramp=(*HALF[:1], replace(HALF[1], exposure_bp=9_000)))

    newest = past(paused.world)[0]

    assert (newest.same_ladder, newest.would) == (False, Would.UNKNOWN)
    assert newest.stopped is not None
    assert "another ladder" in newest.why


def test_what_nothing_spoke_against_is_said_to_be_so_far(released: World) -> None:
    clinic = a_clinic(released, terms=PAUSES)
    clinic.check_in(FLEET)
    clinic.world.advance(700)
    clinic.round()

    newest = past(clinic.world)[0]

    assert newest.would is Would.NOT_STOPPED
    assert newest.why.startswith("so far")


def test_a_pull_is_told_as_one(released: World) -> None:
    clinic = a_clinic(released)
    sicken(clinic)
    clinic.round()

    assert past(clinic.world)[0].would is Would.PULLED


def test_no_more_than_were_asked_for_are_told(paused: Clinic) -> None:
    assert [each.rollout.id for each in past(paused.world, 1)] == [paused.rollout.id]
