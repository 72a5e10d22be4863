"""Operators who approve by their password, which the signer checks by itself.

Each attack stands beside the same request without the attack, which is signed.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.model import Approvals, RolloutDocument, RolloutState
from tests.signer.operators import PASSWORD, add_operator, change_operator, set_password
from tests.signer.signer_world import SignerWorld, a_document, a_world, an_entry
from update_server.service.ports import Role, SignerRefusedError
from update_server.service.ports.approvals import parse_password, render_password
from update_server.signer.approvals import MAX_PASSWORDS

AT_10, EVERYBODY = a_document(an_entry(1)), a_document(an_entry(2))


@pytest.fixture
def world(tmp_path: Path) -> SignerWorld:
    """A rollout at 10 %, which two have to open to everybody: the operators ana and ben."""
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2, resume_after_auto_pause=2))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    world.ask(AT_10, ann)
    add_operator(world, "ana")
    add_operator(world, "ben")
    return world


ANA, BEN = render_password("ana", PASSWORD), render_password("ben", PASSWORD)


def missing(world: SignerWorld, document: RolloutDocument, *shown: str) -> bool:
    with pytest.raises(SignerRefusedError) as refused:
        world.ask(document, *shown)
    return refused.value.code == "approvals_missing"


def is_signed(world: SignerWorld, document: RolloutDocument, *shown: str) -> bool:
    return world.ask(document, *shown).entries == document.entries


def test_two_passwords_are_two_people(world: SignerWorld) -> None:
    assert is_signed(world, EVERYBODY, ANA, BEN)


def test_a_password_and_a_token_are_two_people(world: SignerWorld) -> None:
    assert is_signed(world, EVERYBODY, ANA, "srn_ann")


def test_a_ticket_stands_for_a_password(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)

    assert is_signed(world, EVERYBODY, BEN, ticket)


def test_a_name_is_the_same_however_it_is_spelt(world: SignerWorld) -> None:
    assert is_signed(world, EVERYBODY, render_password(" Ana", PASSWORD), BEN)


# --- who approves nothing ----------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        render_password("ana", PASSWORD + "x"),
        render_password("ana", ""),
        render_password("", PASSWORD),
        render_password("eve", PASSWORD),
        "srp_",
        "srp_.",
        ANA + "=",
        ANA.replace("srp_", "srp_\n"),
        "srp_" + base64.b64encode(b"ana").decode(),
    ],
)
def test_what_is_no_password_of_an_operator_approves_nothing(
    world: SignerWorld, shown: str
) -> None:
    assert missing(world, EVERYBODY, shown, BEN)
    assert is_signed(world, EVERYBODY, ANA, BEN)


def test_the_stored_hash_is_no_password(world: SignerWorld) -> None:
    with world.database.reading() as stores:
        stored = stores.operators.named("ana").password or ""

    assert missing(world, EVERYBODY, render_password("ana", stored), BEN)
    assert missing(world, EVERYBODY, stored, BEN)
    assert is_signed(world, EVERYBODY, ANA, BEN)


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.VIEWER},
        {"role": Role.PUBLISHER},
        {"app": "other"},
        {"must_change": True},
        {"password": None},
    ],
    ids=str,
)
def test_some_operators_approve_nothing(world: SignerWorld, change: dict[str, object]) -> None:
    ticket = world.ticket(EVERYBODY, ANA)
    with world.database.reading() as stores:
        before = stores.operators.named("ana")
    change_operator(world, "ana", **change)

    assert missing(world, EVERYBODY, ANA, BEN)
    assert missing(world, EVERYBODY, BEN, ticket)
    change_operator(world, "ana", **{name: getattr(before, name) for name in change})
    assert is_signed(world, EVERYBODY, BEN, ticket)


def test_a_removed_operator_approves_nothing_any_more(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)
    change_operator(world, "ana", removed_at=world.clock.now())

    assert missing(world, EVERYBODY, ANA, BEN)
    assert missing(world, EVERYBODY, BEN, ticket)
    change_operator(world, "ana", removed_at=None)
    assert is_signed(world, EVERYBODY, BEN, ticket)


def test_who_takes_a_removed_ones_name_is_somebody_else(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)
    change_operator(world, "ana", removed_at=world.clock.now())
    new = add_operator(world, "ana", id="op_other", plain="quite another one")

    assert missing(world, EVERYBODY, BEN, ticket)
    assert missing(world, EVERYBODY, BEN, ANA)
    assert is_signed(world, EVERYBODY, BEN, new)


def test_a_changed_password_takes_back_what_the_old_one_approved(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)
    world.clock.advance(timedelta(seconds=1))
    new = set_password(world, "ana", "quite another one")

    assert missing(world, EVERYBODY, ANA, BEN)
    assert missing(world, EVERYBODY, BEN, ticket)
    assert is_signed(world, EVERYBODY, BEN, world.ticket(EVERYBODY, new))


# --- one person stays one ----------------------------------------------------------------


def test_one_person_stays_one_with_a_password_and_a_ticket(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)

    assert missing(world, EVERYBODY, ANA, ticket)
    assert missing(world, EVERYBODY, ANA, ANA)
    assert is_signed(world, EVERYBODY, BEN, ticket)


@pytest.mark.parametrize("name", ["ana", "Ana", "ANA "])
def test_a_token_of_the_same_name_is_the_same_person(world: SignerWorld, name: str) -> None:
    token = world.token(name, token_id="tok_laptop")
    ticket = world.ticket(EVERYBODY, token)

    assert missing(world, EVERYBODY, ANA, token)
    assert missing(world, EVERYBODY, ANA, ticket)
    assert is_signed(world, EVERYBODY, BEN, ticket)


def test_a_used_ticket_approves_nothing_later(world: SignerWorld) -> None:
    ticket = world.ticket(EVERYBODY, ANA)
    assert is_signed(world, EVERYBODY, BEN, ticket)
    world.ask(AT_10, ANA)

    assert missing(world, EVERYBODY, BEN, ticket)
    assert is_signed(world, EVERYBODY, BEN, world.ticket(EVERYBODY, ANA))


def test_a_ticket_is_of_one_app(world: SignerWorld) -> None:
    change_operator(world, "ana", app="other")

    with pytest.raises(SignerRefusedError) as refused:
        world.ticket(EVERYBODY, ANA)

    assert refused.value.code == "approvals_missing"
    change_operator(world, "ana", app=None)
    assert is_signed(world, EVERYBODY, BEN, world.ticket(EVERYBODY, ANA))


def test_only_a_few_passwords_are_looked_at(world: SignerWorld) -> None:
    wrong = [render_password("ana", f"wrong {number}") for number in range(MAX_PASSWORDS)]

    with pytest.raises(SignerRefusedError) as refused:
        world.ask(EVERYBODY, *wrong, BEN)

    assert refused.value.code == "too_many"
    assert is_signed(world, EVERYBODY, *wrong[:2], ANA, BEN)


def test_a_pause_needs_no_password(world: SignerWorld) -> None:
    paused = a_document(an_entry(1, state=RolloutState.PAUSED))

    assert is_signed(world, paused)


# --- how it is told ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ana", "Änne Müller", "a.b", "", "\u202egnp"])
@pytest.mark.parametrize("password", [PASSWORD, "", "päss.wörd", "x" * 1_024, "\x00\n"])
def test_name_and_password_come_back_as_they_went(name: str, password: str) -> None:
    assert parse_password(render_password(name, password)) == (name, password)


@pytest.mark.parametrize("text", ["", "srn_x", "srp_YQ", "srp_YQ.YR", "srp_YQ.Y Q", "srp_ü.YQ"])
def test_anything_else_tells_nothing(text: str) -> None:
    parsed = parse_password(text)

    assert parsed is None or text == "srp_YQ" or render_password(*parsed) == text
