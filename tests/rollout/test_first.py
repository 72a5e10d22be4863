from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.changes import ChangeKind, judge_change
from rollout.compose import PlacedHold, document_for, kept_and_dropped
from rollout.decide import decide
from rollout.documents import digests_of
from rollout.first import FIRST_RING, first_name, is_first, rollout_behind
from rollout.model import (
    Action,
    Actor,
    Approvals,
    Audience,
    Policy,
    Reason,
    Rollout,
    RolloutDocument,
    RolloutState,
)
from rollout.names import check_rollout_id
from rollout.transitions import complete, pause, pull, resume
from tests.builders import (
    NEW,
    NOW,
    OLD,
    PLATFORM,
    ROLLOUT_ID,
    a_hold,
    a_policy,
    a_release,
    a_ring,
    a_rollout,
    an_entry,
    an_install,
    documents,
)

MENDING = a_rollout(position=1, first_for=OLD)
POLICY = a_policy(approvals=Approvals(outside_ramp=2))


def composed(
    *rollouts: Rollout, policy: Policy = POLICY, holds: tuple[PlacedHold, ...] = ()
) -> RolloutDocument:
    return document_for(policy, rollouts, holds, now=NOW, next_check_in_seconds=60)


def test_the_first_installs_have_an_entry_before_the_ordinary_one() -> None:
    first, ordinary = composed(MENDING).entries

    assert (first.version, first.from_versions) == (NEW, frozenset({OLD}))
    assert (first.exposure_bp, first.holdback_bp) == (10_000, 0)
    assert first.rings == (a_ring(name=FIRST_RING),)
    assert is_first(first)
    assert composed(a_rollout(position=1)).entries == (ordinary,)


def test_its_name_is_a_rollout_of_its_own_and_leads_back() -> None:
    name = first_name(ROLLOUT_ID)

    assert check_rollout_id(name) == name != ROLLOUT_ID
    assert rollout_behind(name) == rollout_behind(ROLLOUT_ID) == ROLLOUT_ID
    assert rollout_behind(None) is None
    assert rollout_behind("ro_first") == "ro_first"


@pytest.mark.parametrize(
    "entry",
    [
        an_entry(),
        an_entry(from_versions=[OLD]),
        an_entry(rollout=first_name(ROLLOUT_ID)),
        an_entry(version=OLD, rollback=True, from_versions=[NEW], rollout=None),
        an_entry(version=OLD, rollback=True, from_versions=[NEW], rollout=first_name(ROLLOUT_ID)),
    ],
)
def test_other_entries_are_not_for_first_installs(entry: object) -> None:
    assert not is_first(entry)  # type: ignore[arg-type]


def test_an_install_on_the_bad_version_is_offered_it_whatever_its_bucket() -> None:
    document = composed(a_rollout(position=0, first_for=OLD))

    told = decide(documents(rollout=document, policy=POLICY), an_install(version=OLD), NOW)

    assert (told.action, told.reason, told.version) == (Action.UPDATE, Reason.IN_RING, NEW)
    assert (told.ring, told.rollout) == (FIRST_RING, first_name(ROLLOUT_ID))


def test_an_install_on_another_version_waits_for_its_ring() -> None:
    document = composed(a_rollout(position=0, first_for=OLD))

    told = decide(documents(rollout=document, policy=POLICY), an_install(version="1.9.0"), NOW)

    assert told.reason is Reason.OUTSIDE_RING


def test_holds_keep_first_installs_too() -> None:
    hold = a_hold(audience=Audience(platform=(PLATFORM,)))

    first, _ = composed(MENDING, holds=(PlacedHold(hold=hold),)).entries

    assert first.holds == (hold,)


def test_a_pause_ends_it_for_good() -> None:
    paused = pause(MENDING, NOW, Actor.PERSON, "why")

    assert [is_first(entry) for entry in composed(paused).entries] == [False]
    assert [is_first(entry) for entry in composed(resume(paused, NOW)).entries] == [False]


def test_what_is_pulled_or_completed_takes_nobody_first() -> None:
    last = len(MENDING.ladder) - 1
    for done in (pull(MENDING, NOW, "why"), complete(replace(MENDING, position=last), NOW)):
        assert [is_first(entry) for entry in composed(done).entries] == [False]


def test_the_entry_takes_room_in_the_document() -> None:
    others = [a_rollout(id=f"ro_{n:04}", version=f"1.{n}") for n in range(15)]

    kept, dropped = kept_and_dropped(POLICY, [MENDING, *others])

    assert MENDING in kept
    assert len(dropped) == 1


RELEASES = {PLATFORM: {NEW: a_release(version=NEW), OLD: a_release(version=OLD)}}


def test_taking_installs_first_needs_the_people_of_what_is_outside_the_ramp() -> None:
    change = judge_change(
        None, composed(a_rollout(position=0, first_for=OLD)), POLICY, RELEASES, NOW
    )

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 2)
    assert any("outside the ramp" in reason for reason in change.why)


def test_it_needs_one_person_even_where_the_policy_asks_for_none() -> None:
    policy = replace(POLICY, approvals=Approvals(outside_ramp=0))

    change = judge_change(composed(), composed(MENDING, policy=policy), policy, RELEASES, NOW)

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_it_is_never_above_the_ceiling() -> None:
    policy = replace(POLICY, ceiling=((0, 1_000),))

    change = judge_change(None, composed(MENDING, policy=policy), policy, RELEASES, NOW)

    assert change.kind is ChangeKind.NEVER
    assert any("above the ceiling of 10 %" in reason for reason in change.why)


def test_another_bad_version_is_another_escalation() -> None:
    later = composed(replace(MENDING, first_for=a_release(version="1.9.0").version))

    change = judge_change(composed(MENDING), later, POLICY, RELEASES, NOW)

    assert change.kind is ChangeKind.ESCALATION


def test_what_is_said_of_a_rollout_includes_its_first_installs() -> None:
    with_first, without = digests_of(composed(MENDING)), digests_of(composed(a_rollout(position=1)))

    assert with_first.keys() == without.keys() == {ROLLOUT_ID}
    assert with_first != without
    assert digests_of(None) == {}
    replaced = composed(a_rollout(state=RolloutState.PULLED, replacement=OLD))
    assert digests_of(replaced).keys() == {ROLLOUT_ID}


def test_the_people_are_needed_by_the_rollout_itself() -> None:
    change = judge_change(None, composed(MENDING), POLICY, RELEASES, NOW)

    assert change.needed_by == {ROLLOUT_ID: 2}


@pytest.mark.parametrize("state", [RolloutState.PAUSED, RolloutState.PULLED])
def test_ending_it_needs_nobody(state: RolloutState) -> None:
    ended = replace(MENDING, state=state, first_for=None, changed_at=NOW + timedelta(hours=1))

    change = judge_change(composed(MENDING), composed(ended), POLICY, RELEASES, NOW)

    assert (change.kind, change.approvals_needed) == (ChangeKind.DE_ESCALATION, 0)
