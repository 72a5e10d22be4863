"""Laws of the decision, for every install and all documents that can be parsed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from rollout.bucket import bucket_of
from rollout.decide import decide, narrow
from rollout.eligibility import why_not_allowed
from rollout.model import (
    Action,
    Assignment,
    Documents,
    Entry,
    Install,
    Reason,
    RolloutState,
)
from rollout.rings import ceiling_at, is_internal
from tests.property import strategies as own

# Decisions are cheap and have many corners: three times the profile's examples.
often = settings(max_examples=3 * settings().max_examples)

WITHHELD = st.sampled_from((RolloutState.PAUSED, RolloutState.PULLED))


def with_entries(documents: Documents, *entries: Entry) -> Documents:
    assert documents.rollout is not None
    return replace(documents, rollout=replace(documents.rollout, entries=entries))


@often
@given(own.documents(), own.installs(), own.instants)
def test_every_install_gets_one_assignment_with_a_reason(
    documents: Documents, install: Install, now: datetime
) -> None:
    assignment = decide(documents, install, now)

    moves = {Reason.IN_RING, Reason.MUST_REACH, Reason.ROLLED_BACK}
    assert (assignment.reason in moves) is (assignment.action is not Action.STAY)
    assert (assignment.version is None) is (assignment.action is Action.STAY)
    assert (assignment.reason is Reason.ROLLED_BACK) is (assignment.action is Action.ROLLBACK)
    assert (assignment.hold is not None) is (assignment.reason is Reason.HELD)
    assert (assignment.detail is not None) is (assignment.reason is Reason.NOT_ELIGIBLE)


@often
@given(own.documents(), own.installs(), own.installs(), own.instants, own.instants)
def test_the_same_install_always_has_the_same_bucket(
    documents: Documents, one: Install, other: Install, now: datetime, later: datetime
) -> None:
    changed = replace(other, id=one.id)

    for install, at in ((one, now), (one, later), (changed, later)):
        assignment = decide(documents, install, at)
        if assignment.bucket is not None and assignment.version is not None:
            salt = documents.releases[assignment.version].salt
            assert assignment.bucket == bucket_of(salt, one.id)


@often
@given(st.data(), own.documents(), own.installs(), own.instants)
def test_widening_a_ring_never_takes_an_offer_away(
    data: st.DataObject, documents: Documents, install: Install, now: datetime
) -> None:
    before = decide(documents, install, now)
    if before.reason is not Reason.IN_RING:
        return
    assert documents.rollout is not None
    entries = list(documents.rollout.entries)
    places = [(i, j) for i, entry in enumerate(entries) for j in range(len(entry.rings))]
    narrow_ones = [(i, j) for i, j in places if entries[i].rings[j].exposure_bp < 10_000]
    index, which = data.draw(st.sampled_from(narrow_ones or places))
    rings = list(entries[index].rings)
    wider = [bp for bp in own.SHARES_BP if bp >= rings[which].exposure_bp]
    rings[which] = replace(rings[which], exposure_bp=data.draw(st.sampled_from(wider[::-1])))

    entries[index] = replace(entries[index], rings=tuple(rings))
    after = decide(with_entries(documents, *entries), install, now)

    # It is the same offer, or that of the wider ring, which stands before it.
    assert after.action is not Action.STAY
    assert after.version in {before.version, entries[index].version}


@often
@given(own.documents(), own.installs(), own.instants, own.versions, WITHHELD)
def test_a_paused_or_pulled_release_is_never_newly_offered(
    documents: Documents, install: Install, now: datetime, version: Version, state: RolloutState
) -> None:
    assume(documents.rollout is not None)
    assert documents.rollout is not None
    unhurried = replace(documents, policy=replace(documents.policy, must_reach=()))
    entries = [
        replace(entry, state=state) if entry.version == version else entry
        for entry in documents.rollout.entries
    ]

    assignment = decide(with_entries(unhurried, *entries), install, now)

    assert assignment.version != version


@often
@given(st.lists(st.tuples(own.documents(), own.instants), max_size=4), own.installs())
def test_no_path_leads_below_the_floor(
    journey: list[tuple[Documents, datetime]], install: Install
) -> None:
    for documents, now in journey:
        floors = [f for f in (install.sticky_floor, documents.policy.floor) if f is not None]
        install = replace(install, sticky_floor=max(floors, default=None))

        assignment = decide(documents, install, now)

        if assignment.version is not None:
            assert all(assignment.version >= floor for floor in floors)
            reached = [v for v in (install.high_water, assignment.version) if v is not None]
            install = replace(install, version=assignment.version, high_water=max(reached))


@often
@given(st.lists(st.tuples(own.documents(), own.instants), max_size=4), own.installs())
def test_every_step_down_is_an_edge_of_the_highest_release_ever_installed(
    journey: list[tuple[Documents, datetime]], install: Install
) -> None:
    for documents, now in journey:
        reached = [v for v in (install.high_water, install.version) if v is not None]

        assignment = decide(documents, install, now)

        if assignment.version is not None:
            highest = max([*reached, assignment.version])
            if assignment.version < highest:
                assert assignment.version in documents.releases[highest].rollback_to
            install = replace(install, version=assignment.version, high_water=highest)


@often
@given(own.documents(), own.installs(), own.instants)
def test_only_what_is_signed_for_this_install_is_ever_chosen(
    documents: Documents, install: Install, now: datetime
) -> None:
    assignment = decide(documents, install, now)

    if assignment.version is not None:
        release = documents.releases[assignment.version]
        assert (release.channel, release.platform) == (install.channel, install.platform)
        assert assignment.version not in documents.policy.revoked
        assert why_not_allowed(assignment.version, documents, install) is None


@often
@given(own.documents(), own.installs(), own.instants)
def test_an_offer_is_within_ring_ceiling_and_holdback(
    documents: Documents, install: Install, now: datetime
) -> None:
    assignment = decide(documents, install, now)

    if assignment.reason is not Reason.IN_RING:
        return
    assert documents.rollout is not None
    assert assignment.version is not None
    entry = next(e for e in documents.rollout.entries if e.rollout == assignment.rollout)
    ring = next(ring for ring in entry.rings if ring.name == assignment.ring)
    release = documents.releases[assignment.version]
    bucket = bucket_of(release.salt, install.id)
    assert entry.state in {RolloutState.ACTIVE, RolloutState.COMPLETED}
    assert bucket < ring.exposure_bp
    if not is_internal(ring, documents.policy):
        assert bucket < ceiling_at(documents.policy, release, now)
    if ring.audience.groups is None:
        assert bucket < 10_000 - entry.holdback_bp


@often
@given(own.documents(), own.installs(), own.instants)
def test_server_and_agent_agree_when_both_know_the_same(
    documents: Documents, install: Install, now: datetime
) -> None:
    local = decide(documents, install, now)
    hint = decide(documents, install, now)

    narrowed = narrow(local, hint.action, hint.version, hint.reason, answered_recently=True)

    assert narrowed == local


@often
@given(own.documents(), own.documents(), own.installs(), own.instants, st.booleans())
def test_no_answer_of_the_server_takes_an_install_further(
    documents: Documents, others: Documents, install: Install, now: datetime, recent: bool
) -> None:
    local = decide(documents, install, now)
    hint = decide(others, install, now)

    narrowed = narrow(local, hint.action, hint.version, hint.reason, answered_recently=recent)

    assert narrowed == local or narrowed.action is Action.STAY
    if local.reason is Reason.MUST_REACH:
        assert narrowed == local


@often
@given(own.documents(), own.installs(), own.instants)
def test_what_must_be_reached_cannot_be_withheld(
    documents: Documents, install: Install, now: datetime
) -> None:
    without = replace(documents, rollout=None, rollout_missing=Reason.STALE_SERVER)

    assignment, alone = decide(documents, install, now), decide(without, install, now)

    assert isinstance(alone, Assignment)
    if Reason.MUST_REACH in {assignment.reason, alone.reason}:
        assert assignment == alone
