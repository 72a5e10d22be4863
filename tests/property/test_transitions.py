"""Laws of a rollout's life, and of the documents that tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.compose import MAX_ENTRIES, PlacedHold, document_for, kept_and_dropped
from rollout.documents import check_against_policy, parse_rollout, render_rollout
from rollout.errors import IllegalTransitionError
from rollout.first import rollout_behind
from rollout.model import Actor, Policy, Rollout, RolloutState, Step
from rollout.transitions import (
    complete,
    legal_verbs,
    pause,
    promote,
    pull,
    resume,
    supersede,
)
from tests.builders import NOW, a_rollout
from tests.property import strategies as own

VERBS: dict[str, Callable[[Rollout, datetime], Rollout]] = {
    "promote": promote,
    "pause": lambda rollout, now: pause(rollout, now, Actor.PERSON, "why"),
    "resume": resume,
    "pull": lambda rollout, now: pull(rollout, now, "why"),
    "supersede": supersede,
    "complete": complete,
}
AGAIN = {
    "pause": RolloutState.PAUSED,
    "resume": RolloutState.ACTIVE,
    "pull": RolloutState.PULLED,
    "supersede": RolloutState.SUPERSEDED,
    "complete": RolloutState.COMPLETED,
}
lives = st.lists(st.sampled_from(sorted(VERBS)), max_size=8)


def after(rollout: Rollout, life: list[str]) -> Rollout:
    """Return *rollout* after the verbs of *life*, as far as they are legal."""
    for number, verb in enumerate(life):
        if verb in legal_verbs(rollout):
            rollout = VERBS[verb](rollout, NOW + timedelta(minutes=number))
    return rollout


@given(own.ladders(least=1), lives, st.sampled_from(sorted(VERBS)))
def test_a_verb_works_exactly_when_it_is_legal_or_already_so(
    ladder: tuple[Step, ...], life: list[str], verb: str
) -> None:
    rollout = after(a_rollout(ladder=ladder), life)

    if verb in legal_verbs(rollout):
        assert VERBS[verb](rollout, NOW).revision == rollout.revision + 1
    elif rollout.state is AGAIN.get(verb):
        assert VERBS[verb](rollout, NOW) is rollout
    else:
        with pytest.raises(IllegalTransitionError) as caught:
            VERBS[verb](rollout, NOW)
        assert caught.value.legal == legal_verbs(rollout)


@given(own.ladders(least=1), lives, lives)
def test_a_pulled_rollout_stays_pulled(
    ladder: tuple[Step, ...], before: list[str], later: list[str]
) -> None:
    pulled = pull(after(a_rollout(ladder=ladder), before), NOW, "why")

    assert after(pulled, later) == pulled


@given(own.ladders(least=1), lives)
def test_exposure_never_falls_but_by_verbs_that_say_so(
    ladder: tuple[Step, ...], life: list[str]
) -> None:
    rollout = a_rollout(ladder=ladder)

    for verb in life:
        changed = after(rollout, [verb])
        assert changed.position - rollout.position in {0, 1}
        rollout = changed


@st.composite
def channels(draw: st.DrawFn) -> tuple[Policy, list[Rollout], list[PlacedHold]]:
    rollouts = [
        after(
            a_rollout(
                id=f"ro_{number:04}",
                version=draw(own.versions),
                ladder=draw(own.ladders(least=1)),
                started_at=NOW + timedelta(hours=number),
            ),
            draw(lives),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    for index, rollout in enumerate(rollouts):
        older = own.OLDER[rollout.version]
        if rollout.state is RolloutState.PULLED and older and draw(st.booleans()):
            rollouts[index] = pull(rollout, NOW, "why", draw(st.sampled_from(older)))
        if draw(st.booleans()) and older:
            bad = draw(st.sampled_from(older))
            rollouts[index] = replace(rollouts[index], first_for=bad)
    holds = [PlacedHold(hold=draw(own.holds()))] if draw(st.booleans()) else []
    return draw(own.policies()), rollouts, holds


@given(channels())
def test_what_the_server_wants_can_always_be_said_in_a_valid_document(
    channel: tuple[Policy, list[Rollout], list[PlacedHold]],
) -> None:
    policy, rollouts, holds = channel

    document = document_for(policy, rollouts, holds, now=NOW, next_check_in_seconds=60)

    assert parse_rollout(render_rollout(document)) == document
    assert check_against_policy(document, policy) is document


@given(channels(), st.integers(0, 30))
def test_a_document_has_room_for_whatever_is_not_pulled(
    channel: tuple[Policy, list[Rollout], list[PlacedHold]], more: int
) -> None:
    policy, rollouts, holds = channel
    old = [
        a_rollout(
            id=f"ro_old{n}", version=f"0.{n + 1}", state=RolloutState.PULLED, replacement="0.0"
        )
        for n in range(more)
    ]

    document = document_for(policy, [*rollouts, *old], holds, now=NOW, next_check_in_seconds=60)
    kept, dropped = kept_and_dropped(policy, [*rollouts, *old])

    assert len(document.entries) <= MAX_ENTRIES
    assert all(rollout.state is RolloutState.PULLED for rollout in dropped)
    named = {rollout_behind(entry.rollout) for entry in document.entries if entry.rollout}
    assert named == {rollout.id for rollout in kept}
