from collections.abc import Callable
from datetime import timedelta

import pytest
from packaging.version import Version

from rollout.errors import IllegalTransitionError
from rollout.model import Actor, Rollout, RolloutId, RolloutState
from rollout.transitions import (
    complete,
    legal_verbs,
    pause,
    promote,
    pull,
    resume,
    start,
    supersede,
)
from tests.builders import LADDER, NEW, NOW, OLD, a_rollout

LATER = NOW + timedelta(hours=1)


def started(ring: str | None = None) -> Rollout:
    return start(
        id=RolloutId("ro_7k2m"),
        app="demo",
        channel="stable",
        version=NEW,
        ladder=LADDER,
        now=NOW,
        ring=ring,
    )


def test_a_rollout_starts_at_the_first_step() -> None:
    rollout = started()

    assert rollout == a_rollout(position=0)
    assert (rollout.revision, rollout.step.ring) == (1, "internal")


def test_a_rollout_may_start_at_another_ring() -> None:
    assert started("10%").position == 2
    assert started("internal").position == 0


@pytest.mark.parametrize("ring", ["5%", ""])
def test_a_rollout_cannot_start_at_a_ring_that_the_ladder_lacks(ring: str) -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        started(ring)

    assert (caught.value.verb, caught.value.state, caught.value.legal) == ("start", None, ())


def test_a_rollout_cannot_start_without_a_ladder() -> None:
    with pytest.raises(IllegalTransitionError):
        start(
            id=RolloutId("ro_7k2m"), app="demo", channel="stable", version=NEW, ladder=(), now=NOW
        )


def test_promote_opens_the_next_step() -> None:
    rollout = promote(a_rollout(position=3), LATER)

    assert (rollout.position, rollout.step.exposure_bp) == (4, 9_800)
    assert (rollout.position_reached_at, rollout.changed_at) == (LATER, LATER)
    assert (rollout.revision, rollout.started_at) == (2, NOW)


def test_promote_can_name_a_ring_further_on() -> None:
    rollout = promote(a_rollout(position=0), LATER, ring="all")

    assert (rollout.position, rollout.step.exposure_bp) == (3, 5_000)


def test_promote_can_name_the_very_next_ring() -> None:
    assert promote(a_rollout(position=0), LATER, ring="1%").position == 1


def test_promoting_to_the_ring_that_is_open_changes_nothing() -> None:
    rollout = a_rollout(position=3)

    assert promote(rollout, LATER, ring="all") is rollout


@pytest.mark.parametrize("ring", ["1%", "5%"])
def test_promote_cannot_go_back_or_to_a_ring_that_is_not_there(ring: str) -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        promote(a_rollout(position=2), LATER, ring=ring)

    assert "promote" in caught.value.legal


def test_the_last_step_can_be_completed_and_not_promoted() -> None:
    rollout = a_rollout(position=len(LADDER) - 1)

    assert complete(rollout, LATER).state is RolloutState.COMPLETED
    with pytest.raises(IllegalTransitionError) as caught:
        promote(rollout, LATER)
    assert caught.value.legal == ("pause", "pull", "supersede", "complete")


def test_an_earlier_step_cannot_be_completed() -> None:
    with pytest.raises(IllegalTransitionError):
        complete(a_rollout(position=4), LATER)


def test_a_pause_remembers_who_paused_and_why() -> None:
    rollout = pause(a_rollout(), LATER, by=Actor.AUTOMATIC, reason="crashes")

    assert rollout.state is RolloutState.PAUSED
    assert (rollout.paused_by, rollout.reason) == (Actor.AUTOMATIC, "crashes")
    assert rollout.position_reached_at == NOW


def test_resume_ends_a_pause_where_it_stood() -> None:
    paused = pause(a_rollout(position=2), LATER, by=Actor.PERSON, reason="look")

    rollout = resume(paused, LATER)

    assert (rollout.state, rollout.position) == (RolloutState.ACTIVE, 2)
    assert (rollout.paused_by, rollout.revision) == (None, 3)


def test_a_step_soaks_anew_after_a_resume() -> None:
    rollout = resume(pause(a_rollout(), NOW, by=Actor.PERSON, reason="look"), LATER)

    assert rollout.position_reached_at == LATER


def test_who_paused_a_superseded_rollout_stays_known() -> None:
    paused = pause(a_rollout(), NOW, by=Actor.AUTOMATIC, reason="crashes")

    assert supersede(paused, LATER).paused_by is Actor.AUTOMATIC


def test_pull_withdraws_for_good() -> None:
    rollout = pull(a_rollout(), LATER, "breaks", replacement=OLD)

    assert (rollout.state, rollout.replacement) == (RolloutState.PULLED, OLD)
    assert legal_verbs(rollout) == ()


def test_a_pulled_rollout_can_be_given_a_replacement_later() -> None:
    pulled = pull(a_rollout(), NOW, "breaks")

    rollout = pull(pulled, LATER, "go back", replacement=OLD)

    assert (rollout.replacement, rollout.revision) == (OLD, 3)


@pytest.mark.parametrize("replacement", [NEW, Version("3.0")])
def test_a_replacement_is_older(replacement: Version) -> None:
    with pytest.raises(IllegalTransitionError):
        pull(a_rollout(), LATER, "breaks", replacement=replacement)


def test_a_superseded_rollout_can_still_be_pulled() -> None:
    rollout = supersede(a_rollout(), LATER)

    assert legal_verbs(rollout) == ("pull",)
    assert pull(rollout, LATER, "breaks").state is RolloutState.PULLED


@pytest.mark.parametrize(
    ("rollout", "again"),
    [
        (a_rollout(state=RolloutState.ACTIVE), lambda r: resume(r, LATER)),
        (
            a_rollout(state=RolloutState.PAUSED),
            lambda r: pause(r, LATER, by=Actor.PERSON, reason="again"),
        ),
        (a_rollout(state=RolloutState.PULLED), lambda r: pull(r, LATER, "again")),
        (
            a_rollout(state=RolloutState.PULLED, replacement=OLD),
            lambda r: pull(r, LATER, "again", OLD),
        ),
        (a_rollout(state=RolloutState.SUPERSEDED), lambda r: supersede(r, LATER)),
        (a_rollout(state=RolloutState.COMPLETED), lambda r: complete(r, LATER)),
    ],
)
def test_asking_for_what_is_so_changes_nothing(
    rollout: Rollout, again: Callable[[Rollout], Rollout]
) -> None:
    assert again(rollout) is rollout


@pytest.mark.parametrize("state", [RolloutState.PULLED, RolloutState.SUPERSEDED])
def test_nothing_brings_back_what_was_given_up(state: RolloutState) -> None:
    rollout = a_rollout(state=state)

    with pytest.raises(IllegalTransitionError):
        resume(rollout, LATER)
    with pytest.raises(IllegalTransitionError):
        promote(rollout, LATER)
    with pytest.raises(IllegalTransitionError):
        pause(rollout, LATER, by=Actor.PERSON, reason="")
    with pytest.raises(IllegalTransitionError):
        complete(rollout, LATER)


def test_an_illegal_transition_names_the_legal_ones() -> None:
    with pytest.raises(IllegalTransitionError) as caught:
        promote(a_rollout(state=RolloutState.PAUSED), LATER)

    assert caught.value.state is RolloutState.PAUSED
    assert caught.value.legal == ("resume", "pull", "supersede")
