from __future__ import annotations

from types import MappingProxyType

import pytest

from tests.judge_world import NAMES, a_bad_world, a_terrible_world, a_world
from update_server.evidence.findings import Finding
from update_server.evidence.records import describe
from update_server.evidence.settings import HOUR, May, Metric
from update_server.evidence.srm import add_entrants
from update_server.evidence.state import OneArm
from update_server.evidence.verdicts import Verdict

# --- guards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "failed", "known"),
    [
        ("crashed", 9, 12),
        ("unhealthy", 6, 10),
        ("crash_loop", 4, 8),
        ("silent", 20, 22),
        ("download", 4, 8),
        ("verify", 3, 6),
        ("apply", 3, 6),
    ],
)
def test_a_stop_line_pauses_a_ring_of_groups(name: str, failed: int, known: int) -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=known, ring="internal")
    world.state.stage.guards[name] = OneArm(failed=failed, known=known)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == name
    assert judgement.carry_out
    assert f"{failed} of {known} installs" in judgement.record["sentence"]


def test_a_share_at_its_ceiling_is_quiet() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=1_000)
    world.state.stage.guards["crashed"] = OneArm(failed=100, known=1_000)

    assert world.judge().verdict is not Verdict.PAUSE


def test_a_few_failures_above_a_ceiling_are_not_enough() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=10)
    world.state.stage.guards["crashed"] = OneArm(failed=2, known=10)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE


@pytest.mark.parametrize(("failed", "verdict"), [(2, "promote"), (3, "pause")])
def test_failed_starts_are_counted_plainly(failed: int, verdict: str) -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=10)
    world.state.stage.guards["crashed"] = OneArm(failed=0, known=10)
    world.state.stage.failed_starts = failed

    judgement = world.judge()

    assert judgement.verdict == verdict


def test_the_record_of_a_plain_count_says_that_it_has_no_false_alarm_rate() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=10)
    world.state.stage.failed_starts = 4

    record = world.judge().record

    assert record["cause_metric"] == "failed_starts"
    assert "no stated false-alarm rate" in record["false_alarm_statement"]
    assert record["tamper_margin"] == 2


def test_a_stop_line_never_pulls() -> None:
    world = a_world()
    world.state.stage.guards["crashed"] = OneArm(failed=900, known=1_000)

    assert world.judge().verdict is Verdict.PAUSE


@pytest.mark.parametrize(
    ("controls", "pauses"),
    [
        (OneArm(failed=120, known=1_000), False),  # they are switched off as often
        (OneArm(failed=20, known=1_000), True),
        (OneArm(failed=19, known=19), True),  # too few to say so
    ],
)
def test_a_stop_line_is_above_what_the_installs_held_back_show(
    controls: OneArm, *, pauses: bool
) -> None:
    world = a_world()
    world.state.stage.guards["unhealthy"] = OneArm(failed=48, known=400)
    world.state.stage.guards["control:unhealthy"] = controls

    assert (world.judge().verdict is Verdict.PAUSE) is pauses


def test_where_all_controls_fail_there_is_no_line() -> None:
    world = a_world()
    world.state.stage.guards["silent"] = OneArm(failed=400, known=400)
    world.state.stage.guards["control:silent"] = OneArm(failed=400, known=400)

    assert world.judge().verdict is not Verdict.PAUSE


def test_a_stop_line_does_not_pause_twice() -> None:
    world = a_world()
    world.state.stage.guards["crashed"] = OneArm(failed=900, known=1_000)
    world.judge()
    world.state.paused = True

    assert not world.judge(2).record


def test_a_metric_is_told_before_a_stop_line() -> None:
    world = a_bad_world()
    world.state.stage.guards["crashed"] = OneArm(failed=900, known=1_000)

    assert world.judge().cause == Metric.CRASH


# --- the funnel -----------------------------------------------------------------------------


def test_failed_steps_pause_by_their_part_of_the_weight() -> None:
    world = a_world()
    world.state.funnel["verify"] = OneArm(failed=6, known=20)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == "funnel:verify"
    told = judgement.record["log_e_by_metric"]["funnel:verify"]
    assert told["weight"] == pytest.approx(0.05 / 3)
    assert judgement.record["sentence"].startswith(
        "Paused 4.2.0 at ring 10 %: 6 of 20 installs failed to verify it, above the ceiling of "
        "0.5 % (e-value"
    )


def test_two_forged_failures_do_not_pause_a_small_ring() -> None:
    world = a_world()
    world.state.funnel["verify"] = OneArm(failed=4, known=20)
    assert world.judge().verdict is not Verdict.PAUSE

    world.set(budget=0)

    assert world.judge().verdict is Verdict.PAUSE


@pytest.mark.parametrize(("failed", "pauses"), [(5, False), (7, True)])
def test_two_forged_outcomes_do_not_reach_a_stop_line(failed: int, *, pauses: bool) -> None:
    world = a_world()
    world.state.stage.guards["unhealthy"] = OneArm(failed=failed, known=failed)

    assert (world.judge().verdict is Verdict.PAUSE) is pauses


def test_the_funnel_can_be_off() -> None:
    world = a_world()
    world.set(weights=MappingProxyType({}))
    world.state.funnel["verify"] = OneArm(failed=20, known=20)

    assert world.judge().verdict is not Verdict.PAUSE


