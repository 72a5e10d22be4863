"""Verbs that two have to want: who asks, what changes meanwhile, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.model import Actor, Approvals, Audience, Entry, Rollout, RolloutState, Step
from tests.admin_world import APP, QUICK_LADDER, STABLE, World, a_registered_world
from update_server.evidence.settings import STANDARD
from update_server.service.access.caller import AUTOMATIC, Caller
from update_server.service.errors import (
    ApprovalsMissingError,
    BadValueError,
    NeverAllowedError,
    PendingError,
    RevisionError,
    TooManyPendingError,
)
from update_server.service.ports import NotFoundError, Role, SignerRefusedError, UnavailableError
from update_server.service.ports.pending import LIFE, PendingVerb
from update_server.service.rollouts import second_person

TWO = (
    Step(ring="1%", exposure_bp=100),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=60, approvals=2),
    Step(ring="all", exposure_bp=10_000, approvals=3),
)
Verb = Callable[[Caller], Rollout]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """2.0.0 at 1 %, and two people have to open 10 %."""
    world = a_registered_world(
        tmp_path / "signer",
        ramp=TWO,
        approvals=Approvals(outside_ramp=2),
        link_hosts=("status.example.org",),
    )
    world.publish("2.0.0")
    return world


@pytest.fixture
def rollout(world: World) -> Rollout:
    return world.start("2.0.0")


def promoting(world: World, rollout: Rollout, **more: object) -> Verb:
    control = world.services().control
    return lambda caller: control.promote(caller, APP, rollout.id, **more)  # type: ignore[arg-type]


def waiting(verb: Callable[[Caller], object], caller: Caller) -> PendingVerb:
    with pytest.raises(PendingError) as waits:
        verb(caller)
    return waits.value.pending


def listed(world: World) -> list[PendingVerb]:
    return list(world.services().second_person.all(APP))


def entries(world: World) -> tuple[Entry, ...]:
    with world.database.reading() as stores:
        for stored in stores.releases.documents(APP):
            if stored.kind == "rollout":
                return parse_rollout(stored.document).entries
    return ()


def lines(world: World) -> list[tuple[str, str, list[str]]]:
    """Return the audit log of what waited: action, who, and all people; oldest first."""
    with world.database.reading() as stores:
        records = stores.audit.page(app=APP, before_seq=None, limit=100)
    return [
        (record.action, record.actor, record.after["people"])
        for record in reversed(records)
        if record.action.startswith("pending.")
    ]


# --- two people --------------------------------------------------------------------------


def test_the_first_one_changes_nothing_and_the_second_one_has_it_done(
    world: World, rollout: Rollout
) -> None:
    promote, signed = promoting(world, rollout, reason="fine"), entries(world)
    ann, ben = world.person("ann"), world.person("ben")

    pending = waiting(promote, ann)

    assert (world.rollout(rollout), entries(world)) == (rollout, signed)
    assert not world.services().reconciler.is_due(APP)
    assert (pending.verb, pending.rollout, pending.ring) == ("promote", rollout.id, "10%")
    assert (pending.needs, [each.by for each in pending.approvals]) == (2, ["ann"])
    assert (pending.revision, pending.reason) == (rollout.revision, "fine")
    assert pending.expires_at - world.clock.now() == LIFE
    assert listed(world) == [pending]

    promoted = promote(ben)

    assert (promoted.position, entries(world)[0].exposure_bp) == (1, 1_000)
    assert listed(world) == []
    assert lines(world) == [
        ("pending.ask", "ann", ["ann"]),
        ("pending.complete", "ben", ["ann", "ben"]),
    ]


def test_the_same_person_again_still_waits_and_is_noted_once(
    world: World, rollout: Rollout
) -> None:
    promote = promoting(world, rollout)
    pending = waiting(promote, world.person("ann"))
    world.advance(60)

    again = waiting(promote, world.person("ann"))

    assert again == pending
    assert len(lines(world)) == 1


@pytest.mark.parametrize("other", ["Ann", "ann ", "\uff41nn"])
def test_a_second_token_makes_no_second_person(world: World, rollout: Rollout, other: str) -> None:
    promote = promoting(world, rollout)
    pending = waiting(promote, world.person("ann"))

    assert waiting(promote, world.person(other)) == pending
    assert promote(world.person("ben")).position == 1


def test_three_are_waited_for_where_the_policy_wants_three(world: World, rollout: Rollout) -> None:
    waiting(promoting(world, rollout), world.person("ann"))
    promoting(world, rollout)(world.person("ben"))
    world.advance(60)
    promote = promoting(world, world.rollout(rollout))

    counts = [waiting(promote, world.person(name)).approvals for name in ("ann", "ben", "ann")]
    done = promote(world.person("cy"))

    assert [len(approvals) for approvals in counts] == [1, 2, 2]
    assert done.state is RolloutState.COMPLETED
    assert lines(world)[-3:] == [
        ("pending.ask", "ann", ["ann"]),
        ("pending.join", "ben", ["ann", "ben"]),
        ("pending.complete", "cy", ["ann", "ben", "cy"]),
    ]


def test_two_people_end_an_automatic_pause(released: World) -> None:
    rollout, control = released.start("2.1.0"), released.services().control
    control.pause(AUTOMATIC, APP, rollout.id, by=Actor.AUTOMATIC)

    pending = waiting(lambda who: control.resume(who, APP, rollout.id), released.person("ann"))
    resumed = control.resume(released.person("ben"), APP, rollout.id)

    assert (pending.verb, pending.ring) == ("resume", rollout.step.ring)
    assert resumed.state is RolloutState.ACTIVE
    assert entries(released)[0].state is RolloutState.ACTIVE


def test_two_people_start_outside_the_ramp(world: World) -> None:
    control = world.services().control

    def start(who: Caller) -> Rollout:
        return control.start(who, APP, STABLE, Version("2.0.0"), ring="all", reason="first")

    pending = waiting(start, world.person("ann"))
    with pytest.raises(NotFoundError), world.database.reading() as stores:
        stores.rollouts.get(APP, pending.rollout)
    started = start(world.person("ben"))

    assert (started.id, started.version) == (pending.rollout, Version("2.0.0"))
    assert entries(world)[0].exposure_bp == 10_000


@pytest.mark.parametrize(
    "different",
    [
        {"ring": "10%"},
        {"ladder": (Step(ring="all", exposure_bp=10_000),)},
        {"terms": replace(STANDARD, alpha=0.02)},
    ],
    ids=["ring", "ladder", "terms"],
)
def test_a_start_with_other_arguments_is_another_ask(
    world: World, different: dict[str, object]
) -> None:
    control = world.services().control

    def start(who: Caller, **more: object) -> Rollout:
        arguments = {"ring": "all"} | more
        if "ladder" in more:
            del arguments["ring"]
        return control.start(
            who,
            APP,
            STABLE,
            Version("2.0.0"),
            reason="first",
            **arguments,  # type: ignore[arg-type]
        )

    first = waiting(start, world.person("ann"))
    other = waiting(lambda who: start(who, **different), world.person("ben"))

    assert first.rollout != other.rollout
    assert listed(world) == [first, other]
    assert start(world.person("cy")).id == first.rollout


def test_what_two_want_to_waive_must_be_the_same(released: World) -> None:
    rollout, control = released.start("2.1.0"), released.services().control
    control.pause(AUTOMATIC, APP, rollout.id, by=Actor.AUTOMATIC)

    def resume(who: Caller, *waived: str) -> Rollout:
        for_a_day = timedelta(days=1)
        return control.resume(
            who, APP, rollout.id, reason="known", waived=waived, waived_for=for_a_day
        )

    waiting(lambda who: resume(who, "aa"), released.person("ann"))
    waiting(resume, released.person("ben"))

    assert resume(released.person("cy"), "aa").state is RolloutState.ACTIVE


def test_naming_the_ring_that_comes_next_asks_for_the_same(world: World, rollout: Rollout) -> None:
    waiting(promoting(world, rollout), world.person("ann"))

    assert promoting(world, rollout, ring="10%")(world.person("ben")).position == 1


def test_another_ring_is_another_ask(world: World, rollout: Rollout) -> None:
    everybody = promoting(world, rollout, ring="all", override=True, reason="urgent")
    waiting(promoting(world, rollout), world.person("ann"))

    pending = waiting(everybody, world.person("ben"))

    assert [each.ring for each in listed(world)] == ["10%", "all"]
    assert [each.by for each in pending.approvals] == ["ben"]


def test_an_override_is_meant_by_each_of_them(world: World, rollout: Rollout) -> None:
    everybody = promoting(world, rollout, ring="all", override=True, reason="urgent")
    waiting(everybody, world.person("ann"))

    with pytest.raises(ApprovalsMissingError) as plain:
        promoting(world, rollout, ring="all")(world.person("ben"))
    with pytest.raises(BadValueError):
        promoting(world, rollout, ring="all", override=True)(world.person("ben"))

    assert not isinstance(plain.value, PendingError)
    assert plain.value.hint
    assert everybody(world.person("ben")).position == 2


def lifting(world: World, hold: str) -> Callable[[Caller], None]:
    holds = world.services().holds
    return lambda caller: holds.lift(caller, APP, hold)


def a_hold(world: World, country: str = "AT") -> str:
    held = world.services().holds.add(
        world.person("ann"),
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(country=(country,)),
    )
    return held.hold.id


def test_two_people_lift_a_hold_from_all_that_it_holds(world: World) -> None:
    # 2.0.0 is for everybody, and 2.1.0 comes after it: the hold is on both.
    world.change_policy(
        ramp=(*TWO[:1], Step(ring="all", exposure_bp=10_000)),
        approvals=Approvals(outside_ramp=2),
        link_hosts=("status.example.org",),
    )
    world.complete("2.0.0")
    world.publish("2.1.0")
    newer = world.start("2.1.0")
    hold, other = a_hold(world), a_hold(world, "DE")
    before = entries(world)

    pending = waiting(lifting(world, hold), world.person("ann"))
    waiting(lifting(world, hold), world.person("ann"))
    waiting(lifting(world, other), world.person("ben"))

    assert entries(world) == before
    assert (pending.verb, pending.hold, pending.rollout) == ("lift", hold, newer.id)
    assert [len(each.tickets) for each in pending.approvals] == [2]
    lifting(world, hold)(world.person("ben"))
    assert [[h.id for h in entry.holds] for entry in entries(world)] == [[other], [other]]
    assert lines(world)[-1] == ("pending.complete", "ben", ["ann", "ben"])


def test_who_lifts_one_hold_lifts_no_other(world: World, rollout: Rollout) -> None:
    one, other = a_hold(world), a_hold(world, "DE")
    waiting(lifting(world, one), world.person("ann"))

    pending = waiting(lifting(world, other), world.person("ben"))

    assert (pending.hold, len(pending.approvals)) == (other, 1)
    assert {each.hold for each in listed(world)} == {one, other}
    assert pending.rollout == rollout.id


def test_a_hold_on_nothing_is_lifted_by_anybody(world: World) -> None:
    lifting(world, a_hold(world))(world.person("ann"))

    assert listed(world) == []
    assert world.services().holds.all(APP) == []


# --- what changes meanwhile --------------------------------------------------------------


def test_an_ask_waits_for_an_hour(world: World, rollout: Rollout) -> None:
    promote = promoting(world, rollout)
    first = waiting(promote, world.person("ann"))

    world.clock.advance(LIFE)
    assert listed(world) == []
    second = waiting(promote, world.person("ben"))

    assert [each.by for each in second.approvals] == ["ben"]
    assert second.id != first.id
    with world.database.reading() as stores:
        assert stores.pending.of_app(APP) == [second]


def test_an_ask_is_void_once_the_rollout_was_changed(world: World, rollout: Rollout) -> None:
    control, ann = world.services().control, world.person("ann")
    waiting(promoting(world, rollout), ann)
    control.pause(ann, APP, rollout.id)
    control.resume(ann, APP, rollout.id)  # it looks as before

    assert listed(world) == []
    assert [e.by for e in waiting(promoting(world, rollout), world.person("ben")).approvals] == [
        "ben"
    ]


def test_an_ask_is_void_once_a_hold_was_placed(world: World, rollout: Rollout) -> None:
    ann, ben = world.person("ann"), world.person("ben")
    first = waiting(promoting(world, rollout), ann)
    world.services().holds.add(
        ann,
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(),
    )

    second = waiting(promoting(world, rollout), ben)

    assert first.id != second.id
    assert listed(world) == [second]
    assert promoting(world, rollout)(ann).position == 1


def test_who_lost_their_token_counts_no_more(world: World, rollout: Rollout) -> None:
    promote = promoting(world, rollout)
    ann = world.person("ann")
    waiting(promote, ann)

    world.services().tokens.revoke(world.caller(Role.ADMIN, None), ann.token_id)

    assert listed(world) == []
    assert [e.by for e in waiting(promote, world.person("ben")).approvals] == ["ben"]
    assert promote(world.person("cy")).position == 1


def test_who_asks_with_a_new_token_takes_the_place_of_the_old_one(
    world: World, rollout: Rollout
) -> None:
    promote = promoting(world, rollout)
    short = world.person("ann", expires_in_seconds=60)
    first = waiting(promote, short)
    world.advance(60)

    second = waiting(promote, world.person("Ann"))

    assert first.id == second.id
    assert [each.by for each in second.approvals] == ["Ann"]
    assert promote(world.person("ben")).position == 1


def test_who_waits_for_a_soak_that_is_over_needs_nobody(released: World) -> None:
    released.change_policy(ramp=QUICK_LADDER, approvals=Approvals(outside_ramp=2))
    rollout = released.start("2.1.0")
    early = promoting(released, rollout, override=True, reason="urgent")
    waiting(early, released.person("ann"))

    released.advance(60)

    assert promoting(released, rollout)(released.person("ann")).position == 1
    assert listed(released) == []
    assert [action for action, _, _ in lines(released)] == ["pending.ask"]


def test_a_revision_that_was_not_seen_completes_nothing(world: World, rollout: Rollout) -> None:
    waiting(promoting(world, rollout), world.person("ann"))

    with pytest.raises(RevisionError):
        promoting(world, rollout, expected_revision=7)(world.person("ben"))

    assert len(listed(world)) == 1


class _Killed(BaseException):
    """The end of a process."""


def test_who_is_killed_before_the_signature_changes_nothing_and_both_ask_again(
    world: World, rollout: Rollout
) -> None:
    class Deadly(_Down):
        def sign_rollout(self, *_: object, **__: object) -> object:
            raise _Killed

    promote = promoting(world, rollout)
    waiting(promote, world.person("ann"))
    dying = world.services(signer=Deadly(world)).control  # type: ignore[arg-type]

    with pytest.raises(_Killed):
        dying.promote(world.person("ben"), APP, rollout.id)
    with pytest.raises(SignerRefusedError):
        world.services().reconciler.reconcile(APP)

    assert (world.rollout(rollout).position, entries(world)[0].exposure_bp) == (0, 100)
    assert listed(world) == []
    waiting(promote, world.person("ben"))
    assert promote(world.person("ann")).position == 1


# --- withdrawing -------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_either_person_may_withdraw(world: World, rollout: Rollout, who: str) -> None:
    promote = promoting(world, rollout)
    pending = waiting(promote, world.person("ann"))

    world.services().second_person.withdraw(world.person(who), APP, pending.id)

    assert listed(world) == []
    assert lines(world)[-1] == ("pending.withdraw", who, ["ann"])
    assert [e.by for e in waiting(promote, world.person("ben")).approvals] == ["ben"]


def test_what_was_withdrawn_does_not_come_back_with_a_copy_of_the_database(
    world: World, rollout: Rollout
) -> None:
    promote = promoting(world, rollout)
    pending = waiting(promote, world.person("ann"))
    world.services().second_person.withdraw(world.person("ben"), APP, pending.id)
    with world.database.transaction() as stores:
        stores.pending.put(pending)

    with pytest.raises(SignerRefusedError) as refused:
        promote(world.person("ben"))

    assert refused.value.code == "approvals_missing"
    assert world.rollout(rollout).position == 0


def test_what_does_not_wait_cannot_be_withdrawn(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.services().second_person.withdraw(world.person("ann"), APP, "pe_none")


class _Down:
    """A signer that answers everything but a withdrawal."""

    def __init__(self, world: World) -> None:
        self._signer = world.signer

    def __getattr__(self, name: str) -> object:
        return getattr(self._signer, name)

    def withdraw(self, *_: str) -> None:
        raise UnavailableError("the signer does not answer")


def test_nothing_is_withdrawn_that_the_signer_did_not_hear_of(
    world: World, rollout: Rollout
) -> None:
    pending = waiting(promoting(world, rollout), world.person("ann"))

    with pytest.raises(UnavailableError):
        world.services(signer=_Down(world)).second_person.withdraw(  # type: ignore[arg-type]
            world.person("ann"), APP, pending.id
        )

    assert listed(world) == [pending]


def test_who_joins_while_an_ask_is_withdrawn_is_withdrawn_too(
    world: World, rollout: Rollout
) -> None:
    waiting(promoting(world, rollout), world.person("ann"))
    promoting(world, rollout)(world.person("ben"))
    world.advance(60)
    promote = promoting(world, world.rollout(rollout))
    pending = waiting(promote, world.person("ann"))
    withdrawn: list[str] = []

    class Slow(_Down):
        def withdraw(self, *asked: str) -> None:
            if not withdrawn:
                waiting(promote, world.person("ben"))
            withdrawn.append(asked[1])

    office = world.services(signer=Slow(world)).second_person  # type: ignore[arg-type]
    office.withdraw(world.person("ann"), APP, pending.id)

    assert listed(world) == []
    assert len(set(withdrawn)) == 2


# --- what is no ask ----------------------------------------------------------------------


def test_the_server_itself_asks_nobody(world: World, rollout: Rollout) -> None:
    with pytest.raises(ApprovalsMissingError) as refused:
        promoting(world, rollout)(AUTOMATIC)

    assert not isinstance(refused.value, PendingError)
    assert listed(world) == []


def test_what_is_never_allowed_waits_for_nobody(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", ramp=TWO, ceiling=((0, 100),))
    world.publish("2.0.0")
    rollout = world.start("2.0.0")

    with pytest.raises(NeverAllowedError):
        promoting(world, rollout)(world.person("ann"))

    assert listed(world) == []


def test_a_caller_without_a_token_of_an_operator_leaves_nothing_behind(
    world: World, rollout: Rollout
) -> None:
    with pytest.raises(SignerRefusedError) as refused:
        promoting(world, rollout)(world.person("eve", Role.VIEWER))

    assert refused.value.code == "approvals_missing"
    assert listed(world) == []


def test_a_token_that_nobody_knows_completes_nothing(world: World, rollout: Rollout) -> None:
    pending = waiting(promoting(world, rollout), world.person("ann"))

    with pytest.raises(SignerRefusedError):
        promoting(world, rollout)(Caller(name="eve", token_id="tok_none", secret="srn_guessed"))

    assert world.rollout(rollout) == rollout  # it was not even wished for
    assert listed(world) == [pending]


def test_only_so_many_wait_at_once(
    world: World, rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_person, "MAX_WAITING", 1)
    waiting(promoting(world, rollout), world.person("ann"))
    everybody = promoting(world, rollout, ring="all", override=True, reason="urgent")

    with pytest.raises(TooManyPendingError):
        everybody(world.person("ann"))

    assert promoting(world, rollout)(world.person("ben")).position == 1


def test_no_secret_is_stored_with_what_waits(world: World, rollout: Rollout) -> None:
    ann = world.person("ann")
    pending = waiting(promoting(world, rollout), ann)

    assert ann.secret not in repr(pending)
    assert ann.secret not in repr(world.database._state)


def test_a_row_that_was_made_up_in_the_database_opens_nothing(
    world: World, rollout: Rollout
) -> None:
    promote = promoting(world, rollout)
    pending = waiting(promote, world.person("ann"))
    made_up = replace(
        pending,
        approvals=tuple(
            replace(each, by="cy", token_id=world.person("cy").token_id)
            for each in pending.approvals
        ),
    )
    with world.database.transaction() as stores:
        stores.pending.put(made_up)

    with pytest.raises(SignerRefusedError) as refused:
        promote(world.person("ann"))  # with a ticket of her own that is said to be cy's

    assert (refused.value.code, refused.value.data["given"]) == ("approvals_missing", 1)
    assert entries(world)[0].exposure_bp == 100
    assert world.rollout(rollout).position == 0
