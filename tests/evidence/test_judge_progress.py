from __future__ import annotations

from typing import Any

import pytest

from tests.judge_world import NAMES, JudgeWorld, a_world
from update_server.evidence.findings import Finding
from update_server.evidence.records import describe
from update_server.evidence.settings import DAY, HOUR, STANDARD, May, Metric
from update_server.evidence.state import Epoch, OneArm, Pool, State
from update_server.evidence.verdicts import Verdict


def codes(world: JudgeWorld, later: float = 0.0) -> list[str]:
    return [wait.code for wait in world.judge(later).waits_for]


# --- no verdict -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ({"entered": (0, 0)}, "no_contacts"),
        ({"entered": (0, 0), "exposure_bp": None}, "no_contacts"),
        ({"entered": (50, 0)}, "one_arm_empty"),
        ({"entered": (0, 50)}, "one_arm_empty"),
        ({"entered": (19, 200)}, "too_few_installs"),
        ({"exposure_bp": 10_000}, "no_control"),
        ({}, "cohort_not_matured"),
    ],
)
def test_where_something_is_missing_there_is_no_verdict(stage: dict[str, Any], why: str) -> None:
    judgement = a_world(**stage).judge(DAY)

    assert judgement.verdict is None
    assert judgement.no_verdict == why
    assert not judgement.carry_out
    assert not judgement.record


def test_a_holdback_is_control_enough() -> None:
    world = a_world(exposure_bp=10_000, holdback_bp=200, entered=(9_800, 200))

    assert world.judge().no_verdict == "cohort_not_matured"


def test_a_study_without_a_stage_has_no_verdict() -> None:
    world = JudgeWorld(state=State())

    assert world.judge(heard=False).no_verdict == "no_contacts"


def test_a_dead_intake_is_no_verdict() -> None:
    world = a_world()
    world.passes_the_gate()
    world.judge()

    assert world.judge(6 * HOUR, heard=False).verdict is Verdict.PROMOTE
    assert world.judge(1, heard=False).no_verdict == "intake_gap"


def test_a_ring_of_groups_may_sleep_at_night() -> None:
    world = a_world(exposure_bp=None, internal=5, soak_seconds=3 * DAY)
    world.judge()

    assert world.judge(12 * HOUR, heard=False).verdict is Verdict.CONTINUE
    assert world.judge(13 * HOUR, heard=False).no_verdict == "intake_gap"


def test_what_is_known_of_held_platforms_only_is_not_known() -> None:
    world = a_world()
    world.passes_the_gate()
    world.state.held = ["linux-x86_64"]

    assert world.judge().no_verdict == "cohort_not_matured"


def test_an_outcome_that_nobody_had_is_known_too() -> None:
    world = a_world()
    world.cohort(0, 0, 20, 180)

    assert world.judge().verdict is Verdict.CONTINUE


# --- promoting ------------------------------------------------------------------------------


def test_a_ring_whose_gates_are_all_passed_promotes() -> None:
    world = a_world()
    world.passes_the_gate()

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.carry_out
    assert not judgement.waits_for
    assert judgement.record["way"] == "margin"
    assert all(test["passes"] for test in judgement.record["noninferiority"][:3])


def test_the_same_promotion_is_decided_once() -> None:
    world = a_world()
    world.passes_the_gate()
    world.judge()

    again = world.judge(2)

    assert again.verdict is Verdict.PROMOTE
    assert not again.carry_out
    world.state.stage.number = 2
    assert world.judge(2).carry_out


@pytest.mark.parametrize("metric", [Metric.CRASH, Metric.HEALTHY, Metric.SILENCE])
def test_no_evidence_on_one_metric_promotes_nothing(metric: Metric) -> None:
    world = a_world()
    world.passes_the_gate()
    del world.state.epoch.processes[metric]

    judgement = world.judge()

    assert judgement.verdict is Verdict.CONTINUE
    assert [wait.code for wait in judgement.waits_for] == [f"evidence:{metric}"]
    assert "0 %" in judgement.waits_for[0].sentence


def test_a_paused_rollout_does_not_promote() -> None:
    world = a_world()
    world.passes_the_gate()
    world.state.paused = True

    assert codes(world) == ["paused"]


def test_evidence_that_only_the_budget_holds_back_promotes_nothing() -> None:
    world = a_world()
    world.passes_the_gate()
    world.events_of(3, 0, metric=Metric.CRASH_LOOP, n=(10, 10_000))

    assert codes(world) == ["harm:crash_loop"]


@pytest.mark.parametrize(("approvals", "sentence"), [(1, "A person"), (2, "2 people")])
def test_a_step_that_needs_people_waits_for_them(approvals: int, sentence: str) -> None:
    world = a_world(approvals=approvals)
    world.passes_the_gate()

    judgement = world.judge()

    assert judgement.verdict is Verdict.CONTINUE
    assert judgement.waits_for[0].code == "approval"
    assert judgement.waits_for[0].sentence.startswith(sentence)


def test_a_server_that_may_not_promote_waits_for_a_person() -> None:
    world = a_world()
    world.passes_the_gate()
    world.set(automatic=frozenset({May.PAUSE}))

    assert codes(world) == ["person"]


