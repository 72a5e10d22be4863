"""The table of docs/trust.md, 7, on documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from packaging.version import Version

from rollout.changes import Act, Change, ChangeKind, happens_by_itself, judge_change
from rollout.compose import PlacedHold, document_for
from rollout.history import History, history_after
from rollout.model import (
    Approvals,
    Audience,
    Automatic,
    Entry,
    OpenRing,
    Policy,
    Release,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)
from rollout.widening import shape_of
from tests.builders import (
    LADDER,
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
    a_rollout_document,
    an_entry,
)

OTHER = RolloutId("ro_other")
RELEASES: Mapping[Version, Release] = {
    OLD: a_release(version=OLD),
    NEW: a_release(version=NEW, rollback_to=[OLD]),
}
LONG_AGO = History(since=MappingProxyType({ROLLOUT_ID: NOW - timedelta(days=365)}))
POLICY = a_policy(approvals=Approvals(outside_ramp=1, resume_after_auto_pause=2))


def document(*entries: Entry) -> RolloutDocument:
    return replace(a_rollout_document(), entries=entries)


def of(
    *rollouts: Rollout, policy: Policy = POLICY, holds: tuple[PlacedHold, ...] = ()
) -> RolloutDocument:
    return document_for(policy, rollouts, holds, now=NOW, next_check_in_seconds=14_400)


def judged(
    old: RolloutDocument | None,
    new: RolloutDocument,
    *,
    policy: Policy = POLICY,
    releases: Mapping[Version, Release] = RELEASES,
    history: History = LONG_AGO,
) -> Change:
    return judge_change(old, new, policy, {PLATFORM: releases}, NOW, history=history)


def kind_of(old: RolloutDocument | None, new: RolloutDocument) -> ChangeKind:
    return judged(old, new).kind


# --- nothing -----------------------------------------------------------------------------


def test_a_document_issued_anew_changes_nothing() -> None:
    old = of(a_rollout())

    change = judged(old, replace(old, issued=NOW + timedelta(hours=1), next_check_in_seconds=60))

    assert change == Change(kind=ChangeKind.NONE)


def test_a_first_document_without_entries_changes_nothing() -> None:
    assert kind_of(None, document()) is ChangeKind.NONE


# --- de-escalation -----------------------------------------------------------------------

FIRST = of(a_rollout(position=1))
PAUSED = of(a_rollout(position=1, state=RolloutState.PAUSED))
PULLED = of(a_rollout(position=1, state=RolloutState.PULLED))
REPLACED = of(a_rollout(position=1, state=RolloutState.PULLED, replacement=OLD))
HELD = of(a_rollout(position=1), holds=(PlacedHold(hold=a_hold()),))


@pytest.mark.parametrize(
    ("old", "new", "acts"),
    [
        (FIRST, PAUSED, (Act.PAUSE,)),
        (FIRST, PULLED, (Act.PULL,)),
        (PAUSED, PULLED, (Act.PULL,)),
        (FIRST, REPLACED, (Act.ROLLBACK, Act.PULL)),
        (PULLED, REPLACED, (Act.ROLLBACK,)),
        (REPLACED, PULLED, ()),
        (FIRST, HELD, ()),
        (FIRST, document(), ()),
        (PULLED, document(), ()),
        (document(), PULLED, (Act.PULL,)),  # of a rollout that had been superseded
        (of(a_rollout(position=2)), FIRST, ()),
        (FIRST, of(a_rollout(position=0)), ()),
    ],
)
def test_narrowing_needs_nobody(
    old: RolloutDocument, new: RolloutDocument, acts: tuple[Act, ...]
) -> None:
    change = judged(old, new)

    assert (change.kind, change.approvals_needed) == (ChangeKind.DE_ESCALATION, 0)
    assert change.acts == acts


@pytest.mark.parametrize(
    "narrower",
    [
        an_entry(rings=(a_ring(exposure_bp=4_999),)),
        an_entry(rings=()),
        an_entry(rings=(a_ring(exposure_bp=5_000),), holdback_bp=200),
        an_entry(rings=(a_ring(exposure_bp=5_000),), from_versions=[OLD]),
        an_entry(rings=(a_ring(exposure_bp=5_000),), holds=(a_hold(),)),
        an_entry(rings=(a_ring(name="other", exposure_bp=100),)),
    ],
)
def test_lower_exposure_is_a_de_escalation(narrower: Entry) -> None:
    old = document(an_entry(rings=(a_ring(exposure_bp=5_000),)))

    assert kind_of(old, document(narrower)) is ChangeKind.DE_ESCALATION


def test_from_fewer_versions_is_a_de_escalation_and_from_more_an_escalation() -> None:
    two, one = (
        document(an_entry(from_versions=["1.0", OLD])),
        document(an_entry(from_versions=[OLD])),
    )

    assert kind_of(two, one) is ChangeKind.DE_ESCALATION
    assert kind_of(one, two) is ChangeKind.ESCALATION
    assert kind_of(one, document(an_entry())) is ChangeKind.ESCALATION


def test_the_policy_may_name_other_internal_groups() -> None:
    policy = replace(POLICY, internal_groups=("staff", "press"))
    old = of(a_rollout(position=1))

    change = judged(old, of(a_rollout(position=1), policy=policy), policy=policy)

    assert change.kind is ChangeKind.DE_ESCALATION


NOBODY = replace(POLICY, internal_groups=())
HOLD = PlacedHold(hold=a_hold())


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (of(a_rollout(position=1)), ChangeKind.COVERED),
        (of(a_rollout(position=1), holds=(HOLD,)), ChangeKind.COVERED),
        (of(a_rollout(position=1, state=RolloutState.PAUSED)), ChangeKind.COVERED),
    ],
)
def test_the_first_internal_groups_of_a_policy_stand_in_nobodys_way(
    new: RolloutDocument, kind: ChangeKind
) -> None:
    change = judged(of(a_rollout(position=1), policy=NOBODY), new)

    assert (change.kind, change.approvals_needed) == (kind, 0)


@pytest.mark.parametrize("ramp", [(), LADDER[1:]])
def test_where_the_ramp_begins_with_others_internal_groups_only_join_what_is_paused(
    ramp: tuple[Step, ...],
) -> None:
    policy = replace(POLICY, ramp=ramp)
    old = of(a_rollout(position=1), policy=NOBODY)

    paused = judged(old, PAUSED, policy=policy)
    offered = judged(old, FIRST, policy=policy)

    assert (paused.kind, paused.approvals_needed) == (ChangeKind.DE_ESCALATION, 0)
    assert paused.acts == (Act.PAUSE,)
    assert (offered.kind, offered.approvals_needed) == (ChangeKind.ESCALATION, 1)


GENERAL = a_ring(name="1%", exposure_bp=100)
STAFF = a_ring(name="internal", audience=Audience(groups=("staff",)))


@pytest.mark.parametrize(
    "rings",
    [
        (STAFF, replace(GENERAL, exposure_bp=101)),
        (STAFF, GENERAL, a_ring(name="all", exposure_bp=100, audience=Audience(country=("AT",)))),
        (replace(STAFF, audience=Audience(groups=("press",))), GENERAL),
        (replace(STAFF, audience=Audience(groups=("press", "staff"))), GENERAL),
    ],
)
@pytest.mark.parametrize("state", [RolloutState.ACTIVE, RolloutState.PAUSED])
def test_nobody_else_joins_with_the_first_internal_groups(
    rings: tuple[OpenRing, ...], state: RolloutState
) -> None:
    old = document(an_entry(rings=(GENERAL,)))

    change = judged(old, document(an_entry(rings=rings, state=state)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_internal_groups_that_join_what_is_paused_are_offered_nothing_without_people() -> None:
    old = of(a_rollout(position=1, state=RolloutState.PAUSED), policy=NOBODY)

    change = judged(old, FIRST, policy=replace(POLICY, ramp=()))

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_a_pause_is_never_delayed_though_the_version_was_revoked() -> None:
    policy = replace(POLICY, revoked=frozenset({NEW}), floor=Version("9"))

    assert judged(FIRST, PAUSED, policy=policy, releases={}).kind is ChangeKind.DE_ESCALATION


# --- covered escalation ------------------------------------------------------------------


def test_a_start_at_the_first_ring_is_covered_and_asked_for_by_an_operator() -> None:
    change = judged(None, of(a_rollout(position=0)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 1)


@pytest.mark.parametrize("position", range(1, len(LADDER)))
def test_a_step_along_the_ramp_is_covered(position: int) -> None:
    old, new = of(a_rollout(position=position - 1)), of(a_rollout(position=position))

    change = judged(old, new)

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 0)


def test_a_step_of_the_ramp_may_need_approvals() -> None:
    ramp = (Step(ring="1%", exposure_bp=100), Step(ring="all", exposure_bp=10_000, approvals=2))
    policy = replace(POLICY, ramp=ramp)
    old, new = of(a_rollout(ladder=ramp, position=0)), of(a_rollout(ladder=ramp, position=1))

    change = judged(old, new, policy=policy)

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 2)


@pytest.mark.parametrize(
    ("age", "kind"),
    [
        (timedelta(seconds=86_400), ChangeKind.COVERED),
        (timedelta(seconds=86_399), ChangeKind.ESCALATION),
    ],
)
def test_a_step_is_covered_once_its_soak_is_over(age: timedelta, kind: ChangeKind) -> None:
    history = History(since=MappingProxyType({ROLLOUT_ID: NOW - age}))

    assert judged(FIRST, of(a_rollout(position=2)), history=history).kind is kind


def test_a_refusal_says_until_when_a_ring_is_to_soak() -> None:
    history = History(since=MappingProxyType({ROLLOUT_ID: NOW}))

    (why,) = judged(FIRST, of(a_rollout(position=2)), history=history).why

    assert why.endswith(f"is to soak until {NOW + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC")


def test_a_soak_of_unknown_age_is_not_over() -> None:
    change = judged(FIRST, of(a_rollout(position=2)), history=History())

    assert change.kind is ChangeKind.ESCALATION


def test_a_version_under_another_rollout_has_not_soaked() -> None:
    swapped = history_after(
        LONG_AGO,
        document(an_entry(version=OLD, rings=FIRST.entries[0].rings)),
        FIRST,
        NOW,
        automatic=False,
    )

    assert judged(FIRST, of(a_rollout(position=2)), history=swapped).kind is ChangeKind.ESCALATION


# --- completed, and back again -----------------------------------------------------------

LAST = len(LADDER) - 1
DONE = RolloutState.COMPLETED


@pytest.mark.parametrize("ladder", [LADDER, (Step(ring="half", exposure_bp=10_000),)])
def test_completing_is_covered_once_everybody_is_reached(ladder: tuple[Step, ...]) -> None:
    rollout = a_rollout(ladder=ladder, position=len(ladder) - 1)

    change = judged(of(rollout), of(replace(rollout, state=DONE)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 0)


@pytest.mark.parametrize("position", range(LAST))
def test_nothing_completes_that_has_not_reached_everybody(position: int) -> None:
    rollout = a_rollout(position=position)
    done = of(replace(rollout, state=DONE))

    assert kind_of(of(rollout), done) is ChangeKind.NEVER
    assert kind_of(document(), done) is ChangeKind.NEVER


def test_nothing_completes_while_it_is_paused() -> None:
    paused = of(a_rollout(position=LAST, state=RolloutState.PAUSED))

    assert kind_of(paused, of(a_rollout(position=LAST, state=DONE))) is ChangeKind.NEVER


def test_completing_on_the_way_takes_all_that_the_way_takes() -> None:
    ramp = (Step(ring="1%", exposure_bp=100), Step(ring="all", exposure_bp=10_000, approvals=2))
    policy = replace(POLICY, ramp=ramp)
    old = of(a_rollout(ladder=ramp, position=0))
    new = of(a_rollout(ladder=ramp, position=1, state=DONE))

    change = judged(old, new, policy=policy)
    skipping = judged(of(a_rollout(position=1)), of(a_rollout(position=LAST, state=DONE)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 2)
    assert (skipping.kind, skipping.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_what_is_completed_may_be_called_active_again() -> None:
    done = of(a_rollout(position=LAST, state=DONE))

    assert kind_of(done, of(a_rollout(position=LAST))) is ChangeKind.COVERED


def returning(entry: Entry, left_as: Entry | None, policy: Policy = POLICY) -> Change:
    """Return how the return of *entry* is judged, when a newer one is pulled."""
    newer = an_entry(version="3.0.0", state=DONE, rollout=OTHER)
    completed = {} if left_as is None else {left_as.version: shape_of(left_as)}
    new = document(replace(newer, state=RolloutState.PULLED), entry)
    history = History(completed=MappingProxyType(completed))
    return judged(document(newer), new, policy=policy, history=history)


GOOD = an_entry(state=DONE, holdback_bp=100)
PRESS = a_ring(name="press", audience=Audience(groups=("press",)))


@pytest.mark.parametrize(
    "entry",
    [
        GOOD,
        replace(GOOD, holds=(a_hold(),)),
        replace(GOOD, holdback_bp=200),
        an_entry(state=DONE, exposure_bp=100, holdback_bp=100),
    ],
)
def test_the_last_good_release_comes_back_with_a_pull(entry: Entry) -> None:
    change = returning(entry, GOOD)

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 0)


def test_the_last_good_release_comes_back_though_the_policy_named_its_first_internal_groups() -> (
    None
):
    entry = replace(GOOD, rings=(STAFF, *GOOD.rings))

    change = returning(entry, GOOD)
    beside = returning(entry, GOOD, replace(POLICY, ramp=LADDER[1:]))

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 0)
    assert (beside.kind, beside.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_a_changed_ramp_does_not_stand_in_the_way_of_a_pull() -> None:
    other = replace(POLICY, ramp=(Step(ring="all", exposure_bp=500),), internal_groups=("crew",))

    assert returning(GOOD, GOOD, other).kind is ChangeKind.COVERED


@pytest.mark.parametrize(
    ("entry", "left_as"),
    [
        (GOOD, None),
        (replace(GOOD, holdback_bp=99), GOOD),
        (GOOD, an_entry(state=DONE, exposure_bp=9_999, holdback_bp=100)),
        (replace(GOOD, rings=(PRESS, *GOOD.rings)), GOOD),
    ],
)
def test_nothing_comes_back_wider_than_it_left(entry: Entry, left_as: Entry | None) -> None:
    change = returning(entry, left_as, replace(POLICY, approvals=Approvals(outside_ramp=0)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 1)


def test_what_left_paused_automatically_does_not_come_back_by_itself() -> None:
    history = History(
        paused_automatically=frozenset({NEW}), completed=MappingProxyType({NEW: shape_of(GOOD)})
    )

    change = judged(document(), document(GOOD), history=history)

    assert (change.kind, change.approvals_needed) == (ChangeKind.RESUME, 2)


# --- other escalation --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (of(a_rollout(position=0)), of(a_rollout(position=2))),  # a ring skipped
        (document(), of(a_rollout(position=1))),  # not at the first ring
        (HELD, FIRST),  # a hold lifted
        (
            document(an_entry(holdback_bp=200)),
            document(an_entry(holdback_bp=100)),
        ),
        (
            document(an_entry(rings=(a_ring(audience=Audience(country=("AT",))),))),
            document(an_entry()),
        ),
        (
            document(an_entry(rings=(a_ring(audience=Audience(groups=("staff",))),))),
            document(an_entry(rings=(a_ring(exposure_bp=1),))),
        ),
    ],
)
def test_widening_outside_the_ramp_is_an_escalation(
    old: RolloutDocument, new: RolloutDocument
) -> None:
    change = judged(old, new, policy=replace(POLICY, approvals=Approvals(outside_ramp=2)))

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 2)


@pytest.mark.parametrize(
    ("held", "then", "is_wider"),
    [
        (Audience(country=("AT",)), Audience(country=("AT", "DE")), True),
        (Audience(country=("AT",)), Audience(), True),
        (Audience(os_version=(">=12", "<13")), Audience(os_version=("<13",)), True),
        (Audience(locale=("de",), platform=("a-b",)), Audience(locale=("de",)), True),
        (Audience(groups=("staff",)), Audience(groups=("press", "staff")), True),
        (
            Audience(custom=MappingProxyType({"edition": ("pro",)})),
            Audience(custom=MappingProxyType({"edition": ("pro", "free")})),
            True,
        ),
        (Audience(unknown=True), Audience(), True),
        (Audience(), Audience(country=("AT",)), False),
        (Audience(country=("AT", "DE")), Audience(country=("AT",)), False),
        (Audience(os_version=("<13",)), Audience(os_version=("<13", ">=12")), False),
        (Audience(), Audience(custom=MappingProxyType({"edition": ("pro",)})), False),
        (Audience(), Audience(unknown=True), False),
    ],
)
def test_a_hold_may_grow_and_not_shrink(held: Audience, then: Audience, is_wider: bool) -> None:
    policy = replace(POLICY, custom_keys=("edition",))
    old, new = (document(an_entry(holds=(a_hold(audience=a),))) for a in (held, then))

    change = judged(old, new, policy=policy)

    escalated = change.kind is ChangeKind.ESCALATION
    assert escalated is not is_wider


def test_another_hold_may_take_over_a_slice() -> None:
    old = document(an_entry(holds=(a_hold(id="h1", audience=Audience(country=("AT",))),)))
    new = document(an_entry(holds=(a_hold(id="h2"),)))

    assert kind_of(old, new) is ChangeKind.DE_ESCALATION


def test_a_change_of_one_entry_that_lowers_and_raises_is_an_escalation() -> None:
    old = of(a_rollout(position=1))
    new = of(a_rollout(position=2), holds=(PlacedHold(hold=a_hold()),))

    assert kind_of(old, new) is ChangeKind.ESCALATION


# --- resume ------------------------------------------------------------------------------


def test_one_operator_resumes_after_a_persons_pause() -> None:
    change = judged(PAUSED, FIRST)

    assert (change.kind, change.approvals_needed) == (ChangeKind.RESUME, 1)


AUTOMATIC = History(since=LONG_AGO.since, paused_automatically=frozenset({NEW}))


def test_more_operators_resume_after_an_automatic_pause() -> None:
    change = judged(PAUSED, FIRST, history=AUTOMATIC)

    assert (change.kind, change.approvals_needed) == (ChangeKind.RESUME, 2)


@pytest.mark.parametrize("rollout", [a_rollout(), a_rollout(id=OTHER)])
def test_leaving_the_document_does_not_end_an_automatic_pause(rollout: Rollout) -> None:
    change = judged(document(), of(rollout), history=AUTOMATIC)

    assert (change.kind, change.approvals_needed) == (ChangeKind.RESUME, 2)


def test_a_start_outside_the_ramp_ends_no_automatic_pause_either() -> None:
    change = judged(document(), of(a_rollout(position=2)), history=AUTOMATIC)

    assert (change.kind, change.approvals_needed) == (ChangeKind.ESCALATION, 2)


def test_what_starts_paused_ends_no_pause() -> None:
    change = judged(document(), of(a_rollout(state=RolloutState.PAUSED)), history=AUTOMATIC)

    assert (change.kind, change.approvals_needed) == (ChangeKind.COVERED, 1)


def test_every_start_and_every_resume_needs_somebody() -> None:
    policy = replace(POLICY, approvals=Approvals(outside_ramp=0, resume_after_auto_pause=0))

    start = judged(None, of(a_rollout(position=LAST)), policy=policy)
    resume = judged(PAUSED, FIRST, policy=policy, history=AUTOMATIC)

    assert (start.kind, start.approvals_needed) == (ChangeKind.ESCALATION, 1)
    assert (resume.kind, resume.approvals_needed) == (ChangeKind.RESUME, 1)


def test_resuming_wider_than_before_is_an_escalation() -> None:
    assert kind_of(PAUSED, of(a_rollout(position=3))) is ChangeKind.ESCALATION


def test_a_paused_rollback_is_resumed_by_a_person() -> None:
    rollback = REPLACED.entries[0]
    paused = document(replace(rollback, state=RolloutState.PAUSED), REPLACED.entries[1])

    resumed = judged(paused, REPLACED, history=History(paused_automatically=frozenset({OLD})))
    assert (resumed.kind, resumed.approvals_needed) == (ChangeKind.RESUME, 1)
    assert kind_of(REPLACED, paused) is ChangeKind.DE_ESCALATION


# --- never -------------------------------------------------------------------------------


def test_a_pulled_entry_never_comes_back() -> None:
    assert kind_of(PULLED, FIRST) is ChangeKind.NEVER
    assert kind_of(PULLED, PAUSED) is ChangeKind.NEVER


def test_a_pulled_version_never_comes_back_under_another_rollout() -> None:
    again = of(a_rollout(id=OTHER, position=0))

    assert kind_of(PULLED, again) is ChangeKind.NEVER
    assert judged(document(), again, history=History(pulled=frozenset({NEW}))).kind is (
        ChangeKind.NEVER
    )


def test_nobody_is_sent_back_to_a_pulled_version() -> None:
    pulled_too = an_entry(version=OLD, state=RolloutState.PULLED, rollout=OTHER)

    assert kind_of(FIRST, document(*REPLACED.entries, pulled_too)) is ChangeKind.NEVER


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, revoked=frozenset({NEW})),
        replace(POLICY, floor=Version("2.2.0")),
    ],
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (document(), of(a_rollout(position=0))),
        (FIRST, of(a_rollout(position=2))),
        (PAUSED, FIRST),
    ],
)
def test_nothing_raises_a_version_that_the_policy_bars(
    policy: Policy, old: RolloutDocument, new: RolloutDocument
) -> None:
    assert judged(old, new, policy=policy).kind is ChangeKind.NEVER


def test_the_floor_itself_may_be_offered() -> None:
    assert judged(None, of(a_rollout()), policy=replace(POLICY, floor=NEW)).kind is (
        ChangeKind.COVERED
    )


def test_a_release_of_one_platform_may_start() -> None:
    both = {PLATFORM: RELEASES, "windows-x86_64": {}}

    change = judge_change(None, of(a_rollout()), POLICY, both, NOW, history=LONG_AGO)

    assert change.kind is ChangeKind.COVERED


def test_what_was_completed_may_be_active_again_at_whatever_it_was_exposed() -> None:
    completed = of(a_rollout(position=1, state=RolloutState.COMPLETED))

    assert kind_of(completed, of(a_rollout(position=1))) is ChangeKind.COVERED


def test_nothing_starts_that_is_not_signed() -> None:
    assert judged(None, of(a_rollout()), releases={OLD: RELEASES[OLD]}).kind is ChangeKind.NEVER


@pytest.mark.parametrize(
    ("ceiling", "kind"),
    [
        (((0, 999),), ChangeKind.NEVER),
        (((0, 1_000),), ChangeKind.COVERED),
        (((0, 1_000), (864_000, 10_000)), ChangeKind.COVERED),
        (((864_000, 10_000),), ChangeKind.NEVER),
    ],
)
def test_nothing_is_signed_above_the_ceiling(
    ceiling: tuple[tuple[int, int], ...], kind: ChangeKind
) -> None:
    policy = replace(POLICY, ceiling=ceiling)

    assert judged(FIRST, of(a_rollout(position=2)), policy=policy).kind is kind


def test_what_is_above_the_ceiling_is_told_in_percent() -> None:
    change = judged(FIRST, of(a_rollout(position=2)), policy=replace(POLICY, ceiling=((0, 250),)))

    assert any("10 % is above the ceiling of 2.5 %" in why for why in change.why)


def test_the_ceiling_spares_only_the_internal_groups() -> None:
    policy = replace(POLICY, ceiling=((0, 0),))
    press = document(an_entry(rings=(a_ring(audience=Audience(groups=("press",))),)))

    assert judged(None, of(a_rollout(position=0)), policy=policy).kind is ChangeKind.COVERED
    assert judged(None, press, policy=policy).kind is ChangeKind.NEVER


def test_the_youngest_platform_sets_the_ceiling() -> None:
    policy = replace(POLICY, ceiling=((0, 100), (86_400, 10_000)))
    young = {NEW: a_release(released_at=NOW, platform="windows-x86_64")}
    both = {PLATFORM: RELEASES, "windows-x86_64": young}

    change = judge_change(FIRST, of(a_rollout(position=2)), policy, both, NOW, history=LONG_AGO)

    assert change.kind is ChangeKind.NEVER


@pytest.mark.parametrize(
    "releases",
    [
        {OLD: RELEASES[OLD], NEW: a_release(version=NEW)},
        {OLD: RELEASES[OLD]},
        {NEW: RELEASES[NEW]},
    ],
)
def test_a_rollback_needs_a_signed_edge_and_a_signed_target(
    releases: Mapping[Version, Release],
) -> None:
    assert judged(FIRST, REPLACED, releases=releases).kind is ChangeKind.NEVER


def test_an_edge_on_one_platform_is_enough_since_agents_of_others_refuse() -> None:
    without = {OLD: RELEASES[OLD], NEW: a_release(platform="windows-x86_64")}
    both = {"windows-x86_64": without, PLATFORM: RELEASES}

    change = judge_change(FIRST, REPLACED, POLICY, both, NOW, history=LONG_AGO)

    assert change.kind is ChangeKind.DE_ESCALATION


def test_a_rollback_below_the_floor_is_never_signed() -> None:
    policy = replace(POLICY, floor=NEW)

    assert judged(FIRST, REPLACED, policy=policy).kind is ChangeKind.NEVER


def test_nobody_is_rolled_back_from_what_is_still_offered() -> None:
    bouncing = document(REPLACED.entries[0], *FIRST.entries)

    assert kind_of(FIRST, bouncing) is ChangeKind.NEVER


def test_a_rollback_from_further_versions_is_judged_as_a_new_one() -> None:
    rollback, pulled = REPLACED.entries
    wider = replace(rollback, from_versions=frozenset({NEW, Version("2.0.5")}))

    assert kind_of(REPLACED, document(wider, pulled)) is ChangeKind.NEVER


@pytest.mark.parametrize(
    "new",
    [
        replace(FIRST, channel="beta"),
        replace(FIRST, app="other"),
        document(an_entry(version=OLD, rollout=OTHER), an_entry(version=NEW)),
        document(*FIRST.entries, *FIRST.entries),
        document(an_entry(holds=(replace(a_hold(), link="https://evil.example/"),))),
    ],
)
def test_a_document_of_the_wrong_form_is_never_signed(new: RolloutDocument) -> None:
    assert kind_of(FIRST, new) is ChangeKind.NEVER


def test_a_change_is_as_grave_as_its_gravest_part_and_says_all() -> None:
    other = a_rollout(id=OTHER, version=OLD, position=2)
    old = of(a_rollout(position=1), other)
    new = of(
        a_rollout(position=1, state=RolloutState.PAUSED), replace(other, position=len(LADDER) - 1)
    )

    change = judged(old, new)

    assert change.kind is ChangeKind.ESCALATION
    assert [text.split(":")[0] for text in change.why] == ["2.1.0", "2.0.0"]
    assert change.acts == (Act.PAUSE,)


# --- by itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auto", "acts", "today", "allowed"),
    [
        (Automatic(), (Act.PAUSE,), 0, True),
        (Automatic(pause=False), (Act.PAUSE,), 0, False),
        (Automatic(pull=False), (Act.PULL,), 0, False),
        (Automatic(pull=False), (Act.PAUSE,), 0, True),
        (Automatic(rollback=False), (Act.PULL, Act.ROLLBACK), 0, False),
        (Automatic(max_rollbacks_per_day=2), (Act.PULL, Act.ROLLBACK), 1, True),
        (Automatic(max_rollbacks_per_day=2), (Act.PULL, Act.ROLLBACK), 2, False),
        (Automatic(max_rollbacks_per_day=2), (Act.ROLLBACK,) * 3, 0, False),
        (Automatic(max_rollbacks_per_day=0), (Act.PULL,), 9, True),
    ],
)
def test_the_server_narrows_by_itself_where_the_policy_lets_it(
    auto: Automatic, acts: tuple[Act, ...], today: int, allowed: bool
) -> None:
    change = Change(kind=ChangeKind.DE_ESCALATION, acts=acts)

    assert happens_by_itself(change, a_policy(automatic=auto), rollbacks_today=today) is allowed


@pytest.mark.parametrize(
    ("kind", "approvals", "allowed"),
    [
        (ChangeKind.NONE, 0, True),
        (ChangeKind.COVERED, 0, True),
        (ChangeKind.COVERED, 1, False),
        (ChangeKind.RESUME, 0, False),
        (ChangeKind.ESCALATION, 0, False),
        (ChangeKind.NEVER, 0, False),
    ],
)
def test_the_server_widens_by_itself_only_along_the_ramp(
    kind: ChangeKind, approvals: int, allowed: bool
) -> None:
    change = Change(kind=kind, approvals_needed=approvals)

    assert happens_by_itself(change, a_policy(), rollbacks_today=0) is allowed


def test_an_approval_is_needed_by_the_rollout_that_widens() -> None:
    wider = of(a_rollout(position=3))

    change = judged(FIRST, wider)

    assert change.approvals_needed > 0
    assert change.needed_by == {wider.entries[0].rollout: change.approvals_needed}
    assert judged(FIRST, PAUSED).needed_by == {}
