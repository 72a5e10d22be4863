"""The power table, gates out of reach, costs, and the whole of it as a document."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from rollout.model import Step
from tests.builders import LADDER
from tests.rehearsal_world import A_DAY, STEPS, a_fleet, a_plan
from update_server.evidence.settings import STANDARD, Gate
from update_server.rehearsal.advice import out_of_reach
from update_server.rehearsal.cost import costs, harms
from update_server.rehearsal.course import expected
from update_server.rehearsal.document import render_rehearsal
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import NOTHING_WRONG
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.power import power_table
from update_server.rehearsal.whole import Rehearsal, rehearse

STANDARD_PLAN = Plan(steps=LADDER, settings=STANDARD)
SLOW = a_fleet(installs=2_000, crash_a_day=0.01)


def test_wider_rings_find_smaller_harms() -> None:
    rows = power_table(STANDARD_PLAN, Fleet(installs=50_000))

    one, ten, half, _ = (row.in_soak for row in rows)
    assert [row.ring for row in rows] == ["1%", "10%", "all", "all"]
    assert one.crash_ratio is not None
    assert ten.crash_ratio is not None
    assert half.crash_ratio is not None
    assert one.crash_ratio > ten.crash_ratio > half.crash_ratio > 1
    assert half.exposed > ten.exposed > half.crashed


def test_silence_takes_longer_than_a_day() -> None:
    row = power_table(STANDARD_PLAN, Fleet(installs=50_000))[1]

    assert row.in_a_day.bricked_share is None
    assert row.in_soak.bricked_share is not None
    assert 0 < row.in_soak.bricked_share < 0.05


def test_a_ring_of_a_few_finds_nothing() -> None:
    fleet = a_fleet(installs=120, internal=0, crash_a_day=0.0)
    steps = (Step(ring="1%", exposure_bp=100, soak_seconds=3 * A_DAY),)

    row = power_table(a_plan(steps=steps), fleet)[0]

    assert (row.in_soak.crash_ratio, row.in_soak.bricked_share) == (None, None)
    assert row.in_soak.crashed == 0


def test_a_step_without_soak_finds_nothing_in_it() -> None:
    steps = (Step(ring="half", exposure_bp=5_000),)

    row = power_table(a_plan(steps=steps), a_fleet())[0]

    assert (row.in_soak.candidates, row.in_soak.crash_ratio, row.in_soak.exposed) == (0, None, 0)


def test_two_candidates_find_no_ratio_however_large() -> None:
    steps = (Step(ring="1%", exposure_bp=100, soak_seconds=3 * A_DAY),)

    row = power_table(a_plan(steps=steps), a_fleet(installs=250, internal=0))[0]

    assert row.in_soak.candidates == pytest.approx(2.25, abs=0.05)
    assert row.in_soak.crash_ratio is None


def test_metrics_without_weight_find_nothing() -> None:
    settings = replace(STANDARD, weights={"healthy_launch": 0.5})

    row = power_table(Plan(steps=LADDER, settings=settings), Fleet(installs=50_000))[1]

    assert (row.in_soak.crash_ratio, row.in_soak.bricked_share) == (None, None)


def test_a_gate_out_of_reach_comes_with_the_changes_that_would_help() -> None:
    fleet = Fleet(installs=20_000)

    found = out_of_reach(STANDARD_PLAN, fleet, expected(STANDARD_PLAN, fleet, NOTHING_WRONG))

    assert [(each.position, each.metric) for each in found] == [(4, "crash")]
    assert "margin = 1.5" in found[0].changes
    assert any("holdback_bp" in change for change in found[0].changes)


def test_a_change_that_is_said_to_help_helps() -> None:
    fleet, steps = a_fleet(crash_a_day=0.004), STEPS[1:]
    plan = a_plan(steps=steps)
    (found,) = out_of_reach(plan, fleet, expected(plan, fleet, NOTHING_WRONG))

    wider = next(change for change in found.changes if change.startswith("exposure_bp"))
    exposure_bp = int(wider.removeprefix("exposure_bp = "))
    changed = replace(plan, steps=(replace(steps[0], exposure_bp=exposure_bp), *steps[1:]))

    assert expected(changed, fleet, NOTHING_WRONG).legs[0].is_in_reach


def test_where_no_single_change_would_do_several_are_named() -> None:
    fleet = Fleet(installs=2_000)

    (found,) = out_of_reach(STANDARD_PLAN, fleet, expected(STANDARD_PLAN, fleet, NOTHING_WRONG))

    assert found.metric == "minimum_installs"
    (change,) = found.changes
    assert "exposure_bp" in change
    assert "timeout" in change


def test_some_fleets_are_too_small_for_any_ladder() -> None:
    fleet = Fleet(installs=15, internal=0)

    (found,) = out_of_reach(STANDARD_PLAN, fleet, expected(STANDARD_PLAN, fleet, NOTHING_WRONG))

    assert (found.chance, found.changes) == (0.0, ())


def test_more_time_helps_where_evidence_only_comes_slowly() -> None:
    plan, fleet = a_plan(steps=STEPS[1:], timeout_seconds=1.5 * A_DAY), SLOW

    found = out_of_reach(plan, fleet, expected(plan, fleet, NOTHING_WRONG))

    assert [change for change in found[0].changes if change.startswith("timeout = ")]


def test_a_larger_holdback_does_not_help_everybody() -> None:
    steps = (Step(ring="all", exposure_bp=9_800, holdback_bp=200, soak_seconds=A_DAY),)
    plan, fleet = a_plan(steps=steps), a_fleet(installs=100, internal=0)

    (found,) = out_of_reach(plan, fleet, expected(plan, fleet, NOTHING_WRONG))

    assert not any("holdback_bp" in change for change in found.changes)


def test_ladders_that_all_pass_have_nothing_out_of_reach() -> None:
    plan, fleet = STANDARD_PLAN, Fleet(installs=100_000)

    assert out_of_reach(plan, fleet, expected(plan, fleet, NOTHING_WRONG)) == ()


def test_costs_are_those_of_the_usual_harms_and_of_those_asked_for() -> None:
    found = costs(a_plan(), a_fleet(installs=5_000), harms([3.0, 2.0]))

    assert [each.harm.crash_ratio for each in found] == [1, 1.5, 2, 3, 5, 1]
    assert found[-1].harm.bricked_share == 1
    assert found[4].course.exposed < found[0].course.exposed


@pytest.fixture(scope="module")
def rehearsal() -> Rehearsal:
    plan = a_plan(steps=STEPS[1:], gates=(Gate(up_to_bp=10_000, margin=3.0, silence=0.1),))
    return rehearse(
        plan,
        a_fleet(installs=1_500),
        lambda name: random.Random(f"5/{name}"),
        runs=1,
        trial_installs=300,
        ratios=(20.0,),
    )


@pytest.mark.no_cover
def test_a_rehearsal_is_one_document(rehearsal: Rehearsal) -> None:
    document = json.loads(json.dumps(render_rehearsal(rehearsal, 5), allow_nan=False))

    assert document["seed"] == 5
    assert [each["crash_ratio"] for each in document["cost"]] == [1, 1.5, 2, 5, 20, 1]
    assert len(document["trials"]) == 6
    assert document["story"]["crash_ratio"] == 20
    assert document["story"]["ending"] == "pulled"
    assert document["story"]["moments"][-1]["verdict"] == "pull"
    assert document["fleet"]["installs"] == 1_500


def test_without_runs_there_are_formulas_only() -> None:
    found = rehearse(a_plan(), a_fleet(), random.Random, runs=0)

    assert (found.trials, found.story) == ((), None)
    assert render_rehearsal(found, 1)["story"] is None


def test_a_ring_of_groups_has_no_gate() -> None:
    with pytest.raises(ValueError, match="no gate"):
        a_plan().gate(0)
