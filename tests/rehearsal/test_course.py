"""What formulas expect of a rollout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.model import Step
from tests.builders import LADDER
from tests.rehearsal_world import STEPS, a_fleet, a_plan, rehearsed
from update_server.evidence.settings import DAY, STANDARD
from update_server.rehearsal.course import expected
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import BRICKS_EVERYBODY, NOTHING_WRONG, Harm
from update_server.rehearsal.outcome import Ending
from update_server.rehearsal.plan import Plan

STANDARD_PLAN = Plan(steps=LADDER, settings=STANDARD)
LARGE = Fleet(installs=100_000)


def test_a_sound_release_is_expected_to_reach_everybody_of_a_large_fleet() -> None:
    course = expected(STANDARD_PLAN, LARGE, NOTHING_WRONG)

    assert [leg.ring for leg in course.legs] == ["internal", "1%", "10%", "all", "all"]
    assert all(leg.is_in_reach for leg in course.legs)
    assert course.completed_hours is not None
    assert 22 < course.completed_hours / 24 < 24
    assert (course.stopped_hours, course.asked_hours) == (None, None)
    assert course.exposed == 100_000


def test_the_worse_a_release_is_the_sooner_it_is_stopped() -> None:
    ten, five = (expected(STANDARD_PLAN, LARGE, Harm(crash_ratio=ratio)) for ratio in (10, 5))

    assert ten.stopped_hours is not None
    assert five.stopped_hours is not None
    assert ten.stopped_hours < five.stopped_hours
    assert (five.stopped_in, five.cause) == ("1%", "crash")
    assert five.completed_hours is None


def test_a_release_that_bricks_everybody_is_stopped_a_day_after_its_first_ring_opened() -> None:
    course = expected(STANDARD_PLAN, LARGE, BRICKS_EVERYBODY)

    assert course.stopped_hours is not None
    assert 48 <= course.stopped_hours <= 52
    assert course.crashed == 0


def test_a_stop_line_stops_where_nothing_is_compared() -> None:
    steps = (replace(STEPS[0], soak_seconds=3 * 86_400), *STEPS[1:])

    course = expected(a_plan(steps=steps), a_fleet(), BRICKS_EVERYBODY)

    assert (course.stopped_in, course.cause) == ("internal", "stop_line:unhealthy")


def test_where_a_gate_stays_closed_a_person_is_asked() -> None:
    course = expected(STANDARD_PLAN, Fleet(installs=2_000), NOTHING_WRONG)

    assert course.legs[-1].lacks == ("minimum_installs",)
    assert course.asked_hours == 24 + 7 * 24


def test_a_ladder_may_go_on_after_a_time_whatever_the_gate() -> None:
    fleet = a_fleet(installs=6_000, crash_a_day=0.0012)
    waits = expected(a_plan(timeout_seconds=2 * DAY), fleet, NOTHING_WRONG)
    goes_on = expected(a_plan(timeout_seconds=2 * DAY, timeout_promotes=True), fleet, NOTHING_WRONG)

    assert waits.completed_hours is None
    assert goes_on.completed_hours is not None


def test_the_floor_stands_in_for_the_margin_where_nobody_crashes() -> None:
    steps = (Step(ring="half", exposure_bp=5_000, soak_seconds=86_400),)
    plan = a_plan(steps=steps)

    large, small = (
        expected(plan, a_fleet(installs=n, crash_a_day=0.0), NOTHING_WRONG) for n in (20_000, 2_000)
    )

    assert large.completed_hours is not None
    assert (small.legs[0].lacks, small.legs[0].chance) == (("crash",), 0.0)


def test_a_metric_without_weight_stops_nothing() -> None:
    weights = {**STANDARD.weights, "crash": 0.0}

    course = expected(
        replace(STANDARD_PLAN, settings=replace(STANDARD, weights=weights)),
        LARGE,
        Harm(crash_ratio=5),
    )

    assert course.cause != "crash"


@pytest.mark.no_cover
def test_formula_and_simulation_agree_where_evidence_comes_fast() -> None:
    plan, fleet = a_plan(), a_fleet(installs=4_000)

    course = expected(plan, fleet, NOTHING_WRONG)
    outcome = rehearsed(NOTHING_WRONG, plan=plan, fleet=fleet)

    assert outcome.ending is Ending.COMPLETED
    assert course.completed_hours == pytest.approx(outcome.hours, rel=0.3)
    assert course.legs[1].opened_hours == pytest.approx(outcome.passages[1].from_hours, abs=2)


def test_a_step_for_everybody_compares_nothing_and_only_soaks() -> None:
    steps = (Step(ring="all", exposure_bp=10_000, soak_seconds=86_400), STEPS[3])

    course = expected(a_plan(steps=steps), a_fleet(), NOTHING_WRONG)

    assert (course.legs[0].hours, course.legs[0].chances) == (24, {})
    assert course.completed_hours == 24
