from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest

from rollout.compose import Shape, document_for, shape_at
from rollout.errors import DocumentError
from rollout.history import History, history_after, history_of, parse_history, render_history
from rollout.model import Actor, Audience, Entry, Rollout, RolloutDocument, RolloutId, RolloutState
from rollout.transitions import pause, resume, supersede
from rollout.widening import shape_of
from tests.builders import (
    LADDER,
    NEW,
    NOW,
    OLD,
    ROLLOUT_ID,
    a_policy,
    a_ring,
    a_rollout,
    a_rollout_document,
    an_entry,
)

LATER = NOW + timedelta(hours=1)
OTHER = RolloutId("ro_other")
NARROW = an_entry(rings=(a_ring(exposure_bp=100),))
WIDE = an_entry(rings=(a_ring(exposure_bp=1_000),))
PAUSED = replace(NARROW, state=RolloutState.PAUSED)
CUSTOM = Shape(
    rings=(a_ring(audience=Audience(custom=MappingProxyType({"edition": ("pro",)}))),),
    exposure_bp=10_000,
    holdback_bp=100,
)


def document(*entries: Entry) -> RolloutDocument:
    return replace(a_rollout_document(), entries=entries)


def of(*rollouts: Rollout) -> RolloutDocument:
    return document_for(a_policy(), rollouts, (), now=NOW, next_check_in_seconds=14_400)


def after(*documents: RolloutDocument, automatic: bool = False) -> History:
    """Return the history once *documents* were signed an hour apart, the last one as told."""
    history, before, now = History(), None, NOW
    for signed in documents:
        last = signed is documents[-1]
        history = history_after(history, before, signed, now, automatic=automatic and last)
        before, now = signed, now + timedelta(hours=1)
    return history


@pytest.mark.parametrize(
    ("documents", "since"),
    [
        ((document(NARROW),), NOW),
        ((document(NARROW), document(PAUSED)), NOW),
        ((document(NARROW), document(WIDE)), LATER),
        ((document(NARROW), document(replace(NARROW, holdback_bp=200))), LATER),
        ((document(), document(NARROW)), LATER),
    ],
)
def test_an_exposure_counts_from_when_it_was_opened(
    documents: tuple[RolloutDocument, ...], since: datetime
) -> None:
    assert after(*documents).since == {ROLLOUT_ID: since}


def test_an_exposure_counts_anew_from_a_resume() -> None:
    history = after(document(NARROW), document(PAUSED), document(NARROW))

    assert history.since == {ROLLOUT_ID: LATER + timedelta(hours=1)}


def test_an_exposure_counts_anew_for_another_version_of_the_same_rollout() -> None:
    older = replace(NARROW, version=OLD)

    assert after(document(older), document(NARROW)).since == {ROLLOUT_ID: LATER}


def test_an_exposure_of_before_the_history_counts_from_now() -> None:
    history = history_after(History(), document(NARROW), document(NARROW), LATER, automatic=False)

    assert history.since == {ROLLOUT_ID: LATER}


def test_a_pause_is_automatic_if_it_was_so_when_it_began() -> None:
    by_itself = after(document(NARROW), document(PAUSED), automatic=True)
    by_a_person = after(document(NARROW), document(PAUSED))
    then = history_after(by_itself, document(PAUSED), document(PAUSED), LATER, automatic=False)
    never = history_after(by_a_person, document(PAUSED), document(PAUSED), LATER, automatic=True)
    over = history_after(by_itself, document(PAUSED), document(NARROW), LATER, automatic=False)

    assert by_itself.paused_automatically == then.paused_automatically == {NEW}
    assert by_a_person.paused_automatically == never.paused_automatically == frozenset()
    assert over.paused_automatically == frozenset()


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize("actor", list(Actor))
def test_whose_pause_it_is_does_not_hang_on_who_has_it_signed(
    actor: Actor, automatic: bool
) -> None:
    history = history_after(
        History(),
        document(NARROW),
        document(PAUSED),
        LATER,
        automatic=automatic,
        paused_by={ROLLOUT_ID: actor},
    )

    assert history.paused_automatically == ({NEW} if actor is Actor.AUTOMATIC else frozenset())


def test_what_starts_paused_may_be_paused_automatically() -> None:
    assert after(document(PAUSED), automatic=True).paused_automatically == {NEW}


def test_an_automatic_pause_outlasts_its_rollout_and_ends_when_the_version_is_offered() -> None:
    paused = after(document(NARROW), document(PAUSED), automatic=True)
    gone = history_after(paused, document(PAUSED), document(), LATER, automatic=False)
    again = document(replace(NARROW, rollout=OTHER))
    over = history_after(gone, document(), again, LATER, automatic=False)

    assert gone.paused_automatically == {NEW}
    assert over.paused_automatically == frozenset()


