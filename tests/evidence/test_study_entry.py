from __future__ import annotations

from dataclasses import replace

import pytest

from tests.study_world import (
    A_DAY_LATER,
    PLATFORM,
    T0,
    World,
    crash,
    left,
    paused,
    resumed,
    seen,
    stage_opened,
)
from update_server.evidence import srm
from update_server.evidence.design import (
    at_risk,
    cohort_size,
    crash_stratum,
    is_candidate,
    lonely_key,
    platform_of,
    risk_set_key,
    share_of,
    silence_window,
    total_at_risk,
)
from update_server.evidence.facts import (
    Lag,
    PlatformHeld,
    PlatformReleased,
    Seen,
    Struck,
    Unsuspended,
)
from update_server.evidence.settings import DAY, HOUR, STANDARD
from update_server.evidence.state import Arms, Stage


def test_nothing_enters_before_a_stage_is_open() -> None:
    world = World(opened=False)

    world.tick(seen(1))

    assert world.state.stage.entered == Arms()
    assert world.state.contacts == 1


def test_the_first_stage_starts_the_study() -> None:
    world = World()

    assert world.state.started_at == T0
    assert world.state.stage.opened_at == T0
    assert world.state.ticks == world.state.facts == 1


def test_a_study_that_has_a_start_keeps_it() -> None:
    world = World(opened=False)
    world.state.started_at = T0 - 7

    world.tick(stage_opened())

    assert world.state.started_at == T0 - 7


def test_the_bucket_says_the_arm() -> None:
    world = World()

    world.tick(seen(1, bucket=4_999), seen(2, bucket=5_000))

    assert world.state.stage.entered == Arms(candidate=1, control=1)
    assert world.member(1).candidate
    assert not world.member(2).candidate
    assert world.member(2).since == T0 + 1


@pytest.mark.parametrize(
    ("exposure_bp", "holdback_bp", "bucket", "candidate"),
    [
        (100, 0, 99, True),
        (100, 0, 100, False),
        (10_000, 200, 9_799, True),
        (10_000, 200, 9_800, False),
        (None, 0, 0, False),
    ],
)
def test_candidates_are_the_buckets_below_the_exposure_that_are_not_held_back(
    exposure_bp: int | None, holdback_bp: int, bucket: int, candidate: bool
) -> None:
    stage = Stage(exposure_bp=exposure_bp, holdback_bp=holdback_bp)

    assert is_candidate(stage, bucket) is candidate


@pytest.mark.parametrize(
    ("exposure_bp", "holdback_bp", "share", "size"),
    [
        (1_000, 0, 0.1, 200),
        (5_000, 0, 0.5, 40),
        (9_800, 200, 0.98, 1_000),
        (10_000, 0, 1.0, float("inf")),
        (None, 0, 0.0, float("inf")),
    ],
)
def test_a_cohort_has_twenty_installs_in_the_smaller_arm(
    exposure_bp: int | None, holdback_bp: int, share: float, size: float
) -> None:
    stage = Stage(exposure_bp=exposure_bp, holdback_bp=holdback_bp)

    assert share_of(stage) == share
    assert cohort_size(stage, STANDARD) == pytest.approx(size)


def controls_like(*candidates: Seen) -> list[Seen]:
    """Return a control for each, which is like it in all else."""
    return [replace(each, install=each.install + b"c", bucket=9_999) for each in candidates]


def test_installs_that_enter_in_one_tick_share_a_risk_set() -> None:
    world = World()

    world.enter(2, 3)

    assert list(world.state.stage.risk_sets.values()) == [Arms(candidate=2, control=3)]
    assert world.state.stage.cohort_entrants == 5


def test_each_tick_with_entrants_is_a_cohort_of_its_own() -> None:
    world = World()

    world.tick(seen(1), seen(1_001, candidate=False))
    world.tick(seen(1, 2))
    world.tick(seen(2, 3), seen(3, 3), seen(1_002, 3, candidate=False))

    assert world.state.stage.cohort == 2
    assert world.state.stage.cohort_entrants == 3
    assert len(world.state.stage.risk_sets) == 2