def test_the_last_step_has_none_to_promote_to() -> None:
    world = a_world(next_ring=None)
    world.passes_the_gate()

    assert codes(world) == ["end_of_ladder"]


def test_a_ring_of_groups_is_left_when_nobody_complains() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=3, ring="internal")
    assert codes(world) == ["evidence:first_day"]  # nobody can have complained yet
    world.state.stage.guards["crashed"] = OneArm(failed=0, known=1)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.record["way"] == "guards"
    assert "no stop line was reached after 7 h on 3 installs" in judgement.record["sentence"]


# --- soaking --------------------------------------------------------------------------------


def test_the_soak_is_the_time_with_a_verdict() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.passes_the_gate()

    assert codes(world) == ["soak"]
    assert codes(world, HOUR) == ["soak"]
    assert world.judge(HOUR).verdict is Verdict.PROMOTE
    assert world.state.stage.soaked_seconds == 2 * HOUR


def test_time_without_a_verdict_is_not_soak() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.judge()
    world.judge(5 * HOUR)
    world.passes_the_gate()
    world.judge(5 * HOUR)

    assert world.state.stage.soaked_seconds == 0


def test_time_while_paused_is_not_soak() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.passes_the_gate()
    world.judge()
    world.state.paused = True
    world.judge(HOUR)
    world.state.paused = False
    world.judge(HOUR)

    assert world.state.stage.soaked_seconds == 0


def test_nothing_soaks_while_nobody_is_heard_of() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.passes_the_gate()
    world.judge()
    world.judge(HOUR)
    world.judge(4 * HOUR, heard=False)

    assert world.state.stage.soaked_seconds == HOUR
    world.judge(HOUR)
    assert world.state.stage.soaked_seconds == 6 * HOUR


def test_a_gap_is_not_soak_once_it_is_over() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.passes_the_gate()
    world.judge()
    world.judge(7 * HOUR, heard=False)
    world.judge(HOUR)

    assert world.state.stage.soaked_seconds == 0


def test_a_state_that_knows_of_no_contact_counts_by_the_clock() -> None:
    world = a_world(soak_seconds=2 * HOUR)
    world.passes_the_gate()
    world.judge(heard=False)
    world.judge(HOUR, heard=False)

    assert world.state.stage.soaked_seconds == HOUR


# --- other ways -----------------------------------------------------------------------------


def test_a_ring_where_nobody_crashes_is_left_by_the_floor() -> None:
    world = a_world()
    world.passes_the_gate()
    del world.state.epoch.processes[Metric.CRASH]
    world.state.stage.floor = OneArm(failed=0, known=3_400)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.record["way"] == "floor"
    assert "fewer than 0.1 % of installs crash in a day" in judgement.record["sentence"]
    assert "independently" in judgement.record["sentence"]


def test_too_few_installs_do_not_reach_the_floor() -> None:
    world = a_world()
    world.passes_the_gate()
    del world.state.epoch.processes[Metric.CRASH]
    world.state.stage.floor = OneArm(failed=0, known=3_000)

    assert codes(world) == ["evidence:crash"]


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        (
            Metric.HEALTHY,
            "fewer than 5 % of installs fail their first launch, whatever control does",
        ),
        (Metric.SILENCE, "crashes and failed first launches are not 2 times worse"),
    ],
)
def test_a_fleet_whose_installs_never_fail_an_outcome_passes_by_its_floor(
    metric: Metric, told: str
) -> None:
    world = a_world()
    world.passes_the_gate()
    del world.state.epoch.processes[metric]
    # Without a bad outcome a cohort says nothing of one arm against the other.
    world.cohort(0, 0, 70, 630, metric=metric)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.record["way"] == "floor"
    assert told in judgement.record["sentence"]


def test_a_few_healthy_launches_are_no_floor() -> None:
    world = a_world()
    world.passes_the_gate()
    del world.state.epoch.processes[Metric.HEALTHY]
    world.cohort(0, 0, 50, 450)

    assert codes(world) == ["evidence:healthy_launch"]


def _late(**settings: Any) -> JudgeWorld:
    """Return a world past its time, with all evidence but that on crashes."""
    world = a_world()
    world.passes_the_gate()
    world.state.epoch.processes[Metric.CRASH] = {}
    world.events_of(0, 1)
    world.now = 8 * DAY
    world.set(**settings)
    return world


def test_past_its_time_a_ring_waits_for_a_person() -> None:
    assert codes(_late()) == ["evidence:crash", "timeout"]


def test_before_its_time_nobody_is_called() -> None:
    world = _late()
    world.now = 6 * DAY

    assert codes(world) == ["evidence:crash"]


def test_a_ladder_may_promote_on_weaker_evidence_past_its_time() -> None:
    judgement = _late(timeout_promotes=True).judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.record["way"] == "timeout"
    assert "nothing speaks against it" in judgement.record["sentence"]


def test_past_its_time_silence_still_needs_its_gate() -> None:
    world = _late(timeout_promotes=True)
    del world.state.epoch.processes[Metric.SILENCE]

    assert "timeout" in codes(world)


