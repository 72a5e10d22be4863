"""Two operators with passwords, or one and a token, have to want what widens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model import Approvals, Rollout, Step
from tests.admin_world import APP, World, a_registered_world
from update_server.service.access.caller import Caller
from update_server.service.errors import ApprovalsMissingError, PendingError
from update_server.service.ports import Role, SignerRefusedError
from update_server.service.ports.approvals import render_password

PASSWORD = "correct horse battery staple"
NEW = "quite another one"
TWO = (
    Step(ring="1%", exposure_bp=100),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=60, approvals=2),
    Step(ring="all", exposure_bp=10_000),
)
Verb = Callable[[Caller], Rollout]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """2.0.0 at 1 %, and two people have to open 10 %; ana, ben and vera sign in."""
    world = a_registered_world(tmp_path / "signer", ramp=TWO, approvals=Approvals(outside_ramp=2))
    world.publish("2.0.0")
    for name, role in (("ana", Role.OPERATOR), ("ben", Role.OPERATOR), ("vera", Role.VIEWER)):
        services = world.services()
        _, link = services.operators.add(world.caller(Role.ADMIN, None), name, role, APP)
        services.own_password.set_by_link(link, PASSWORD)
    return world


@pytest.fixture
def promote(world: World) -> Verb:
    rollout = world.start("2.0.0")
    control = world.services().control
    return lambda caller: control.promote(caller, APP, rollout.id, reason="fine")


def operator(world: World, name: str, password: str = PASSWORD) -> Caller:
    """Return somebody as the door lets them approve."""
    with world.database.reading() as stores:
        known = stores.operators.named(name)
    secret = render_password(name, password)
    return Caller(name=name, token_id=known.id, app=APP, secret=secret)


def waits(promote: Verb, caller: Caller) -> bool:
    with pytest.raises(PendingError) as pending:
        promote(caller)
    return pending.value.pending.needs == 2


def people_of(world: World) -> list[str]:
    found = world.services().second_person.all(APP)
    return [each.by for pending in found for each in pending.approvals]


def test_two_operators_are_two_people(world: World, promote: Verb) -> None:
    assert waits(promote, operator(world, "ana"))
    assert people_of(world) == ["ana"]

    assert promote(operator(world, "ben")).position == 1


def test_an_operator_and_a_token_are_two_people(world: World, promote: Verb) -> None:
    assert waits(promote, world.person("ann"))

    assert promote(operator(world, "ana")).position == 1


def test_an_operator_and_a_token_of_the_same_name_are_one(world: World, promote: Verb) -> None:
    assert waits(promote, operator(world, "ana"))
    assert waits(promote, world.person("Ana"))
    assert waits(promote, world.person("an\u115fa\ufe0f"))  # which looks like "ana"
    assert waits(promote, operator(world, "ana"))

    assert promote(operator(world, "ben")).position == 1


def test_who_shows_no_password_asks_for_nothing(world: World, promote: Verb) -> None:
    ana = replace(operator(world, "ana"), secret="")

    with pytest.raises(ApprovalsMissingError) as missing:
        promote(ana)

    assert not isinstance(missing.value, PendingError)
    assert people_of(world) == []


def test_a_wrong_password_notes_nothing(world: World, promote: Verb) -> None:
    with pytest.raises(SignerRefusedError) as refused:
        promote(operator(world, "ana", "not the password"))

    assert refused.value.code == "approvals_missing"
    assert people_of(world) == []
    assert waits(promote, operator(world, "ana"))


def test_a_viewer_approves_nothing_even_with_a_password(world: World, promote: Verb) -> None:
    assert waits(promote, operator(world, "ana"))

    with pytest.raises(SignerRefusedError):
        promote(operator(world, "vera"))

    assert people_of(world) == ["ana"]
    assert promote(operator(world, "ben")).position == 1


def test_a_changed_password_takes_back_what_waits(world: World, promote: Verb) -> None:
    assert waits(promote, operator(world, "ana"))
    ana = operator(world, "ana")
    world.advance(1)

    world.services().own_password.change(ana.token_id, PASSWORD, NEW)

    assert people_of(world) == []
    assert waits(promote, operator(world, "ben"))
    assert promote(operator(world, "ana", NEW)).position == 1


def test_it_takes_back_nothing_of_others(world: World, promote: Verb) -> None:
    assert waits(promote, operator(world, "ana"))
    ben = operator(world, "ben")

    world.services().own_password.change(ben.token_id, PASSWORD, NEW)

    assert people_of(world) == ["ana"]


@pytest.mark.parametrize("change", ["remove", "reset", "role"])
def test_what_an_admin_takes_away_counts_no_more(world: World, promote: Verb, change: str) -> None:
    assert waits(promote, operator(world, "ana"))
    operators, root = world.services().operators, world.caller(Role.ADMIN, None)
    ana = operator(world, "ana").token_id

    if change == "role":
        operators.change(root, ana, Role.VIEWER)
    elif change == "reset":
        operators.reset(root, ana)
    else:
        operators.remove(root, ana)

    assert people_of(world) == []
    assert waits(promote, operator(world, "ben"))
