from dataclasses import replace
from datetime import timedelta

from rollout.compose import (
    PlacedHold,
    document_for,
    kept_and_dropped,
    say_the_same,
    shape_at,
)
from rollout.decide import decide
from rollout.model import (
    Audience,
    Entry,
    OpenRing,
    Reason,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)
from tests.builders import (
    LADDER,
    NEW,
    NOW,
    OLD,
    a_hold,
    a_policy,
    a_rollout,
    an_install,
    documents,
)


def composed(*rollouts: Rollout, holds: tuple[PlacedHold, ...] = ()) -> RolloutDocument:
    return document_for(a_policy(), rollouts, holds, now=NOW, next_check_in_seconds=14_400)


def entry_of(*rollouts: Rollout, holds: tuple[PlacedHold, ...] = ()) -> Entry:
    (entry,) = composed(*rollouts, holds=holds).entries
    return entry


def test_a_new_rollout_opens_the_internal_ring_to_the_internal_groups() -> None:
    entry = entry_of(a_rollout(position=0))

    staff = OpenRing(name="internal", exposure_bp=10_000, audience=Audience(groups=("staff",)))
    assert entry.rings == (staff,)
    assert (entry.exposure_bp, entry.holdback_bp) == (0, 0)


def test_steps_of_one_name_are_one_ring_as_wide_as_the_last() -> None:
    entry = entry_of(a_rollout(position=4))

    assert [(ring.name, ring.exposure_bp) for ring in entry.rings] == [
        ("internal", 10_000),
        ("1%", 100),
        ("10%", 1_000),
        ("all", 9_800),
    ]
    assert (entry.exposure_bp, entry.holdback_bp) == (9_800, 200)


def test_without_internal_groups_the_internal_ring_is_open_to_nobody() -> None:
    shape = shape_at(LADDER, 1, internal_groups=())

    assert [ring.name for ring in shape.rings] == ["1%"]


def test_a_ring_that_was_internal_may_become_general() -> None:
    ladder = (Step(ring="x"), Step(ring="x", exposure_bp=100))

    shape = shape_at(ladder, 1, internal_groups=("staff",))

    assert shape.rings == (OpenRing(name="x", exposure_bp=100),)


def test_entries_are_newest_first() -> None:
    old = a_rollout(id="ro_old0", version=OLD, started_at=NOW + timedelta(days=1))
    new = a_rollout(id="ro_new0", version=NEW)

    assert [entry.version for entry in composed(old, new).entries] == [NEW, OLD]


def test_a_superseded_rollout_leaves_the_document() -> None:
    assert composed(a_rollout(state=RolloutState.SUPERSEDED)).entries == ()


def test_of_the_completed_rollouts_only_the_newest_stays() -> None:
    old = a_rollout(id="ro_old0", version=OLD, state=RolloutState.COMPLETED)
    new = a_rollout(id="ro_new0", version=NEW, state=RolloutState.COMPLETED)

    document = composed(old, new)

    assert [entry.rollout for entry in document.entries] == ["ro_new0"]
    assert kept_and_dropped(a_policy(), [old, new])[1] == ()


def test_the_last_good_release_comes_back_when_the_newer_one_is_pulled() -> None:
    old = a_rollout(id="ro_old0", version=OLD, state=RolloutState.COMPLETED)
    new = a_rollout(id="ro_new0", version=NEW, state=RolloutState.PULLED)

    assert [entry.version for entry in composed(old, new).entries] == [NEW, OLD]


def test_rollouts_of_other_channels_and_apps_are_left_out() -> None:
    others = [a_rollout(channel="beta"), a_rollout(app="other")]

    assert composed(*others).entries == ()


def test_the_replacement_stands_directly_before_the_pulled_entry() -> None:
    pulled = a_rollout(state=RolloutState.PULLED, replacement=OLD)

    replacement, entry = composed(pulled).entries

    assert replacement == Entry(
        version=OLD,
        state=RolloutState.ACTIVE,
        exposure_bp=10_000,
        rollback=True,
        from_versions=frozenset({NEW}),
    )
    assert (entry.version, entry.state) == (NEW, RolloutState.PULLED)


def test_a_replacement_that_was_pulled_itself_is_offered_to_nobody() -> None:
    newest = a_rollout(id="ro_new0", version=NEW, state=RolloutState.PULLED, replacement=OLD)
    older = a_rollout(id="ro_old0", version=OLD, state=RolloutState.PULLED, replacement="1.0")

    entries = composed(newest, older).entries

    assert [(e.version, e.rollback) for e in entries if e.state is RolloutState.ACTIVE] == [
        (older.replacement, True)
    ]


def test_after_a_pull_every_install_has_a_way() -> None:
    document = composed(
        a_rollout(id="ro_new0", version=NEW, state=RolloutState.PULLED, replacement=OLD),
        a_rollout(
            id="ro_old0", version=OLD, state=RolloutState.COMPLETED, position=len(LADDER) - 1
        ),
    )
    known = documents(rollout=document)

    assert decide(known, an_install(version=NEW), NOW).version == OLD
    assert decide(known, an_install(version=OLD), NOW).reason is Reason.PULLED
    assert decide(known, an_install(version=None), NOW).version == OLD


def test_a_hold_of_the_channel_is_in_every_entry_and_one_of_a_rollout_in_its_own() -> None:
    one, other = a_rollout(id="ro_0001"), a_rollout(id="ro_0002", version=OLD)
    everywhere, here = a_hold(id="h1"), a_hold(id="h2")
    holds = (PlacedHold(hold=everywhere), PlacedHold(hold=here, rollout=RolloutId("ro_0001")))

    first, second = composed(one, other, holds=holds).entries

    assert (first.holds, second.holds) == ((everywhere, here), (everywhere,))


def test_a_pulled_entry_needs_no_holds() -> None:
    holds = (PlacedHold(hold=a_hold()),)

    assert entry_of(a_rollout(state=RolloutState.PULLED), holds=holds).holds == ()


def test_when_room_is_short_the_oldest_pulled_rollouts_go() -> None:
    pulled = [
        a_rollout(id=f"ro_p{n:03}", version=f"1.{n}", state=RolloutState.PULLED, replacement="1.0")
        for n in range(1, 9)
    ]
    active = a_rollout(id="ro_active", version="0.5")

    kept, dropped = kept_and_dropped(a_policy(), [*pulled, active])

    assert [rollout.id for rollout in dropped] == ["ro_p001"]
    assert active in kept
    assert len(composed(*pulled, active).entries) == 15


def test_a_pulled_rollout_without_replacement_takes_one_place() -> None:
    pulled = [
        a_rollout(id=f"ro_p{n:03}", version=f"1.{n}", state=RolloutState.PULLED) for n in range(16)
    ]

    assert kept_and_dropped(a_policy(), pulled)[1] == ()


def test_when_nothing_is_pulled_the_oldest_go() -> None:
    many = [a_rollout(id=f"ro_{n:04}", version=f"1.{n}") for n in range(18)]

    _, dropped = kept_and_dropped(a_policy(), many)

    assert [rollout.id for rollout in dropped] == ["ro_0000", "ro_0001"]


def test_documents_that_differ_in_their_date_say_the_same() -> None:
    document = composed(a_rollout())

    assert say_the_same(replace(document, issued=NOW - timedelta(days=1)), document)
    assert not say_the_same(composed(a_rollout(position=1)), document)
    assert not say_the_same(None, document)


def test_a_document_is_issued_at_a_whole_second() -> None:
    now = NOW.replace(microsecond=999_999)

    document = document_for(a_policy(), [], [], now=now, next_check_in_seconds=60)

    assert document.issued == NOW
