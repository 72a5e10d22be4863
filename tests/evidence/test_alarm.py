from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.judge_world import JudgeWorld, a_world
from tests.study_world import T0, World, crash, left, paused, resumed, seen, stage_opened
from update_server.evidence.alarm import (
    CHECK_SECONDS,
    FEWEST_INSTALL_HOURS,
    HOURS_OF_WEEK,
    crashes_expected,
)
from update_server.evidence.detector import ALARM, RATIOS, advance, empty_detector, value
from update_server.evidence.facts import Past
from update_server.evidence.settings import DAY, HOUR
from update_server.evidence.state import Alarm, OneArm
from update_server.evidence.verdicts import Verdict


def a_past(a_day: float = 0.24, *, installs: int = 1_000) -> Past:
    """Return four weeks in which each of *installs* crashed so often a day."""
    hours = installs * 4.0
    return Past(
        at=T0,
        crashes=(round(hours * a_day / 24),) * HOURS_OF_WEEK,
        install_hours=(hours,) * HOURS_OF_WEEK,
    )


def an_open_world(past: Past | None = None, *, installs: int = 200) -> World:
    """Return a study in which everybody is offered the release, and *installs* entered."""
    world = World(exposure_bp=10_000)
    world.tick(past or a_past(), at=0)
    world.tick(*(seen(i, 0) for i in range(installs)), at=1)
    return world


def alarm_of(world: World) -> Alarm:
    assert world.state.stage.alarm is not None
    return world.state.stage.alarm


# --- the rate of before ---------------------------------------------------------------------


def test_so_many_crashes_are_expected_as_there_were() -> None:
    past = a_past(0.24, installs=10_000)

    assert crashes_expected(past, T0, T0 + DAY) == pytest.approx(0.24, rel=0.01)
    assert crashes_expected(past, T0 + 100, T0 + 1_900) == pytest.approx(0.005, rel=0.01)


def test_an_hour_of_the_week_has_its_own_rate() -> None:
    crashes = [400] * HOURS_OF_WEEK
    crashes[0] = 4_000  # Thursdays, from midnight UTC
    past = replace(a_past(installs=10_000), crashes=tuple(crashes))

    thursday = crashes_expected(past, T0, T0 + HOUR)  # 1 January 2026

    assert thursday == pytest.approx(10 * crashes_expected(past, T0 + HOUR, T0 + 2 * HOUR), rel=0.1)
    assert crashes_expected(past, T0 + 7 * DAY, T0 + 7 * DAY + HOUR) == thursday


def test_a_few_crashes_are_spread_over_the_week() -> None:
    crashes = [0] * HOURS_OF_WEEK
    crashes[3] = 2
    past = replace(a_past(installs=10_000), crashes=tuple(crashes))

    quiet = crashes_expected(past, T0, T0 + HOUR)

    assert 0 < quiet < crashes_expected(past, T0 + 3 * HOUR, T0 + 4 * HOUR) < 1.3 * quiet


def test_no_crash_at_all_is_a_rate_too() -> None:
    past = a_past(0)

    week = crashes_expected(past, T0, T0 + 7 * DAY) * 1_000

    assert week == pytest.approx(3 / 4, rel=0.01)  # the 95 % limit of four weeks


# --- what is counted ------------------------------------------------------------------------


def test_first_crashes_and_installs_at_risk_are_counted() -> None:
    world = an_open_world()

    world.tick(crash(1, 60), crash(2, 61), crash(1, 62), at=1_801)

    alarm = alarm_of(world)
    assert (alarm.events, alarm.events_so_far) == (2, 2)
    half_an_hour = crashes_expected(a_past(), T0 + 1, T0 + 1_801)
    first_second = crashes_expected(a_past(), T0, T0 + 1)
    assert alarm.expected == pytest.approx(200 * (half_an_hour + first_second), rel=1e-9)
    assert alarm.detector == empty_detector()


def test_whoever_crashed_or_left_is_at_risk_no_more() -> None:
    world = an_open_world()
    world.tick(crash(1, 60), left(2, 61), at=61)
    before = alarm_of(world).expected

    world.tick(at=61 + HOUR)

    an_hour = crashes_expected(a_past(), T0 + 61, T0 + 61 + HOUR)
    assert alarm_of(world).expected_so_far - before == pytest.approx(198 * an_hour, rel=1e-9)


def test_each_hour_is_one_check() -> None:
    world = an_open_world()
    world.tick(crash(1, 60), at=1_800)
    world.tick(crash(2, 1_900), at=CHECK_SECONDS)

    alarm = alarm_of(world)
    detector = empty_detector()
    advance(detector, events=2, expected=alarm.expected_so_far)
    assert alarm.detector == pytest.approx(detector, rel=1e-9)
    assert (alarm.events, alarm.expected) == (0, 0.0)
    assert (alarm.events_so_far, alarm.checked_at) == (2, T0 + CHECK_SECONDS)


@pytest.mark.parametrize("past", [None, Past(at=T0), a_past(installs=4)])
def test_without_a_past_there_is_no_alarm(past: Past | None) -> None:
    world = World(exposure_bp=10_000)
    if past is not None:
        world.tick(past, at=0)
        assert sum(past.install_hours) < FEWEST_INSTALL_HOURS
    world.tick(*(seen(i, 0) for i in range(50)), at=1)

    world.tick(*(crash(i, 60) for i in range(50)), at=HOUR)

    assert world.state.stage.alarm is None