def test_cohorts_are_numbered_over_all_stages() -> None:
    world = World()
    world.tick(seen(1))

    world.tick(stage_opened(at=5))
    world.tick(seen(1, 6))

    assert world.state.stage.cohort == 2
    assert world.state.stage.number == 2


def test_platforms_and_crash_strata_have_risk_sets_of_their_own() -> None:
    world = World(replace(STANDARD, cohort_installs=2))

    everybody = (seen(1), seen(2, platform="other"), seen(3, crashes=3), seen(4, crashes=4))
    world.tick(*everybody, *controls_like(*everybody))

    assert list(world.state.stage.risk_sets) == [
        risk_set_key(1, 0, 0),
        risk_set_key(1, 0, 1),
        risk_set_key(1, 2, 0),
    ]
    assert [platform_of(key) for key in world.state.stage.risk_sets] == [0, 1, 0]
    assert world.state.platforms == [PLATFORM, "other"]


def test_a_small_cohort_is_divided_in_two() -> None:
    world = World(replace(STANDARD, cohort_installs=2.5))

    # Five make a cohort at 50 %; who was there already, or may not enter, is not one of them.
    few = (seen(1), seen(2, crashes=9))
    more = (seen(3), seen(4, crashes=3), seen(5, crashes=9))
    world.tick(*few, *controls_like(*few[1:]), seen(1_001, crashes=1, candidate=False))
    world.tick(*more, seen(1), *controls_like(*more), seen(7, aged=False))

    assert list(world.state.stage.risk_sets) == [
        risk_set_key(1, 0, 0),
        risk_set_key(1, 2, 0),
        risk_set_key(2, 0, 0),
        risk_set_key(2, 2, 0),
        risk_set_key(2, 3, 0),
    ]


def test_those_who_have_nobody_to_be_compared_with_are_kept_together() -> None:
    world = World()
    world.tick(seen(1), seen(2, crashes=9), seen(3, platform="other"))
    world.tick(seen(1_001, 2, candidate=False), seen(4, 2, crashes=9))
    world.tick(seen(5, 3), seen(1_002, 3, candidate=False), seen(6, 3, crashes=9))

    assert world.state.stage.risk_sets == {
        lonely_key(0, candidate=True): Arms(candidate=4),
        lonely_key(0, candidate=False): Arms(control=1),
        lonely_key(1, candidate=True): Arms(candidate=1),
        risk_set_key(3, 0, 0): Arms(candidate=1, control=1),
    }
    assert total_at_risk(world.state.stage, "crash") == (6, 2)


def test_their_events_say_nothing_and_are_counted() -> None:
    world = World()
    world.tick(seen(1), seen(2))
    world.tick(crash(1))

    [label] = world.labels("crash")
    assert (label.n_candidate, label.n_control) == (2, 0)
    assert set(world.process("crash").vector) == {0.0}
    assert total_at_risk(world.state.stage, "crash") == (1, 0)
    world.tick(left(1))
    world.tick(left(2))
    assert total_at_risk(world.state.stage, "crash") == (0, 0)


def test_who_crashed_before_is_gone_from_them_too() -> None:
    world = World()
    world.tick(seen(1))
    world.tick(crash(1))
    world.tick(stage_opened(60))

    world.tick(seen(1, 70), seen(2, 70))

    assert total_at_risk(world.state.stage, "crash") == (1, 0)
    assert world.state.stage.gone["crash"] == {lonely_key(0, candidate=True): Arms(candidate=1)}


@pytest.mark.parametrize(
    ("crashes", "stratum"), [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (99, 4)]
)
def test_installs_are_compared_with_those_that_crashed_as_often(crashes: int, stratum: int) -> None:
    assert crash_stratum(crashes) == stratum


@pytest.mark.parametrize(
    ("gap_seconds", "stratum", "window"),
    [
        (HOUR, 0, DAY),
        (6 * HOUR, 1, DAY),
        (12 * HOUR, 1, 36 * HOUR),
        (DAY, 2, 3 * DAY),
        (3 * DAY, 3, 9 * DAY),
        (7 * DAY, -1, 0.0),
        (None, 1, DAY),
    ],
)
def test_silence_asks_of_an_install_what_is_usual_for_it(
    gap_seconds: float | None, stratum: int, window: float
) -> None:
    assert silence_window(gap_seconds, STANDARD) == (stratum, window)


