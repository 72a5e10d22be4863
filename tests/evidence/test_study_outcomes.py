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
    outage,
    seen,
    session,
    stage_opened,
    stepped,
)
from update_server.evidence import fisher
from update_server.evidence.facts import Fact, Past, PlatformHeld, Step
from update_server.evidence.settings import DAY, HOUR, STANDARD
from update_server.evidence.state import Arms, OneArm


def full_cohort(world: World, at: float = 1) -> World:
    """Forty installs, with outcomes that are known a day later: one cohort."""
    world.enter(20, 20, at=at)
    return world


def test_an_outcome_is_known_when_its_window_has_passed() -> None:
    world = full_cohort(World())

    assert world.wait(DAY) == []
    entries = world.wait(A_DAY_LATER)

    assert {e.metric for e in entries} == {"healthy_launch", "silence"}
    (scored,) = world.scored("silence")
    assert (scored.k_candidate, scored.k, scored.n_candidate, scored.n_control) == (20, 40, 20, 20)
    assert scored.base_rate == pytest.approx(0.1)


LATER = 12 * HOUR


def test_an_install_that_reported_health_is_healthy() -> None:
    world = full_cohort(World())

    world.tick(session(0, LATER), session(1_000, LATER), session(1_001, LATER))
    world.wait(A_DAY_LATER)

    (scored,) = world.scored("healthy_launch")
    assert (scored.k_candidate, scored.k) == (19, 37)
    assert world.process("healthy_launch").bad == Arms(candidate=19, control=18)
    assert world.process("healthy_launch").known == Arms(candidate=20, control=20)


def test_the_evidence_is_that_of_the_cohorts() -> None:
    world = full_cohort(World())
    outcomes, shares = fisher.empty_outcomes(), fisher.empty_shares()
    fisher.add_cohort(outcomes, k_candidate=19, k=38, n_candidate=20, n_control=20)
    fisher.add_silence_cohort(
        shares, k_candidate=19, k=38, n_candidate=20, n_control=20, base_rate=0.1
    )

    world.tick(session(1_000, LATER), session(0, 12 * HOUR))
    world.wait(A_DAY_LATER)

    assert world.process("healthy_launch").vector == outcomes
    assert world.process("silence").vector == shares


@pytest.mark.parametrize(
    ("fact", "is_healthy"),
    [
        (seen(1, 6 * HOUR), False),  # a restart to apply
        (seen(1, 6 * HOUR + 2), True),
        (seen(1, DAY + 5), False),
        (session(1, 6 * HOUR), False),
        (session(1, 6 * HOUR + 2), True),
        (session(1, DAY + 5), False),
        (session(77, 12 * HOUR), False),
    ],
)
def test_health_is_a_sign_of_life_in_the_later_three_quarters_of_a_day(
    fact: Fact, is_healthy: bool
) -> None:
    world = World()
    world.tick(seen(1))

    world.tick(fact, at=1)

    assert world.member(1).healthy is is_healthy


@pytest.mark.parametrize(
    ("fact", "returned"),
    [
        (seen(1, 6 * HOUR), False),
        (seen(1, 6 * HOUR + 2), True),
        (session(1, 6 * HOUR + 2), True),
        (session(1, DAY + 1), True),
        (session(1, DAY + 2), False),
    ],
)
def test_a_return_is_a_sign_of_life_in_the_later_three_quarters_of_the_window(
    fact: Fact, returned: bool
) -> None:
    world = World()
    world.tick(seen(1))

    world.tick(fact, at=1)

    assert world.member(1).returned is returned


def test_a_second_sign_of_life_changes_nothing() -> None:
    world = World()
    world.tick(seen(1), seen(1, 12 * HOUR), seen(1, 13 * HOUR))

    world.tick(session(1, 14 * HOUR), seen(1, 14 * HOUR))

    assert world.member(1).healthy
    assert world.member(1).returned


def test_a_check_in_at_the_instant_of_entry_is_no_sign_of_life() -> None:
    world = World()

    world.tick(seen(1), seen(1))

    assert not world.member(1).healthy


def test_installs_with_a_usual_gap_of_a_week_are_never_silent() -> None:
    world = World()
    world.enter(20, 20, gap_seconds=7 * DAY)

    world.wait(40 * DAY)

    assert world.scored("silence") == []
    assert len(world.scored("healthy_launch")) == 1


