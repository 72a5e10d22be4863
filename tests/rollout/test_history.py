from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest

from rollout.errors import DocumentError
from rollout.history import History, history_after, history_of, parse_history, render_history
from rollout.model import Actor, Entry, RolloutDocument, RolloutId, RolloutState
from tests.builders import (
    NEW,
    NOW,
    OLD,
    ROLLOUT_ID,
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


def document(*entries: Entry) -> RolloutDocument:
    return replace(a_rollout_document(), entries=entries)


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


def test_an_exposure_of_before_the_history_counts_from_now() -> None:
    history = history_after(History(), document(NARROW), document(NARROW), LATER, automatic=False)

    assert history.since == {ROLLOUT_ID: LATER}


def test_a_pause_is_automatic_if_it_was_so_when_it_began() -> None:
    by_itself = after(document(NARROW), document(PAUSED), automatic=True)
    by_a_person = after(document(NARROW), document(PAUSED))
    then = history_after(by_itself, document(PAUSED), document(PAUSED), LATER, automatic=False)
    never = history_after(by_a_person, document(PAUSED), document(PAUSED), LATER, automatic=True)
    over = history_after(by_itself, document(PAUSED), document(NARROW), LATER, automatic=False)

    assert by_itself.paused_automatically == then.paused_automatically == {ROLLOUT_ID}
    assert by_a_person.paused_automatically == never.paused_automatically == frozenset()
    assert over.paused_automatically == frozenset()


def test_what_starts_paused_may_be_paused_automatically() -> None:
    assert after(document(PAUSED), automatic=True).paused_automatically == {ROLLOUT_ID}


def test_pulled_and_completed_versions_are_never_forgotten() -> None:
    pulled = an_entry(version=NEW, state=RolloutState.PULLED)
    completed = an_entry(version=OLD, state=RolloutState.COMPLETED, rollout=OTHER)

    history = after(document(pulled, completed), document())

    assert history.pulled == {NEW}
    assert history.completed == {OLD}


def test_a_paused_or_pulled_rollback_makes_its_target_no_pulled_release() -> None:
    rollback = an_entry(version=OLD, state=RolloutState.PULLED, rollback=True, from_versions=[NEW])

    assert after(document(rollback)) == History(since=MappingProxyType({}))


def test_the_servers_own_records_make_a_history() -> None:
    history = history_of(
        [
            a_rollout(state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC),
            a_rollout(id=OTHER, version=OLD, state=RolloutState.COMPLETED),
            a_rollout(id="ro_pulled", version="1.0", state=RolloutState.PULLED),
        ]
    )

    assert history.since[OTHER] == NOW
    assert history.paused_automatically == {ROLLOUT_ID}
    assert [str(v) for v in history.pulled] == ["1.0"]
    assert history.completed == {OLD}


def test_a_history_is_read_as_it_was_written() -> None:
    history = History(
        since=MappingProxyType({ROLLOUT_ID: NOW}),
        paused_automatically=frozenset({ROLLOUT_ID, OTHER}),
        pulled=frozenset({NEW}),
        completed=frozenset({OLD}),
    )

    assert parse_history(render_history(history)) == history
    assert parse_history(render_history(History())) == History()


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"completed":[],"paused_automatically":[],"pulled":[],"since":[]}',
        b'{"completed":[],"paused_automatically":[],"pulled":[],"since":{"x":"2026-11-22T03:00:00Z"}}',
        b'{"completed":[],"paused_automatically":["x"],"pulled":[],"since":{}}',
    ],
)
def test_what_is_no_history_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_history(data)
