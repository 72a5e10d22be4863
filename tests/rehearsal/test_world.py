"""Virtual rollouts under the real judge."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from rollout.model import Step
from tests.rehearsal_world import A_DAY, STEPS, a_fleet, a_plan, rehearsed
from update_server.evidence.settings import DAY, HOUR, STANDARD, May
from update_server.evidence.verdicts import Judgement, Verdict
from update_server.rehearsal.harm import BRICKS_EVERYBODY, NOTHING_WRONG, Harm
from update_server.rehearsal.outcome import Ending
from update_server.rehearsal.world import Limits, _World


@pytest.mark.no_cover
def test_a_sound_release_reaches_everybody() -> None:
    outcome = rehearsed(NOTHING_WRONG, fleet=a_fleet(installs=4_000))

    assert outcome.ending is Ending.COMPLETED
    assert [m.verdict for m in outcome.moments] == ["promote"] * 3
    assert [p.ring for p in outcome.passages] == ["internal", "10%", "all", "all"]
    assert 0.48 * 4_000 < outcome.exposed < 0.52 * 4_000


def test_a_release_that_crashes_five_times_as_often_is_stopped_in_its_first_ring() -> None:
    outcome = rehearsed(Harm(crash_ratio=5), fleet=a_fleet(installs=4_000))

    assert outcome.ending in {Ending.PAUSED, Ending.PULLED}
    assert [m.verdict for m in outcome.moments][:2] == ["promote", "pause"]
    assert outcome.moments[1].cause in {"crash", "crash_loop", "crashed"}
    assert outcome.exposed < 450


def test_a_release_that_bricks_everybody_is_pulled_without_any_report_from_the_dead() -> None:
    outcome = rehearsed(BRICKS_EVERYBODY)

    assert outcome.ending is Ending.PULLED
    assert (outcome.crashed, outcome.bricked) == (0, outcome.exposed)
    assert outcome.moments[-1].cause in {"silence", "healthy_launch"}


@pytest.mark.no_cover
def test_equal_seeds_give_equal_rollouts_to_the_last_bit() -> None:
    harm = Harm(crash_ratio=3)

    first, second = (rehearsed(harm, seed=7, sample_seconds=6 * HOUR) for _ in range(2))

    assert first == second
    assert first != rehearsed(harm, seed=8, sample_seconds=6 * HOUR)


def test_a_pause_is_watched_for_as_long_as_told() -> None:
    automatic = frozenset({May.PAUSE, May.PROMOTE})

    outcome = rehearsed(BRICKS_EVERYBODY, plan=a_plan(automatic=automatic), watch_seconds=6 * HOUR)

    assert outcome.ending is Ending.PAUSED
    assert outcome.hours == pytest.approx(outcome.moments[-1].hours + 6, abs=0.1)
    assert outcome.stopped_after() == outcome.moments[-1].hours


@pytest.mark.no_cover
def test_a_judge_that_may_do_nothing_only_says_what_it_would() -> None:
    outcome = rehearsed(
        BRICKS_EVERYBODY, plan=a_plan(automatic=frozenset()), horizon_seconds=3 * DAY
    )

    assert "pause" in [m.verdict for m in outcome.moments]
    assert outcome.ending is not Ending.PAUSED


def test_a_platform_that_alone_is_harmed_is_held_where_that_is_allowed() -> None:
    may = frozenset({May.PAUSE, May.HOLD, May.PROMOTE})
    fleet = a_fleet(platforms=(("linux-x86_64", 0.5), ("windows-x86_64", 0.5)), installs=3_000)

    outcome = rehearsed(
        Harm(crash_ratio=8, platform="windows-x86_64"),
        plan=a_plan(automatic=may, steps=STEPS[1:]),
        fleet=fleet,
        horizon_seconds=3 * DAY,
    )

    assert "hold" in [m.verdict for m in outcome.moments]
    assert not {"pause", "pull"} & {m.verdict for m in outcome.moments}


def test_a_fleet_that_is_too_small_for_its_first_ring_ends_with_a_question() -> None:
    steps = (Step(ring="1%", exposure_bp=100, soak_seconds=A_DAY), *STEPS[1:])

    outcome = rehearsed(
        NOTHING_WRONG, plan=a_plan(steps=steps), fleet=a_fleet(installs=300, internal=0),
        horizon_seconds=4 * DAY,
    )  # fmt: skip

    assert outcome.ending is Ending.WAITING
    assert outcome.hours == 4 * 24
    assert outcome.opened_after(1) is None


def test_evidence_that_does_not_come_in_time_ends_the_rehearsal() -> None:
    outcome = rehearsed(
        NOTHING_WRONG,
        plan=a_plan(steps=STEPS[1:], timeout_seconds=1.5 * DAY),
        fleet=a_fleet(crash_a_day=0.002),
    )

    assert outcome.ending is Ending.WAITING
    assert 36 <= outcome.hours < 37
    assert any("a person must decide" in wait for wait in outcome.waits_for)


def test_people_agree_at_once() -> None:
    steps = (STEPS[1], replace(STEPS[2], approvals=2), STEPS[3])

    outcome = rehearsed(NOTHING_WRONG, plan=a_plan(steps=steps), seed=4)

    assert outcome.ending is Ending.COMPLETED
    assert outcome.opened_after(1) is not None


def test_a_ladder_that_ends_with_a_comparison_is_complete_when_its_gate_is_passed() -> None:
    outcome = rehearsed(NOTHING_WRONG, plan=a_plan(steps=STEPS[1:3]), seed=4)

    assert outcome.ending is Ending.COMPLETED
    assert outcome.passages[-1].position == 1


@pytest.mark.no_cover
def test_nothing_wrong_is_hardly_ever_stopped() -> None:
    steps = (STEPS[2],)

    stopped = sum(
        rehearsed(
            NOTHING_WRONG, seed=seed, plan=a_plan(steps=steps), fleet=a_fleet(installs=300),
            horizon_seconds=3 * DAY,
        ).stopped_after() is not None
        for seed in range(10)
    )  # fmt: skip

    # At 1 % a rollout, two of ten happen in less than 1 of 200 suites.
    assert stopped <= 1


def test_a_suspension_ends_the_rehearsal() -> None:
    world = _World(a_plan(), a_fleet(installs=50), NOTHING_WRONG, random.Random(1), Limits())

    world._obey(Judgement(verdict=Verdict.SUSPEND, carry_out=True))

    assert world.run().ending is Ending.SUSPENDED


def test_installs_that_hardly_ever_come_are_rehearsed_too() -> None:
    fleet = a_fleet(installs=300, internal=0, median_gap_seconds=8 * DAY)

    outcome = rehearsed(
        NOTHING_WRONG, plan=a_plan(steps=STEPS[1:]), fleet=fleet, horizon_seconds=5 * DAY
    )

    assert outcome.exposed < 0.1 * 300
    assert outcome.stopped_after() is None


def test_samples_are_taken_as_often_as_told() -> None:
    outcome = rehearsed(Harm(crash_ratio=5), sample_seconds=6 * HOUR, horizon_seconds=2 * DAY)

    assert [round(s.hours) for s in outcome.samples] == list(range(6, round(outcome.hours) + 1, 6))
    assert "crash" in outcome.samples[-1].log_e
    assert outcome.samples[-1].exposed == outcome.exposed


def test_a_release_that_crashes_less_crashes_less() -> None:
    plan = a_plan(steps=STEPS[2:])

    better, same = (
        rehearsed(Harm(crash_ratio=ratio), plan=plan, horizon_seconds=3 * DAY).crashed
        for ratio in (0.2, 1.0)
    )

    assert better < 0.5 * same


def test_the_published_settings_are_rehearsed_as_they_are() -> None:
    plan = a_plan(gates=STANDARD.gates)

    assert rehearsed(NOTHING_WRONG, plan=plan, horizon_seconds=DAY).ticks >= 24 * 6 - 1


@pytest.mark.parametrize(("ratio", "share"), [(-1.0, 0.0), (1.0, 1.5), (1.0, -0.1)])
def test_a_harm_that_cannot_be_is_refused(ratio: float, share: float) -> None:
    with pytest.raises(ValueError, match="no release"):
        Harm(crash_ratio=ratio, bricked_share=share)
