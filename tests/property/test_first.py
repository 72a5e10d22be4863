"""Laws of offering a release first to the installs on a bad version."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.version import Version

from rollout.changes import ChangeKind, judge_change
from rollout.compose import document_for
from rollout.decide import decide
from rollout.eligibility import why_not_allowed
from rollout.first import is_first
from rollout.model import Action, Documents, Install, Policy, Rollout, RolloutDocument
from rollout.rings import ceiling_at
from tests.builders import NOW, PLATFORM, a_release, a_rollout
from tests.property import strategies as own


def composed(policy: Policy, rollout: Rollout) -> RolloutDocument:
    return document_for(policy, [rollout], (), now=NOW, next_check_in_seconds=60)


@st.composite
def mending(draw: st.DrawFn) -> Rollout:
    """Return a rollout that has just started, for a bad version first."""
    version = draw(st.sampled_from([each for each in own.VERSIONS if own.OLDER[each]]))
    return a_rollout(
        version=version,
        ladder=draw(own.ladders(least=1)),
        position=0,
        first_for=draw(st.sampled_from(own.OLDER[version])),
    )


@given(own.documents(), mending(), own.installs(), own.instants)
def test_nobody_but_installs_on_the_bad_version_is_concerned(
    documents: Documents, rollout: Rollout, install: Install, now: datetime
) -> None:
    assume(install.version != rollout.first_for)
    without = composed(documents.policy, replace(rollout, first_for=None))
    with_first = composed(documents.policy, rollout)

    assert decide(replace(documents, rollout=with_first), install, now) == decide(
        replace(documents, rollout=without), install, now
    )


@given(own.documents(), mending(), own.installs(), own.instants)
def test_floor_eligibility_and_ceiling_hold_for_them_too(
    documents: Documents, rollout: Rollout, install: Install, now: datetime
) -> None:
    stuck = replace(install, version=rollout.first_for)
    document = composed(documents.policy, rollout)
    alone = replace(
        documents,
        policy=replace(documents.policy, must_reach=()),
        rollout=replace(document, entries=tuple(filter(is_first, document.entries))),
    )

    given_to = decide(alone, stuck, now)

    if given_to.action is not Action.STAY:
        release = documents.releases[rollout.version]
        assert given_to.bucket is not None
        assert why_not_allowed(rollout.version, alone, stuck) is None
        assert given_to.bucket < ceiling_at(documents.policy, release, now)


@given(own.policies(), mending(), own.versions, st.integers(0, 30))
def test_taking_some_first_is_an_escalation_and_never_above_the_ceiling(
    policy: Policy, rollout: Rollout, floor: Version, days: int
) -> None:
    policy = replace(policy, floor=floor)
    release = a_release(version=rollout.version)
    now = release.ages_from + timedelta(days=days)
    without = composed(policy, replace(rollout, first_for=None))

    change = judge_change(
        without, composed(policy, rollout), policy, {PLATFORM: {rollout.version: release}}, now
    )

    allowed = rollout.version >= floor and rollout.version not in policy.revoked
    if allowed and ceiling_at(policy, release, now) == 10_000:
        assert change.kind is ChangeKind.ESCALATION
        assert change.approvals_needed >= max(1, policy.approvals.outside_ramp)
    else:
        assert change.kind is ChangeKind.NEVER