def test_another_rollout_of_the_version_does_not_end_an_automatic_pause() -> None:
    twin = replace(NARROW, rollout=OTHER)

    history = after(document(NARROW, twin), document(PAUSED, twin), automatic=True)

    assert history.paused_automatically == {NEW}


def test_a_rollback_neither_begins_nor_ends_a_pause_of_its_target() -> None:
    rollback = an_entry(version=OLD, rollback=True, from_versions=[NEW])
    paused = replace(rollback, state=RolloutState.PAUSED)
    before = History(paused_automatically=frozenset({OLD}))

    begun = after(document(rollback), document(paused), automatic=True)
    ended = history_after(before, document(), document(rollback), NOW, automatic=False)

    assert begun.paused_automatically == frozenset()
    assert ended.paused_automatically == {OLD}


COMPLETED = an_entry(version=OLD, state=RolloutState.COMPLETED, rollout=OTHER, holdback_bp=100)


def test_pulled_and_completed_versions_are_remembered_when_they_leave() -> None:
    pulled = an_entry(version=NEW, state=RolloutState.PULLED)

    history = after(document(pulled, COMPLETED), document())

    assert history.pulled == {NEW}
    assert history.completed == {OLD: shape_of(COMPLETED)}


@pytest.mark.parametrize(
    "then",
    [
        replace(COMPLETED, state=RolloutState.PAUSED),
        replace(COMPLETED, state=RolloutState.PULLED),
        replace(COMPLETED, state=RolloutState.ACTIVE),
    ],
)
def test_what_was_completed_and_is_not_when_it_leaves_is_not_remembered(then: Entry) -> None:
    assert after(document(COMPLETED), document(then), document()).completed == {}


def test_a_completed_version_is_remembered_as_it_was_when_it_left() -> None:
    lowered = replace(COMPLETED, rings=(a_ring(exposure_bp=500),), exposure_bp=500)

    history = after(document(COMPLETED), document(lowered), document())

    assert history.completed == {OLD: shape_of(lowered)}


def test_a_paused_or_pulled_rollback_makes_its_target_no_pulled_release() -> None:
    rollback = an_entry(version=OLD, state=RolloutState.PULLED, rollback=True, from_versions=[NEW])

    assert after(document(rollback)) == History(since=MappingProxyType({}))


def test_the_servers_own_records_make_a_history() -> None:
    history = history_of(
        [
            a_rollout(state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC),
            a_rollout(id=OTHER, version=OLD, state=RolloutState.COMPLETED),
            a_rollout(id="ro_pulled", version="1.0", state=RolloutState.PULLED),
        ],
        ("staff",),
    )

    assert history.since[OTHER] == NOW
    assert history.paused_automatically == {NEW}
    assert [str(v) for v in history.pulled] == ["1.0"]
    assert history.completed == {OLD: shape_at(LADDER, 0, ("staff",))}


def test_of_two_rollouts_of_a_version_the_newer_one_tells_whether_it_is_paused() -> None:
    paused = a_rollout(state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC)
    given_up = supersede(paused, LATER)
    again = a_rollout(id=OTHER, started_at=LATER)

    assert history_of([given_up], ()).paused_automatically == {NEW}
    assert history_of([again, given_up], ()).paused_automatically == frozenset()


def test_the_servers_records_and_the_signers_memory_agree_about_a_soak() -> None:
    active = a_rollout(position=2)
    paused = pause(active, NOW, Actor.PERSON, "look")
    resumed = resume(paused, LATER)

    signed = after(*(of(each) for each in (active, paused)))
    signed = history_after(signed, of(paused), of(resumed), LATER, automatic=False)

    assert history_of([resumed], ("staff",)).since == signed.since == {ROLLOUT_ID: LATER}


def test_a_history_is_read_as_it_was_written() -> None:
    history = History(
        since=MappingProxyType({ROLLOUT_ID: NOW}),
        paused_automatically=frozenset({NEW, OLD}),
        pulled=frozenset({NEW}),
        completed=MappingProxyType({OLD: shape_at(LADDER, 5, ("staff",)), NEW: CUSTOM}),
    )

    assert parse_history(render_history(history)) == history
    assert parse_history(render_history(History())) == History()


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"completed":[],"paused_automatically":[],"pulled":[],"since":{}}',
        b'{"completed":{},"paused_automatically":[],"pulled":[],"since":[]}',
        b'{"completed":{},"paused_automatically":[],"pulled":[],"since":{"x":"2026-11-22T03:00:00Z"}}',
        b'{"completed":{},"paused_automatically":["x"],"pulled":[],"since":{}}',
        b'{"completed":{"x":{}},"paused_automatically":[],"pulled":[],"since":{}}',
        b'{"completed":{"1":{}},"paused_automatically":[],"pulled":[],"since":{}}',
    ],
)
def test_what_is_no_history_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_history(data)