def test_nothing_enters_while_the_release_is_paused() -> None:
    world = World()

    world.tick(paused(at=1))
    world.tick(seen(1, 2))
    world.tick(resumed(at=3))
    world.tick(seen(2, 4))

    assert world.state.stage.entered.total == 1


def test_a_check_in_from_before_the_stage_does_not_enter() -> None:
    world = World()

    world.tick(seen(1, -1))

    assert world.state.stage.entered.total == 0


def test_an_install_that_is_too_new_is_counted_once_and_enters_nothing() -> None:
    world = World()

    world.tick(seen(1, aged=False), seen(1, 2, aged=False))
    world.tick(seen(1, 3, aged=False))

    assert world.state.not_aged == 1
    assert world.state.stage.entered.total == 0


def test_an_internal_install_is_in_no_arm() -> None:
    world = World()

    world.tick(seen(1, internal=True), seen(2))

    assert world.state.stage.internal == 1
    assert world.state.stage.entered.total == 1
    assert not world.member(1).candidate


def test_in_a_ring_of_groups_only_internal_installs_count() -> None:
    world = World(exposure_bp=None)

    world.tick(seen(1), seen(2, internal=True), seen(3, aged=False))

    assert world.state.stage.entered.total == 0
    assert world.state.stage.internal == 1
    assert world.state.not_aged == 0


def test_in_the_next_stage_everybody_enters_anew_in_the_arm_of_its_bucket() -> None:
    world = World(exposure_bp=100)
    world.tick(seen(1, bucket=500), seen(2, bucket=50))

    world.tick(stage_opened(at=5, exposure_bp=1_000))
    world.tick(seen(1, 6, bucket=500))

    assert world.state.stage.entered == Arms(candidate=1)
    assert world.member(1).candidate
    assert world.member(2).stage == 1


def test_an_install_that_left_before_it_entered_never_enters() -> None:
    world = World()
    world.tick(left(1, 1))

    world.tick(seen(1, 2), seen(2, 2))
    world.tick(stage_opened(at=5))
    world.tick(seen(1, 6))

    assert world.state.stage.entered.total == 0


@pytest.mark.parametrize("candidate", [True, False])
def test_an_install_that_leaves_leaves_its_risk_set_for_good(candidate: bool) -> None:
    world = World()
    world.enter(5, 5)

    world.tick(left(0 if candidate else 1_000))

    assert total_at_risk(world.state.stage, "crash") == ((4, 5) if candidate else (5, 4))
    assert world.state.stage.entered == Arms(candidate=5, control=5)
    assert world.member(0 if candidate else 1_000).left


def test_an_install_that_leaves_after_its_event_is_not_missed_twice() -> None:
    world = World()
    world.enter(5, 5)
    world.tick(crash(0))

    world.tick(left(0, 20))

    assert total_at_risk(world.state.stage, "crash") == (4, 5)
    assert total_at_risk(world.state.stage, "crash_loop") == (4, 5)


def test_who_was_silent_and_leaves_is_not_missed_among_those_that_crashed() -> None:
    world = World()
    world.enter(5, 5)
    world.wait(A_DAY_LATER)
    world.tick(seen(0, A_DAY_LATER + 1), crash(0, A_DAY_LATER + 2))

    world.tick(left(0, A_DAY_LATER + 3))

    assert "silence" in world.member(0).had
    assert total_at_risk(world.state.stage, "crash") == (4, 5)


def test_an_internal_install_may_leave() -> None:
    world = World()
    world.tick(seen(1, internal=True), seen(2))

    world.tick(left(1))

    assert total_at_risk(world.state.stage, "crash") == (1, 0)