def test_silence_waits_three_usual_gaps() -> None:
    world = World()
    world.enter(20, 20, gap_seconds=DAY)

    world.wait(3 * DAY)
    assert world.scored("silence") == []
    world.wait(3 * DAY + 2)

    assert len(world.scored("silence")) == 1


def test_while_nothing_is_received_nobody_is_silent() -> None:
    world = full_cohort(World())

    world.tick(at=2 * DAY)
    assert world.log == []
    world.tick(seen(0, 2 * DAY + 1))

    assert len(world.scored("silence")) == 1


def test_without_any_contact_nothing_is_ever_known() -> None:
    world = World()

    world.tick(at=30 * DAY)

    assert world.log == []


def test_an_outage_makes_windows_longer() -> None:
    world = full_cohort(World())

    world.tick(outage(10 * HOUR, 15 * HOUR))
    world.wait(DAY + 5 * HOUR)
    assert world.log == []
    world.tick(session(0, DAY + 5 * HOUR + 0.5))
    world.wait(DAY + 5 * HOUR + 2)

    (silence,) = world.scored("silence")
    assert (silence.k_candidate, silence.k) == (19, 39)
    (health,) = world.scored("healthy_launch")
    assert health.k_candidate == 19


def test_a_window_that_was_mostly_outage_gives_no_outcome() -> None:
    world = full_cohort(World())

    world.tick(outage(10 * HOUR, 17 * HOUR))
    world.wait(1.5 * DAY)

    assert world.log == []
    assert not world.state.stage.pools


def test_after_a_disturbed_window_its_installs_are_watched_in_the_next_one() -> None:
    world = full_cohort(World())

    world.tick(outage(10 * HOUR, 17 * HOUR))
    world.wait(1.5 * DAY)
    world.wait(3 * DAY)

    (scored,) = world.scored("silence")
    assert scored.k == 40


def test_whoever_came_back_is_watched_on() -> None:
    world = full_cohort(World())
    everybody = [*range(20), *range(1_000, 1_020)]
    world.tick(*(session(i, LATER) for i in everybody))
    world.wait(A_DAY_LATER)
    assert world.process("silence").bad == Arms()

    # The second day the candidates are not heard of.
    world.tick(*(session(i, DAY + LATER) for i in everybody if i >= 1_000))
    world.wait(2 * DAY + 10)

    assert world.process("later_silence").bad == Arms(candidate=20)
    assert world.process("later_silence").known == Arms(candidate=20, control=20)
    assert world.process("silence").known == Arms(candidate=20, control=20)


def test_a_silent_install_is_not_watched_on() -> None:
    world = full_cohort(World())
    world.wait(4 * DAY)

    assert world.member(0).due_at is None
    assert world.scored("later_silence") == []


@pytest.mark.parametrize(
    ("windows", "rate"), [((0, 1_000, 300), 0.3), ((0, 99, 30), 0.1), ((1, 1_000, 300), 0.1)]
)
def test_the_first_base_rate_is_what_the_stratum_showed_before(
    windows: tuple[int, int, int], rate: float
) -> None:
    world = World()
    world.tick(Past(at=T0, windows=(windows,)), at=0)
    world.enter(20, 20)

    world.wait(A_DAY_LATER)

    [scored] = world.scored("silence")
    assert scored.base_rate == pytest.approx(rate)


def test_silence_after_a_return_has_a_base_rate_of_its_own() -> None:
    world = full_cohort(World())
    everybody = [*range(20), *range(1_000, 1_020)]
    world.tick(*(session(i, LATER) for i in everybody))
    world.wait(A_DAY_LATER)
    world.tick(*(session(i, DAY + LATER) for i in everybody))
    world.wait(2 * DAY + 10)

    assert world.state.silent_controls == {
        0: Arms(candidate=0, control=20),
        8: Arms(candidate=0, control=20),
    }


def test_a_cohort_tells_the_networks_of_candidates_with_the_outcome() -> None:
    world = World()
    world.tick(
        *(seen(i, network=bytes([i])) for i in range(20)),
        *(seen(1_000 + i, candidate=False, network=b"c") for i in range(20)),
    )
    world.tick(*(session(i, LATER) for i in range(18)))

    world.wait(A_DAY_LATER)

    assert world.scored("healthy_launch")[0].networks == (b"\x12", b"\x13")


def test_a_longer_window_may_bear_an_outage_that_a_shorter_one_may_not() -> None:
    world = World()
    world.enter(20, 20, gap_seconds=DAY)

    world.tick(outage(10 * HOUR, 17 * HOUR))
    world.wait(4 * DAY)

    assert {e.metric for e in world.log} == {"silence"}


