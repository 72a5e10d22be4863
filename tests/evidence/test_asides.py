"""Reports that were set aside: counted once a rule and install, and tested like entrants."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.judge_world import JudgeWorld, a_terrible_world, a_world
from tests.study_world import T0, World, as_key, seen, stage_opened
from update_server.evidence.asides import LOG_UNEQUAL, unequal_rule
from update_server.evidence.facts import PlatformHeld, Rule, SetAside, Unsuspended
from update_server.evidence.srm import add_entrants, empty_srm, log_e_srm
from update_server.evidence.state import Arms, Aside, State
from update_server.evidence.verdicts import Verdict


def aside(key: int, at: float = 10, rule: Rule = Rule.IMPLAUSIBLE) -> SetAside:
    return SetAside(at=T0 + at, install=as_key(key), rule=rule)


def an_aside(candidates: int, controls: int, share: float = 0.1) -> Aside:
    vector = empty_srm()
    add_entrants(vector, candidates=candidates, controls=controls, share=share)
    installs = Arms(candidate=candidates, control=controls)
    return Aside(vector=vector, installs=installs, due=share * installs.total)


def unequal_world(world: JudgeWorld | None = None) -> JudgeWorld:
    world = world or a_world()
    world.state.asides[Rule.IMPLAUSIBLE] = an_aside(12, 1)
    return world


# --- counting -------------------------------------------------------------------------------


def test_installs_are_counted_by_rule_and_arm() -> None:
    world = World()
    world.enter(2, 2)

    world.tick(aside(0), aside(1), aside(1_000), aside(1_000, rule=Rule.UNKNOWN_VERSION))

    implausible = world.state.asides[Rule.IMPLAUSIBLE]
    assert implausible.installs == Arms(candidate=2, control=1)
    assert implausible.due == 1.5
    assert world.state.asides[Rule.UNKNOWN_VERSION].installs == Arms(control=1)


def test_they_are_held_against_the_design_share() -> None:
    world = World()
    world.enter(3, 3)
    expected = empty_srm()
    add_entrants(expected, candidates=2, controls=1, share=0.5)

    world.tick(aside(0), aside(1), aside(1_001))

    assert world.state.asides[Rule.IMPLAUSIBLE].vector == pytest.approx(expected)


def in_one_room(number: int, *, network_cap: int = 3) -> World:
    world = World()
    world.settings = replace(world.settings, network_cap=network_cap)
    world.tick(*(seen(key, network=b"room") for key in range(number)))
    return world


def test_of_one_network_only_the_first_few_count_in_either_arm() -> None:
    """Else one room could suspend a rollout that it cannot pause."""
    world = in_one_room(20)
    world.tick(seen(100, candidate=False, network=b"room"), seen(200, network=b"another"))

    world.tick(*(aside(key) for key in range(20)))
    world.tick(aside(100, 11), aside(200, 11))

    assert world.state.asides[Rule.IMPLAUSIBLE].installs == Arms(candidate=4)
    assert unequal_rule(world.state) is None
    assert world.state.stage.capped_networks == 0  # its crashes are believed as before


def test_a_cap_is_of_one_stage_and_rule() -> None:
    world = in_one_room(4)

    world.tick(*(aside(key) for key in range(4)))
    world.tick(*(aside(key, 11, Rule.UNKNOWN_VERSION) for key in range(4)))
    world.tick(stage_opened(at=20))
    world.tick(*(seen(key, 21, network=b"room") for key in range(10, 14)))
    world.tick(*(aside(key, 22) for key in range(10, 14)))

    assert world.state.asides[Rule.IMPLAUSIBLE].installs == Arms(candidate=6)
    assert world.state.asides[Rule.UNKNOWN_VERSION].installs == Arms(candidate=3)


def test_control_without_a_cap_the_room_suspends() -> None:
    world = in_one_room(40, network_cap=0)

    world.tick(*(aside(key) for key in range(40)))

    assert unequal_rule(world.state) is Rule.IMPLAUSIBLE


def test_an_install_counts_once_however_much_of_it_is_set_aside() -> None:
    world = World()
    world.enter(2, 2)

    world.tick(aside(0), aside(0, 11))
    world.tick(aside(0, 12))
    world.tick(stage_opened(at=20))
    world.enter(2, 2, at=21)
    world.tick(aside(0, 22), aside(1, 22))

    assert world.state.asides[Rule.IMPLAUSIBLE].installs == Arms(candidate=2)


def test_who_is_in_no_arm_does_not_count() -> None:
    world = World()
    world.tick(seen(1, internal=True), seen(2, aged=False), seen(3, platform="windows-x86_64"))
    world.tick(PlatformHeld(at=T0 + 2, platform="windows-x86_64"))

    world.tick(aside(1), aside(2), aside(3), aside(4))

    assert world.state.asides == {}


def test_what_was_set_aside_before_the_install_entered_does_not_count() -> None:
    world = World()

    world.tick(seen(1, 10), aside(1, 10), aside(1, 9))

    assert world.state.asides == {}


def test_a_report_that_is_set_aside_is_no_sign_that_anything_was_heard() -> None:
    world = World()
    world.enter(1, 1)

    world.tick(aside(0, 500))

    assert world.state.last_contact_at == T0 + 1


def test_an_install_that_had_reports_set_aside_is_still_at_risk() -> None:
    world, twin = World(), World()
    for each in (world, twin):
        each.enter(2, 2)

    world.tick(aside(0))

    assert world.state.stage.risk_sets == twin.state.stage.risk_sets


# --- the test -------------------------------------------------------------------------------


def test_without_anything_set_aside_no_rule_is_unequal() -> None:
    assert unequal_rule(State()) is None


def test_the_rule_with_most_against_it_is_named() -> None:
    state = State(
        asides={
            Rule.UNKNOWN_VERSION: an_aside(12, 1),
            Rule.IMPLAUSIBLE: an_aside(40, 1),
            Rule.EXPIRED_TOKEN: an_aside(1, 9),
        }
    )

    assert unequal_rule(state) is Rule.IMPLAUSIBLE


@pytest.mark.parametrize(
    ("candidates", "controls", "share", "is_unequal"),
    [
        (9, 0, 0.01, False),
        (10, 0, 0.01, True),
        (11, 1, 0.1, False),
        (12, 1, 0.1, True),
        (0, 150, 0.1, False),
        (0, 151, 0.1, True),
        (500, 4_500, 0.1, False),
        (300, 0, 1.0, False),
    ],
)
def test_it_takes_so_many_installs(
    candidates: int, controls: int, share: float, is_unequal: bool
) -> None:
    found = unequal_rule(State(asides={Rule.IMPLAUSIBLE: an_aside(candidates, controls, share)}))

    assert (found is not None) is is_unequal


def test_rules_that_treat_both_arms_alike_hardly_ever_suspend() -> None:
    draw = random.Random(7)
    suspended = 0
    for _ in range(400):
        vector, worst = empty_srm(), 0.0
        for _ in range(60):
            is_candidate = draw.random() < 0.1
            add_entrants(vector, candidates=is_candidate, controls=not is_candidate, share=0.1)
            worst = max(worst, log_e_srm(vector))
        suspended += worst >= LOG_UNEQUAL

    # 1 in 5,000 at most: two of 400 would come with a probability of 0.3 %.
    assert suspended <= 1


# --- what follows ---------------------------------------------------------------------------


def test_a_rule_that_treats_the_arms_unlike_suspends_and_the_sentence_says_why() -> None:
    world = unequal_world()

    judgement = world.judge()

    assert judgement.verdict is Verdict.SUSPEND
    assert world.state.suspended
    assert judgement.record["suspended_by"] == "set_aside"
    assert judgement.record["set_aside"][Rule.IMPLAUSIBLE]["candidate"] == 12
    assert judgement.record["sentence"].startswith(
        'Stopped judging 4.2.0: of 13 installs with reports set aside as "implausible", 12 are '
        "candidates where 1.3 were due (e-value "
    )


def test_without_the_difference_it_would_have_gone_on() -> None:
    world = a_world()
    world.state.asides[Rule.IMPLAUSIBLE] = an_aside(12, 108)

    judgement = world.judge()

    assert judgement.verdict is not Verdict.SUSPEND


def test_harm_still_pauses_and_does_not_pull() -> None:
    world = unequal_world(a_terrible_world())

    assert world.judge().verdict is Verdict.SUSPEND
    assert world.judge().verdict is Verdict.PAUSE


def test_entrants_that_do_not_fall_as_they_should_are_told_first() -> None:
    world = unequal_world()
    world.state.stage.srm[0] = 70.0

    assert world.judge().record["suspended_by"] == "sample_ratio"


def test_once_a_person_ends_the_suspension_all_is_counted_anew() -> None:
    world = World()
    world.enter(2, 2)
    world.tick(aside(0))
    world.state.suspended, world.state.unequal = True, "implausible"
    world.state.decided = "suspend/1"

    world.tick(Unsuspended(at=T0 + 20))

    state = world.state
    assert (state.suspended, state.unequal, state.asides, state.decided) == (False, "", {}, "")


def test_what_suspends_again_is_told_again() -> None:
    world = unequal_world()
    world.judge()
    study = World()
    study.state = world.state
    study.tick(Unsuspended(at=world.now))
    calm = world.judge(60)

    again = unequal_world(world).judge(60)

    assert calm.verdict is not Verdict.SUSPEND
    assert again.record["suspended_by"] == "set_aside"


def test_ending_a_suspension_leaves_other_decisions_alone() -> None:
    world = World()
    world.state.suspended, world.state.decided = True, "pause/1"

    world.tick(Unsuspended(at=T0 + 20))

    assert world.state.decided == "pause/1"