def test_steps_below_their_ceiling_are_shown() -> None:
    world = a_bad_world()
    world.state.funnel["download"] = OneArm(failed=0, known=500)

    record = world.judge().record

    assert record["log_e_by_metric"]["funnel:download"]["log_e"] < 0
    assert not record["guards"][0]["reached"]


# --- suspension -----------------------------------------------------------------------------


def test_entrants_that_do_not_fall_as_they_should_suspend() -> None:
    world = a_terrible_world()
    add_entrants(world.state.stage.srm, candidates=2_000, controls=36_000, share=0.1)

    judgement = world.judge()

    assert judgement.verdict is Verdict.SUSPEND
    assert judgement.carry_out
    assert world.state.suspended
    assert judgement.record["srm_log_e"] > 6.9
    assert judgement.record["sentence"].startswith(
        "Stopped judging 4.2.0: 3,900 of 39,000 entrants are candidates where 3,900 were due"
    )


def test_a_suspension_lasts_and_is_decided_once() -> None:
    world = a_world()
    world.state.suspended = True

    judgement = world.judge()

    assert judgement.verdict is Verdict.SUSPEND
    assert not judgement.record
    assert not judgement.carry_out


def test_harm_pauses_while_suspended_and_never_pulls() -> None:
    world = a_terrible_world()
    world.state.suspended = True

    assert world.judge().verdict is Verdict.PAUSE


def test_a_few_forged_reports_do_not_pause_while_suspended_either() -> None:
    world = a_world()
    world.events_of(3, 0)
    world.state.suspended = True

    assert world.judge().verdict is Verdict.SUSPEND


def test_a_stop_line_pauses_while_suspended() -> None:
    world = a_world()
    world.state.suspended = True
    world.state.stage.guards["crashed"] = OneArm(failed=900, known=1_000)

    assert world.judge().verdict is Verdict.PAUSE


def test_a_paused_and_suspended_rollout_is_left_alone() -> None:
    world = a_terrible_world()
    world.state.suspended = world.state.paused = True
    world.state.stage.guards["crashed"] = OneArm(failed=900, known=1_000)

    judgement = world.judge()

    assert judgement.verdict is Verdict.SUSPEND
    assert not judgement.record


def test_entrants_as_they_should_fall_do_not_suspend() -> None:
    world = a_world()
    add_entrants(world.state.stage.srm, candidates=3_900, controls=35_100, share=0.1)

    assert world.judge().verdict is not Verdict.SUSPEND


def test_an_unlikely_but_possible_fall_does_not_suspend() -> None:
    world = a_world()
    # The largest term alone reaches the limit, but not the weighted mean.
    world.state.stage.srm[0] = 7.0

    assert world.judge().verdict is not Verdict.SUSPEND


def test_time_in_suspension_is_not_watched_time() -> None:
    world = a_world()
    world.events_of(0, 1)
    world.judge()
    world.state.suspended = True
    world.judge(HOUR)
    world.state.suspended = False
    world.judge(HOUR)

    assert world.state.stage.soaked_seconds == 0


def test_a_server_that_may_do_nothing_still_suspends() -> None:
    world = a_world()
    world.set(automatic=frozenset[May]())
    world.state.stage.srm[0] = 70.0

    assert world.judge().carry_out


# --- old news -------------------------------------------------------------------------------


def test_old_news_suspends_until_it_is_new_again() -> None:
    world = a_world(soak_seconds=HOUR)
    world.passes_the_gate()
    world.judge()
    world.state.lag_seconds = 61.0

    judgement = world.judge(2 * HOUR)

    assert judgement.verdict is Verdict.SUSPEND
    assert not judgement.record  # told as what is said of the rollout, not as a decision
    assert [wait.code for wait in judgement.waits_for] == ["telemetry_lag"]
    assert not world.state.suspended
    world.state.lag_seconds = 0.0
    again = world.judge(60)
    assert again.verdict is Verdict.CONTINUE
    assert [wait.code for wait in again.waits_for] == ["soak"]  # it does not count as watched


def test_old_news_pauses_and_never_pulls() -> None:
    world = a_terrible_world()
    world.state.lag_seconds = 61.0

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.record["suspended_by"] is None


def test_old_news_does_not_pull_what_is_paused() -> None:
    world = a_terrible_world()
    world.state.paused = True
    world.state.lag_seconds = 61.0

    judgement = world.judge()

    assert not judgement.record
    assert [wait.code for wait in judgement.waits_for] == ["paused"]


def test_what_suspended_the_judge_is_on_record() -> None:
    world = a_world()
    add_entrants(world.state.stage.srm, candidates=200, controls=400, share=0.1)
    mismatched = world.judge().record
    world.state.suspended, world.state.lag_seconds = False, 312.0
    late = Finding(verdict=Verdict.SUSPEND)
    told = describe(world.state, world.log, world.settings, world.now, late, NAMES)

    assert mismatched["suspended_by"] == "sample_ratio"
    assert told["suspended_by"] == "telemetry_lag"
    assert told["sentence"] == (
        "Stopped judging 4.2.0: what installs sent is taken in 312 s late. Old news is not good "
        "news, so nothing is promoted or pulled by it."
    )