@pytest.mark.parametrize("stage", [{"exposure_bp": 5_000}, {"exposure_bp": None}])
def test_where_there_are_controls_or_groups_there_is_none(stage: dict[str, Any]) -> None:
    world = World(**stage)
    world.tick(a_past(), at=0)
    world.enter(20, 20)

    assert world.state.stage.alarm is None


def test_holdback_is_control() -> None:
    world = World(opened=False)
    world.tick(stage_opened(exposure_bp=10_000, holdback_bp=200), at=0)
    world.tick(a_past(), at=0)

    world.enter(20, 20)

    assert world.state.stage.alarm is None


def test_it_begins_anew_with_each_stage_and_epoch() -> None:
    world = an_open_world()
    world.tick(*(crash(i, 60) for i in range(9)), at=HOUR)
    world.tick(paused(HOUR))
    world.tick(resumed(2 * HOUR))

    world.tick(at=2 * HOUR + 60)

    assert alarm_of(world).events_so_far == 0
    assert alarm_of(world).checked_at == T0 + 2 * HOUR
    world.tick(stage_opened(3 * HOUR, exposure_bp=10_000))
    assert alarm_of(world).checked_at == T0 + 3 * HOUR


def test_as_long_as_all_is_as_before_it_stays_quiet() -> None:
    chance, past = random.Random(5), a_past(0.1, installs=2_000)
    world = an_open_world(past, installs=500)
    crashed: set[int] = set()

    for hour in range(1, 5 * 24):
        rate = 0.1 / 24
        new = {i for i in range(500) if i not in crashed and chance.random() < rate}
        crashed |= new
        world.tick(*(crash(i, hour * HOUR) for i in new), at=hour * HOUR)

    assert len(crashed) > 150
    assert value(alarm_of(world).detector) < ALARM / 10


# --- what follows ---------------------------------------------------------------------------


def alarmed(**settings: Any) -> JudgeWorld:
    """Return a world in which everybody has it, and thrice as many crash as before."""
    world = a_world(
        exposure_bp=10_000, ring="all", entered=(4_000, 0), next_ring=None, soak_seconds=0
    )
    world.set(**settings)
    detector = empty_detector()
    for _ in range(6):
        advance(detector, events=9, expected=3.0)
    world.state.stage.alarm = Alarm(
        detector=detector, checked_at=world.now, events_so_far=54, expected_so_far=18.0
    )
    return world


def test_the_alarm_pauses_and_says_against_what() -> None:
    judgement = alarmed().judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == "history"
    assert judgement.carry_out
    record = judgement.record
    assert record["sentence"].startswith(
        "Paused 4.2.0 at ring all: 54 of 4,000 installs crashed for the first time, where 18 were "
        "to be expected from the weeks before it (alarm value "
    )
    assert "Nobody is held back in this ring: this is no comparison" in record["sentence"]
    assert "10,000 hours" in record["false_alarm_statement"]
    [line] = record["guards"]
    assert line["name"] == "history"
    assert (line["failed"], line["known"], line["ceiling"]) == (54, 4_000, 18.0)
    assert line["reached"]
    assert record["tamper_margin"] > 4


def test_a_few_are_told_with_their_decimals() -> None:
    world = alarmed()
    assert world.state.stage.alarm is not None
    world.state.stage.alarm.expected_so_far = 1.25

    assert "where 1.2 were to be expected" in world.judge().record["sentence"]


def test_it_never_pulls() -> None:
    world = alarmed()
    assert world.state.stage.alarm is not None
    world.state.stage.alarm.detector = [500.0] * len(RATIOS)

    assert world.judge().verdict is Verdict.PAUSE


def test_below_it_there_is_no_verdict() -> None:
    world = alarmed()
    assert world.state.stage.alarm is not None
    world.state.stage.alarm.detector = empty_detector()

    judgement = world.judge()

    assert (judgement.verdict, judgement.no_verdict) == (None, "no_control")


@pytest.mark.parametrize("settings", [{"history_pauses": False}, {"automatic": frozenset()}])
def test_terms_may_leave_it_at_advice(settings: dict[str, Any]) -> None:
    judgement = alarmed(**settings).judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.record
    assert not judgement.carry_out


def test_advice_is_given_once_and_keeps_no_stop_line_from_pausing() -> None:
    world = alarmed(history_pauses=False)
    world.judge()

    assert not world.judge(60).record
    world.state.stage.guards["crashed"] = OneArm(failed=20, known=20)
    judgement = world.judge(60)

    assert judgement.cause == "crashed"
    assert judgement.carry_out


def test_it_pauses_again_where_it_was_resumed_against_it() -> None:
    world = alarmed()
    world.judge()
    world.state.paused = world.state.paused_automatically = True
    assert not world.judge(60).record
    world.state.paused = False

    assert world.judge(60).carry_out


def test_a_suspended_judge_still_hears_it() -> None:
    world = alarmed()
    world.state.suspended = True

    assert world.judge().verdict is Verdict.PAUSE
