"""What the judge calls narrow takes no install further; what it lets pass keeps the bounds."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.changes import Act, ChangeKind, judge_change
from rollout.decide import decide
from rollout.history import History
from rollout.model import (
    Action,
    Documents,
    Entry,
    Hold,
    Install,
    Policy,
    Reason,
    RolloutDocument,
    RolloutState,
)
from rollout.rings import ceiling_at, is_internal
from tests.builders import NOW, PLATFORM, a_hold, a_release
from tests.property import strategies as own

often = settings(max_examples=5 * settings().max_examples)

HOLDS = st.sampled_from(
    (
        (),
        (a_hold(),),
        (a_hold(audience=replace(a_hold().audience, country=("AT",))),),
        (a_hold(audience=replace(a_hold().audience, country=("AT", "DE"))),),
        (a_hold(audience=replace(a_hold().audience, os_version=(">=12",))),),
        (a_hold(audience=replace(a_hold().audience, os_version=(">=12", "<13"))),),
    )
)
RELEASES = {
    version: a_release(version=version, rollback_to=own.OLDER[version]) for version in own.VERSIONS
}


@st.composite
def edited(draw: st.DrawFn, entry: Entry) -> Entry:
    """Return *entry* with some of what it says said otherwise."""
    if entry.rollback:
        return replace(entry, state=draw(st.sampled_from(own.STATES)))
    rings = draw(st.sampled_from((entry.rings, entry.rings, *own.RING_POOL)))
    holds: tuple[Hold, ...] = draw(HOLDS) if draw(st.booleans()) else entry.holds
    return replace(
        entry,
        state=draw(st.sampled_from((entry.state, entry.state, *own.STATES))),
        rings=rings,
        exposure_bp=max((r.exposure_bp for r in rings if r.audience.groups is None), default=0),
        holds=holds,
        holdback_bp=draw(st.sampled_from((entry.holdback_bp, entry.holdback_bp, 0, 200, 5_000))),
        from_versions=draw(
            st.sampled_from((entry.from_versions, entry.from_versions, frozenset(own.VERSIONS[:1])))
        ),
    )


@st.composite
def changes(draw: st.DrawFn) -> tuple[RolloutDocument, RolloutDocument]:
    drawn = [draw(own.decision_entries(f"ro_{n:04}")) for n in range(draw(st.integers(1, 3)))]
    entries = sorted(drawn, key=lambda entry: entry.version, reverse=True)
    after = [draw(edited(entry)) for entry in entries if draw(st.integers(0, 4))]
    old = RolloutDocument(
        app="demo", channel="stable", issued=NOW, next_check_in_seconds=60, entries=tuple(entries)
    )
    return old, replace(old, entries=tuple(after))


@often
@given(changes(), own.DECISION_POLICIES, own.installs())
def test_what_is_judged_narrow_takes_no_install_further(
    change: tuple[RolloutDocument, RolloutDocument], policy: Policy, install: Install
) -> None:
    old, new = change
    judged = judge_change(old, new, policy, {PLATFORM: RELEASES}, NOW)

    if judged.kind not in {ChangeKind.NONE, ChangeKind.DE_ESCALATION}:
        return
    after = decide(Documents(policy=policy, rollout=new, releases=RELEASES), install, NOW)
    if after.action is Action.STAY or after.reason is Reason.MUST_REACH:
        return
    if Act.ROLLBACK in judged.acts and after.action is Action.ROLLBACK:
        return
    # The old document had the same to offer, though something newer may have stood before it.
    offers = (
        decide(
            Documents(policy=policy, rollout=replace(old, entries=(entry,)), releases=RELEASES),
            install,
            NOW,
        )
        for entry in old.entries
    )
    assert any((o.action, o.version) == (after.action, after.version) for o in offers)


@often
@given(changes(), own.DECISION_POLICIES)
def test_nothing_widens_beyond_what_is_signed_offline(
    change: tuple[RolloutDocument, RolloutDocument], policy: Policy
) -> None:
    old, new = change
    judged = judge_change(old, new, policy, {PLATFORM: RELEASES}, NOW, history=History())

    if judged.kind is ChangeKind.NEVER:
        return
    pulled = {entry.version for entry in old.entries if entry.state is RolloutState.PULLED}
    for entry in new.entries:
        assert entry.version not in pulled or entry.state is RolloutState.PULLED
        if entry.rollback or entry in old.entries or judged.kind is ChangeKind.DE_ESCALATION:
            continue
        was = next((e for e in old.entries if e.rollout == entry.rollout), None)
        widest = max((r.exposure_bp for r in entry.rings if not is_internal(r, policy)), default=0)
        old_rings = was.rings if was else ()
        had = max((r.exposure_bp for r in old_rings if not is_internal(r, policy)), default=0)
        if widest > had and entry.state is not RolloutState.PULLED:
            assert widest <= ceiling_at(policy, RELEASES[entry.version], NOW)
            assert entry.version not in policy.revoked
            assert policy.floor is None or entry.version >= policy.floor


@often
@given(changes(), own.DECISION_POLICIES)
def test_stopping_everything_is_always_a_de_escalation(
    change: tuple[RolloutDocument, RolloutDocument], policy: Policy
) -> None:
    old, _ = change
    stopped = {
        RolloutState.ACTIVE: RolloutState.PAUSED,
        RolloutState.COMPLETED: RolloutState.PAUSED,
    }
    versions = {entry.version for entry in old.entries if entry.state is RolloutState.PULLED}
    old = replace(old, entries=tuple(e for e in old.entries if e.version not in versions))
    entries = (replace(entry, state=stopped.get(entry.state, entry.state)) for entry in old.entries)
    new = replace(old, entries=tuple(entries))

    judged = judge_change(old, new, policy, {}, NOW)

    identities = {(e.rollout, e.version, e.rollback, e.from_versions) for e in old.entries}
    if len(identities) == len(old.entries):
        assert judged.kind in {ChangeKind.NONE, ChangeKind.DE_ESCALATION}
    assert judged.approvals_needed == 0


@often
@given(changes(), own.DECISION_POLICIES)
def test_every_approval_is_needed_by_a_rollout_and_only_for_its_own_entry(
    change: tuple[RolloutDocument, RolloutDocument], policy: Policy
) -> None:
    old, new = change
    judged = judge_change(old, new, policy, {PLATFORM: RELEASES}, NOW)

    assert judged.approvals_needed == max(judged.needed_by.values(), default=0)
    before = {entry.rollout: entry for entry in old.entries}
    for rollout in judged.needed_by:
        others = replace(
            new,
            entries=tuple(
                before[rollout] if entry.rollout == rollout and rollout in before else entry
                for entry in new.entries
                if entry.rollout != rollout or rollout in before
            ),
        )
        left = judge_change(old, others, policy, {PLATFORM: RELEASES}, NOW).needed_by
        assert left == {each: n for each, n in judged.needed_by.items() if each != rollout}