def test_outages_that_overlap_count_once() -> None:
    world = World()

    world.tick(outage(-5, 10), outage(5, 20), outage(6, 15))

    assert world.state.stage.outages == [(T0, T0 + 10), (T0 + 10, T0 + 20)]


def test_outages_before_and_after_a_window_do_not_change_it() -> None:
    world = World()
    world.tick(outage(5, 10))
    full_cohort(world, at=10)

    world.wait(DAY + 11)
    world.tick(outage(DAY + 20, DAY + 30))

    assert len(world.scored("silence")) == 1


def test_a_cohort_is_complete_at_its_size_in_order_of_the_outcomes() -> None:
    world = World()
    world.enter(30, 0)
    world.tick(*(seen(i, 2, candidate=False) for i in range(1_000, 1_030)))

    world.wait(2 * DAY)

    (scored,) = world.scored("silence")
    assert (scored.n_candidate, scored.n_control) == (30, 10)
    assert world.state.stage.pools["silence/0/linux-x86_64"].total == Arms(control=20)


def test_a_cohort_is_complete_a_day_after_its_first_outcome() -> None:
    world = World()
    world.enter(3, 3)

    world.wait(A_DAY_LATER)
    assert world.log == []
    world.tick(at=2 * DAY + 2)

    (scored,) = world.scored("silence")
    assert (scored.n_candidate, scored.n_control) == (3, 3)
    assert world.state.stage.pools == {}


def test_strata_and_platforms_mature_apart() -> None:
    world = World()
    world.tick(seen(1), seen(2, gap_seconds=7 * HOUR), seen(3, platform="other"))

    world.wait(A_DAY_LATER)

    assert sorted(world.state.stage.pools) == [
        "healthy_launch/0/linux-x86_64",
        "healthy_launch/0/other",
        "silence/0/linux-x86_64",
        "silence/0/other",
        "silence/1/linux-x86_64",
    ]


def test_what_silence_expects_follows_scored_controls_and_never_the_cohort_itself() -> None:
    world = full_cohort(World())
    world.tick(*(session(i, 12 * HOUR) for i in range(1_000, 1_010)))

    world.wait(A_DAY_LATER)
    world.tick(*(seen(i, A_DAY_LATER + 1, candidate=i < 3_000) for i in range(2_980, 3_020)))
    world.wait(2 * DAY + 5)

    first, second = world.scored("silence")
    assert first.base_rate == pytest.approx(0.1)
    assert second.base_rate == pytest.approx(20 / 120)
    assert world.state.silent_controls == {0: Arms(candidate=30, control=40)}


def test_a_good_outcome_is_measured_again_in_the_next_stage_and_a_bad_one_is_not() -> None:
    world = full_cohort(World())
    world.tick(*(session(i, LATER) for i in (*range(10), *range(1_000, 1_010))))
    world.wait(A_DAY_LATER)

    world.tick(stage_opened(at=A_DAY_LATER + 1))
    full_cohort(world, at=A_DAY_LATER + 2)
    world.wait(3 * DAY)

    pool = world.state.stage.pools["healthy_launch/0/linux-x86_64"]
    assert pool.total == Arms(candidate=10, control=10)


def test_a_new_stage_cancels_what_was_awaited() -> None:
    world = full_cohort(World())

    world.tick(stage_opened(at=100))
    world.wait(3 * DAY)

    assert world.log == []
    assert world.state.stage.pools == {}
    assert world.member(0).due_at is None


def test_a_new_stage_cancels_cohorts_that_are_not_complete() -> None:
    world = World()
    world.enter(3, 3)
    world.wait(A_DAY_LATER)

    world.tick(stage_opened(at=A_DAY_LATER + 1))

    assert world.state.stage.pools == {}


def test_installs_that_left_have_no_outcome() -> None:
    world = full_cohort(World())

    world.tick(left(0))
    world.wait(A_DAY_LATER)
    world.tick(at=3 * DAY)

    (scored,) = world.scored("silence")
    assert scored.n_candidate == 19


def test_installs_of_a_held_platform_have_no_outcome() -> None:
    world = full_cohort(World())

    world.tick(PlatformHeld(at=T0 + 5, platform="linux-x86_64"))
    world.wait(A_DAY_LATER)

    assert world.log == []
    assert world.member(0).awaits == 0