def test_past_its_time_weak_signs_of_harm_hold_it_back() -> None:
    world = _late(timeout_promotes=True)
    world.events_of(2, 0)

    assert "timeout" in codes(world)


def test_past_its_time_too_few_known_outcomes_hold_it_back() -> None:
    world = _late(timeout_promotes=True)
    world.state.epoch.processes[Metric.HEALTHY] = {}
    world.cohort(0, 0, 299, 2_700)

    assert "timeout" in codes(world)


def test_past_its_time_one_must_be_inside_the_interval() -> None:
    world = _late(timeout_promotes=True)
    # A much better release: odd enough for a person to look at.
    world.events_of(0, 200)
    del world.state.epoch.processes[Metric.HEALTHY]
    world.cohort(9, 60, 400, 2_700)

    assert "timeout" in codes(world)


# --- epochs ---------------------------------------------------------------------------------


def _in_a_second_epoch(first: tuple[int, int]) -> JudgeWorld:
    world = a_world()
    world.events_of(*first)
    world.state.epochs.append(Epoch(number=2))
    world.passes_the_gate()
    return world


def test_after_an_automatic_pause_all_epochs_together_must_pass_too() -> None:
    world = _in_a_second_epoch((4_000, 2_000))

    assert codes(world) == ["evidence:crash"]


def test_together_they_may() -> None:
    world = _in_a_second_epoch((3, 20))

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert "this is epoch 2" in judgement.record["false_alarm_statement"]


def test_the_present_epoch_must_pass_by_itself() -> None:
    world = a_world()
    world.passes_the_gate()
    world.state.epochs.append(Epoch(number=2))
    world.events_of(0, 1)

    assert codes(world) == ["evidence:crash", "evidence:healthy_launch", "evidence:silence"]


def test_where_a_signature_was_waived_the_past_is_not_asked() -> None:
    world = _in_a_second_epoch((4_000, 2_000))
    world.state.epoch.waived = {"known": 99 * DAY}

    judgement = world.judge()

    assert judgement.verdict is Verdict.PROMOTE
    assert judgement.record["waivers"] == ["known"]


def test_the_most_installs_of_a_stage_are_remembered_for_the_epoch() -> None:
    world = a_world()
    world.judge()
    world.state.stage.entered.candidate = world.state.stage.entered.control = 1
    world.judge()

    assert world.state.epoch.most.candidate == 3_900
    assert world.state.epoch.most.control == 35_100


def test_the_standard_settings_promote_by_themselves() -> None:
    assert May.PROMOTE in STANDARD.automatic


# --- too few of them ------------------------------------------------------------------------


def a_small_world(**stage: Any) -> JudgeWorld:
    """Return a world whose outcomes are all known, do not suffice, and say nothing bad."""
    world = a_world(**{"entered": (40, 360), "open_outcomes": 0, **stage})
    world.events_of(1, 9)
    world.cohort(1, 9, 20, 180, times=2)
    world.cohort(1, 9, 20, 180, times=2, metric=Metric.SILENCE)
    return world


def test_where_nothing_more_can_come_it_is_said() -> None:
    world = a_small_world()

    judgement = world.judge(DAY)

    assert (judgement.verdict, judgement.no_verdict) == (None, "nothing_to_come")
    told = describe(
        world.state,
        world.log,
        world.settings,
        world.now,
        Finding(no_verdict=judgement.no_verdict),
        NAMES,
    )
    assert told["sentence"].startswith(
        "No verdict on 4.2.0 at ring 10 %: the outcomes of all installs that came are known, and "
        "are too few to open the next step; only more installs can bring more. This is not a sign "
        "of health."
    )


@pytest.mark.parametrize(
    "stage",
    [
        {"open_outcomes": 1},
        {"open_outcomes": None},  # a study that began before they were counted
        {"next_ring": None},
        {"pools": {"silence/0/linux-x86_64": Pool(opened_at=0.0)}},
        {"pools": {"healthy_launch/0/linux-x86_64": Pool(opened_at=0.0)}},
    ],
)
def test_as_long_as_something_may_come_it_waits(stage: dict[str, Any]) -> None:
    judgement = a_small_world(**stage).judge(DAY)

    assert judgement.verdict is Verdict.CONTINUE


def test_a_ring_of_groups_has_no_gate_for_outcomes() -> None:
    world = a_world(exposure_bp=None, entered=(0, 0), internal=9, open_outcomes=0)
    world.state.stage.guards["crashed"] = OneArm(known=9)

    assert world.judge().verdict is Verdict.PROMOTE


def test_past_its_timeout_people_are_asked() -> None:
    world = a_small_world()

    assert "timeout" in codes(world, STANDARD.timeout_seconds)


def test_what_passes_the_gate_needs_nothing_to_come() -> None:
    world = a_world(open_outcomes=0)
    world.passes_the_gate()

    assert world.judge().verdict is Verdict.PROMOTE


def test_a_release_is_watched_while_nothing_comes() -> None:
    world = a_small_world()
    world.judge()
    world.judge(5 * HOUR)

    assert world.state.stage.soaked_seconds == 5 * HOUR
