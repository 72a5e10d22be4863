"""Each law of the decision notices a decision that breaks it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from rollout.decide import decide
from rollout.model import Action, Assignment, Documents, Entry, Install, Reason, RolloutState
from tests.property import strategies as own
from tests.property import test_decisions as laws

Decide = Callable[[Documents, Install, datetime], Assignment]


def with_entries(documents: Documents, change: Callable[[Entry], Entry]) -> Documents:
    if documents.rollout is None:
        return documents
    entries = tuple(change(entry) for entry in documents.rollout.entries)
    return replace(documents, rollout=replace(documents.rollout, entries=entries))


def rolls_dice(documents: Documents, install: Install, now: datetime) -> Assignment:
    assignment = decide(documents, install, now)
    rolled = None if assignment.bucket is None else now.second
    return replace(assignment, bucket=rolled)


def narrows_as_rings_widen(documents: Documents, install: Install, now: datetime) -> Assignment:
    def wrapped(entry: Entry) -> Entry:
        rings = (replace(ring, exposure_bp=10_000 - ring.exposure_bp) for ring in entry.rings)
        return replace(entry, rings=tuple(rings))

    return decide(with_entries(documents, wrapped), install, now)


def ignores_pauses(documents: Documents, install: Install, now: datetime) -> Assignment:
    active = with_entries(documents, lambda entry: replace(entry, state=RolloutState.ACTIVE))
    return decide(active, install, now)


def ignores_floors(documents: Documents, install: Install, now: datetime) -> Assignment:
    policy = replace(documents.policy, floor=None)
    return decide(replace(documents, policy=policy), replace(install, sticky_floor=None), now)


def forgets_the_high_water(documents: Documents, install: Install, now: datetime) -> Assignment:
    return decide(documents, replace(install, high_water=None), now)


def ignores_revocation(documents: Documents, install: Install, now: datetime) -> Assignment:
    policy = replace(documents.policy, revoked=frozenset())
    return decide(replace(documents, policy=policy), install, now)


def ignores_the_ceiling(documents: Documents, install: Install, now: datetime) -> Assignment:
    policy = replace(documents.policy, ceiling=())
    return decide(replace(documents, policy=policy), install, now)


def ignores_the_holdback(documents: Documents, install: Install, now: datetime) -> Assignment:
    return decide(with_entries(documents, lambda e: replace(e, holdback_bp=0)), install, now)


def gives_no_reason(documents: Documents, install: Install, now: datetime) -> Assignment:
    assignment = decide(documents, install, now)
    return replace(assignment, reason=Reason.UP_TO_DATE)


def waits_for_a_rollout(documents: Documents, install: Install, now: datetime) -> Assignment:
    if documents.rollout is None:
        return Assignment(action=Action.STAY, reason=Reason.NO_RELEASE)
    return decide(documents, install, now)


JOURNEYS = st.lists(st.tuples(own.documents(), own.instants), max_size=4)
# Floors above most versions: an offer below one is not left to luck.
FLOORED = st.lists(
    st.tuples(
        own.documents().map(lambda d: replace(d, policy=replace(d.policy, floor=own.VERSIONS[-1]))),
        own.instants,
    ),
    min_size=1,
    max_size=2,
)
CASE = (own.documents(), own.installs(), own.instants)
BROKEN: list[tuple[Any, Decide, tuple[st.SearchStrategy[Any], ...]]] = [
    (laws.test_every_install_gets_one_assignment_with_a_reason, gives_no_reason, CASE),
    (
        laws.test_the_same_install_always_has_the_same_bucket,
        rolls_dice,
        (own.documents(), own.installs(), own.installs(), own.instants, own.instants),
    ),
    (
        laws.test_widening_a_ring_never_takes_an_offer_away,
        narrows_as_rings_widen,
        (st.data(), *CASE),
    ),
    (
        laws.test_a_paused_or_pulled_release_is_never_newly_offered,
        ignores_pauses,
        (*CASE, own.versions, laws.WITHHELD),
    ),
    (laws.test_no_path_leads_below_the_floor, ignores_floors, (FLOORED, own.installs())),
    (
        laws.test_every_step_down_is_an_edge_of_the_highest_release_ever_installed,
        forgets_the_high_water,
        (JOURNEYS, own.installs()),
    ),
    (laws.test_only_what_is_signed_for_this_install_is_ever_chosen, ignores_revocation, CASE),
    (laws.test_an_offer_is_within_ring_ceiling_and_holdback, ignores_the_ceiling, CASE),
    (laws.test_an_offer_is_within_ring_ceiling_and_holdback, ignores_the_holdback, CASE),
    (laws.test_what_must_be_reached_cannot_be_withheld, waits_for_a_rollout, CASE),
]


@pytest.mark.parametrize(
    ("law", "broken", "arguments"), BROKEN, ids=[broken.__name__ for _, broken, _ in BROKEN]
)
def test_a_broken_decision_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    law: Any,
    broken: Decide,
    arguments: tuple[st.SearchStrategy[Any], ...],
) -> None:
    monkeypatch.setattr(laws, "decide", broken)

    assert is_broken(law, arguments)


def test_a_hint_that_is_obeyed_blindly_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def obeys(local: Assignment, *hint: Any, answered_recently: bool) -> Assignment:
        action, version, reason = hint
        told = replace(local, action=action, version=version, reason=reason)
        return told if answered_recently else local

    monkeypatch.setattr(laws, "narrow", obeys)

    law = laws.test_no_answer_of_the_server_takes_an_install_further
    assert is_broken(
        law, (own.documents(), own.documents(), own.installs(), own.instants, st.booleans())
    )


def is_broken(law: Any, arguments: tuple[st.SearchStrategy[Any], ...]) -> bool:
    """Whether some example of *arguments* breaks *law*. The example itself is of no interest."""
    check = settings(  # no search for the smallest example, which would take long
        max_examples=10_000,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        database=None,
        derandomize=True,
    )(given(*arguments)(law.hypothesis.inner_test))
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore", HypothesisWarning)  # that an example is large
            check()
    except (AssertionError, KeyError):
        return True
    return False
