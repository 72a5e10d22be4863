from __future__ import annotations

from packaging.version import Version

from rollout.compose import document_for
from rollout.documents import render_policy, render_rollout
from rollout.model import Actor, Rollout, RolloutDocument, RolloutState
from tests.builders import APP, CHANNEL, NEW, NOW, a_policy, a_rollout
from update_server.service.agents.placement import offered_to_all
from update_server.service.ports import StoredDocument
from update_server.service.repository.contents import POLICY, ROLLOUT
from update_server.service.rollouts.take_back import restored_from


def signed(*rollouts: Rollout) -> RolloutDocument:
    return document_for(a_policy(), rollouts, [], now=NOW, next_check_in_seconds=60)


def test_what_is_as_it_was_signed_stays_as_it_is() -> None:
    rollout = a_rollout(position=2)

    assert restored_from(rollout, signed(rollout), a_policy()) == rollout


def test_a_wish_for_less_exposure_is_kept() -> None:
    wish = a_rollout(position=1)

    restored = restored_from(wish, signed(a_rollout(position=3)), a_policy())

    assert restored.position == 1


def test_a_wish_for_more_exposure_is_not() -> None:
    wish = a_rollout(position=3)

    assert restored_from(wish, signed(a_rollout(position=1)), a_policy()).position == 1


def test_a_resume_is_undone_and_a_pause_is_not() -> None:
    active, paused = a_rollout(), a_rollout(state=RolloutState.PAUSED)

    undone = restored_from(active, signed(paused), a_policy())

    assert (undone.state, undone.paused_by) == (RolloutState.PAUSED, Actor.PERSON)
    assert restored_from(paused, signed(active), a_policy()) == paused


def test_what_was_signed_as_pulled_stays_pulled() -> None:
    pulled = a_rollout(state=RolloutState.PULLED)

    restored = restored_from(a_rollout(state=RolloutState.PAUSED), signed(pulled), a_policy())

    assert restored.state is RolloutState.PULLED


def test_what_was_never_signed_is_given_up_unless_it_narrows() -> None:
    empty = signed()

    states = {
        state: restored_from(a_rollout(state=state), empty, a_policy()).state
        for state in RolloutState
    }

    given_up = {RolloutState.ACTIVE, RolloutState.PAUSED}
    assert states == {
        state: RolloutState.SUPERSEDED if state in given_up else state for state in RolloutState
    }
    assert restored_from(a_rollout(), None, a_policy()).state is RolloutState.SUPERSEDED


def test_a_replacement_that_was_not_signed_is_given_up() -> None:
    pulled = a_rollout(state=RolloutState.PULLED, replacement="2.0.0")
    without = a_rollout(state=RolloutState.PULLED)

    assert restored_from(pulled, signed(without), a_policy()).replacement is None
    kept = restored_from(pulled, signed(pulled), a_policy())
    assert kept.replacement == Version("2.0.0")


# --- what is public ----------------------------------------------------------------------


def stored(kind: str, document: bytes) -> StoredDocument:
    return StoredDocument(
        app=APP, channel=CHANNEL, kind=kind, version=1, expires_at=NOW, document=document
    )


def offered(rollout: Rollout) -> bool:
    documents = [
        stored(POLICY, render_policy(a_policy())),
        stored(ROLLOUT, render_rollout(signed(rollout))),
    ]
    return (CHANNEL, NEW) in offered_to_all(documents)


def test_a_version_is_offered_to_all_while_a_general_ring_is_open() -> None:
    assert not offered(a_rollout(position=0))
    assert offered(a_rollout(position=1))
    assert offered(a_rollout(position=5, state=RolloutState.COMPLETED))
    assert not offered(a_rollout(position=1, state=RolloutState.PAUSED))
    assert not offered(a_rollout(position=1, state=RolloutState.PULLED))