def test_candidates_and_internal_installs_are_guarded_and_controls_counted_beside() -> None:
    world = World()
    world.tick(seen(1), seen(2), seen(3, internal=True), seen(4, candidate=False))
    world.tick(*(crash(i, at) for i in (1, 3, 4) for at in (10, 20, 30)), session(2, LATER))

    world.wait(A_DAY_LATER)

    assert world.state.stage.guards == {
        "crashed": OneArm(failed=2, known=3),
        "unhealthy": OneArm(failed=1, known=2),
        "crash_loop": OneArm(failed=2, known=3),
        "silent": OneArm(failed=2, known=3),
        "control:crashed": OneArm(failed=1, known=1),
        "control:unhealthy": OneArm(failed=1, known=1),
        "control:crash_loop": OneArm(failed=1, known=1),
        "control:silent": OneArm(failed=1, known=1),
    }
    assert world.state.stage.pools["silence/0/linux-x86_64"].total.total == 3


def test_an_internal_install_is_unhealthy_if_it_applied_the_release_and_did_not_launch_it() -> None:
    world = World()
    world.tick(*(seen(i, internal=True) for i in range(5)))
    world.tick(
        *(stepped(i, Step.APPLY, 10) for i in (1, 2)),
        stepped(2, Step.LAUNCH, 20),
        stepped(3, Step.LAUNCH, 20, ok=False),
        stepped(4, Step.APPLY, 10),
        session(4, LATER),
    )

    world.wait(A_DAY_LATER)

    # Of 0 nothing is known: it never had the release in its hands.
    assert world.state.stage.guards["unhealthy"] == OneArm(failed=2, known=4)


def test_the_floor_counts_candidates_that_ran_on_the_release() -> None:
    world = World()
    world.tick(seen(1), seen(2), seen(3), seen(4, candidate=False), seen(5, internal=True))
    world.tick(*(stepped(i, Step.LAUNCH) for i in (1, 2, 4, 5)), crash(1, 20), crash(3, 20))

    world.wait(A_DAY_LATER)

    assert world.state.stage.floor == OneArm(failed=1, known=2)


def test_a_shorter_window_makes_outcomes_known_sooner() -> None:
    settings = replace(STANDARD, outcome_seconds=HOUR, silence_minimum_seconds=4 * HOUR)
    world = full_cohort(World(settings))

    world.wait(HOUR + 2)
    assert {e.metric for e in world.log} == {"healthy_launch"}
    world.wait(4 * HOUR + 2)

    assert len(world.scored("silence")) == 1


# --- how many are still open ----------------------------------------------------------------


def test_outcomes_are_open_until_they_are_known() -> None:
    world = World()
    world.enter(3, 5)
    assert world.state.stage.open_outcomes == 16  # a day's and a return, of each

    world.tick(*(seen(i, 12 * HOUR) for i in (0, 1_000)))
    world.wait(A_DAY_LATER)

    assert world.state.stage.open_outcomes == 0  # later windows are not counted
    world.wait(3 * A_DAY_LATER)
    assert world.state.stage.open_outcomes == 0


def test_those_with_long_gaps_await_no_return() -> None:
    world = World()
    world.enter(3, 5, gap_seconds=8 * DAY)

    assert world.state.stage.open_outcomes == 8


def test_whoever_leaves_takes_its_open_outcomes_along() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(left(0), left(1_000, for_good=False), left(7_777))
    assert world.state.stage.open_outcomes == 12

    world.wait(A_DAY_LATER)

    assert world.state.stage.open_outcomes == 0
    world.tick(left(1, A_DAY_LATER + 1))
    assert world.state.stage.open_outcomes == 0


def test_internal_installs_have_none_that_a_gate_asks_for() -> None:
    world = World()
    world.tick(seen(1, internal=True))
    assert world.state.stage.open_outcomes == 0

    world.wait(A_DAY_LATER)

    assert world.state.stage.open_outcomes == 0


def test_held_installs_outcomes_are_open_no_more_once_due() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(PlatformHeld(at=T0 + 5, platform=PLATFORM))

    world.wait(A_DAY_LATER)

    assert world.state.stage.open_outcomes == 0


def test_a_new_stage_counts_anew() -> None:
    world = World()
    world.enter(3, 5)
    world.tick(stage_opened(60))
    world.tick(seen(0, 70))

    world.wait(A_DAY_LATER)

    assert world.state.stage.open_outcomes == 2