def test_who_had_an_event_enters_the_next_stage_without_being_at_risk_of_it() -> None:
    world = World()
    world.enter(2, 2)
    world.tick(crash(0))

    world.tick(stage_opened(at=20))
    world.enter(2, 2, at=21)

    key = world.member(0).risk_set
    assert at_risk(world.state.stage, "crash", key) == (1, 2)
    assert at_risk(world.state.stage, "crash_loop", key) == (2, 2)


def test_entrants_are_held_against_the_design_share() -> None:
    world = World()
    expected = srm.empty_srm()
    srm.add_entrants(expected, candidates=3, controls=1, share=0.5)

    world.enter(3, 1)

    assert world.state.stage.srm == expected


def test_each_stage_holds_its_own_entrants_against_the_design_share() -> None:
    world = World()
    world.enter(3, 1)

    world.tick(stage_opened(at=5))

    assert world.state.stage.srm == srm.empty_srm()


def test_once_the_cause_of_a_suspension_is_found_entrants_are_counted_anew() -> None:
    world = World()
    world.enter(3, 1)
    world.state.suspended = True

    world.tick(Unsuspended(at=T0 + 5))

    assert not world.state.suspended
    assert world.state.stage.srm == srm.empty_srm()


def test_a_platform_that_is_held_is_out_of_the_study() -> None:
    world = World()
    world.tick(seen(1), seen(2, platform="bad"), seen(3, platform="bad", candidate=False))
    world.tick(crash(3, 3))

    world.tick(PlatformHeld(at=T0 + 5, platform="bad"))
    world.tick(PlatformHeld(at=T0 + 5, platform="bad"))
    entries = world.tick(seen(4, 6, platform="bad"), crash(2, 7), left(3, 8))

    assert world.state.held == ["bad"]
    assert list(world.state.stage.risk_sets.values()) == [Arms(candidate=1)]
    assert total_at_risk(world.state.stage, "crash") == (1, 0)
    assert entries == []


def test_what_a_hold_kept_enters_again_when_it_is_over() -> None:
    world = World()
    world.tick(seen(1), seen(2, platform="bad"), seen(3, platform="bad", candidate=False))
    world.tick(PlatformHeld(at=T0 + 5, platform="bad"))
    world.tick(left(2, 6, for_good=False), left(77, 6, for_good=False))

    world.tick(PlatformReleased(at=T0 + 7, platform="bad"))
    world.tick(stage_opened(8, exposure_bp=5_000))
    world.tick(*(seen(i, 9, platform="bad", candidate=i == 2) for i in (2, 3)))
    entries = world.tick(crash(2, 10))

    assert world.state.held == []
    assert [(label.n_candidate, label.n_control) for label in entries] == [(1, 1)]


def test_an_install_that_a_hold_keeps_leaves_its_stage_and_may_enter_it_again() -> None:
    world = World()
    world.tick(seen(1), seen(2, candidate=False))

    world.tick(left(1, 6, for_good=False))
    assert total_at_risk(world.state.stage, "crash") == (0, 1)
    world.tick(seen(1, 9))

    assert total_at_risk(world.state.stage, "crash") == (1, 1)


def test_a_platform_may_be_held_before_anything_is_known_of_it() -> None:
    world = World()
    world.tick(seen(1))

    world.tick(PlatformHeld(at=T0 + 5, platform="new"))

    assert world.state.held == ["new"]
    assert total_at_risk(world.state.stage, "crash") == (1, 0)


def test_what_is_withdrawn_counts_for_its_epoch() -> None:
    world = World()
    world.tick(Struck(at=T0 + 5, reports=2))
    world.tick(Struck(at=T0 + 6, reports=1))
    assert world.state.epoch.struck == 3

    world.tick(paused(10))
    world.tick(resumed(20))

    assert [epoch.struck for epoch in world.state.epochs] == [3, 0]


def test_how_late_facts_are_is_remembered_until_they_are_in_time() -> None:
    world = World()
    world.tick(Lag(at=T0 + 5, seconds=61.0))
    world.tick(seen(1, 6))
    assert world.state.lag_seconds == 61.0

    world.tick(Lag(at=T0 + 7, seconds=0.0))

    assert world.state.lag_seconds == 0.0
