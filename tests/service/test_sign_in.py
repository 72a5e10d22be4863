"""Signing in: what is stored, what is told, and what happens meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.admin_world import World, a_registered_world
from tests.fakes.passwords import QUICK_PASSWORDS
from update_server.passwords import Argon2Passwords
from update_server.service.access.lock_out import LockOut
from update_server.service.access.operators import check_name, checked_identity
from update_server.service.access.passwords import check_new_password
from update_server.service.access.sign_in import MustChange, SignedIn, SignIn
from update_server.service.errors import (
    BadLinkError,
    BadSessionError,
    BadSignInError,
    BadValueError,
    NoPasswordError,
)
from update_server.service.ports import Role, UnavailableError
from update_server.service.ports.operators import Operator

PASSWORD, NEW = "correct horse battery staple", "quite another one"
HERE = "203.0.113.7"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A server with the operator ana."""
    world = a_registered_world(tmp_path / "signer")
    services = world.services()
    root = world.caller(Role.ADMIN, None)
    _, link = services.operators.add(root, "ana", Role.OPERATOR, "demo")
    services.own_password.set_by_link(link, PASSWORD)
    return world


def ana(world: World) -> Operator:
    with world.database.reading() as stores:
        return stores.operators.named("ana")


def sign_in(world: World, password: str = PASSWORD) -> SignedIn:
    known = world.services().sign_in.by_password("ana", password, HERE)
    assert isinstance(known, SignedIn)
    return known


def actions(world: World) -> list[tuple[str, str]]:
    with world.database.reading() as stores:
        found = stores.audit.page(app=None, before_seq=None, limit=100)
    mine = [each for each in reversed(found) if each.action.startswith("operator.")]
    return [(each.action.removeprefix("operator."), each.actor) for each in mine]


def test_all_that_happens_is_in_the_audit_log(world: World) -> None:
    services = world.services()
    known = sign_in(world)
    with pytest.raises(BadSignInError):
        services.sign_in.by_password("ana", NEW, HERE)
    services.own_password.change(known.operator.id, PASSWORD, NEW)
    services.sign_in.out(sign_in(world, NEW).secret)

    assert actions(world)[1:] == [
        ("password", "ana"),
        ("sign_in", "ana"),
        ("sign_in", "ana"),
        ("sign_in_failed", "somebody"),
        ("password", "ana"),
        ("sign_in", "ana"),
        ("sign_in", "ana"),
        ("sign_out", "ana"),
    ]


def test_a_dated_hash_is_made_anew_at_the_next_sign_in(world: World) -> None:
    old = Argon2Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    before = replace(ana(world), password=old.hashed(PASSWORD))
    with world.database.transaction() as stores:
        stores.operators.update(before)

    known = sign_in(world)

    assert "m=8,t=1" in (ana(world).password or "")
    assert ana(world).password_set_at == before.password_set_at  # it is the same password
    assert world.services().sign_in.check(known.secret)[1] == ana(world)


def test_who_is_removed_while_the_password_is_checked_is_not_let_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Argon2Passwords.matches

    def matches(self: Argon2Passwords, stored: str, password: str) -> bool:
        root = world.caller(Role.ADMIN, None)
        world.services().operators.remove(root, ana(world).id)
        return real(self, stored, password)

    monkeypatch.setattr(Argon2Passwords, "matches", matches)

    with pytest.raises(BadSignInError):
        world.services().sign_in.by_password("ana", PASSWORD, HERE)
    assert world.database._state.signed_in == {}


def test_a_link_that_is_used_twice_at_once_works_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = world.services()
    _, link = services.operators.reset(world.caller(Role.ADMIN, None), ana(world).id)
    real = Argon2Passwords.hashed
    inside: list[int] = []

    def hashed(self: Argon2Passwords, password: str) -> str:
        if not inside:
            inside.append(1)
            services.own_password.set_by_link(link, NEW)
        return real(self, password)

    monkeypatch.setattr(Argon2Passwords, "hashed", hashed)

    with pytest.raises(BadLinkError):
        services.own_password.set_by_link(link, PASSWORD)
    assert sign_in(world, NEW).operator.name == "ana"


def test_a_removed_operators_link_sets_nothing(world: World) -> None:
    services, root = world.services(), world.caller(Role.ADMIN, None)
    _, link = services.operators.reset(root, ana(world).id)
    services.operators.remove(root, ana(world).id)

    with pytest.raises(BadLinkError):
        services.own_password.set_by_link(link, NEW)


def test_an_operator_without_a_password_confirms_nothing(world: World) -> None:
    services = world.services()
    services.operators.reset(world.caller(Role.ADMIN, None), ana(world).id)

    with pytest.raises(NoPasswordError):
        services.sign_in.confirm(ana(world).id, "")


def test_signing_out_twice_is_signing_out(world: World) -> None:
    secret = sign_in(world).secret
    sessions = world.services().sign_in

    sessions.out(secret)
    sessions.out(secret)

    with pytest.raises(BadSessionError):
        sessions.check(secret)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "eleven char",
        "x" * 1_025,
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "ana ana ana ana",
        "ANAANAANAANA",
    ],
)
def test_some_passwords_are_guessed_at_once(password: str) -> None:
    with pytest.raises(BadValueError):
        check_new_password(password, "ana")


@pytest.mark.parametrize(
    "password", ["twelve chars", "x" * 1_000 + "12345", "пароль очень длинный", "ana and the sea"]
)
def test_others_will_do(password: str) -> None:
    assert check_new_password(password, "ana") == password


@pytest.mark.parametrize(
    "name", ["ana", "Änne Müller", "ana.b-c_d", "ana@example.org", "李雷", "हिन्दी", "O'Neil"]
)
def test_people_have_their_own_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "ana ", " ana", "a  b", "a\tb", "a\nb", "a\x00", "a\u202eb", "a\u200bb",
        "<b>", "a/b", "a:b", 'a"b', "ﬁx", "🙂", ".", "-x", "x" * 65, "a\u00a0b",
        "ana\ufe0f", "an\u034fa", "ana\u115f", "\u115f", "ana\u17b4", "ana\U000e0100",
        "serinus", "Serinus", "somebody",
    ],
)  # fmt: skip
def test_some_names_would_be_taken_for_something_else(name: str) -> None:
    with pytest.raises(BadValueError):
        check_name(name)


def test_an_address_is_kept_in_small_letters_and_a_subject_as_it_is() -> None:
    assert checked_identity("Ana@Example.ORG") == "ana@example.org"
    assert checked_identity("User-7") == "User-7"
    for wrong in ("", "a b", "ä@b", "a\x00", "x" * 256):
        with pytest.raises(BadValueError):
            checked_identity(wrong)


def test_a_page_opens_while_nobody_can_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = sign_in(world).secret
    world.advance(600)

    def busy(_: object) -> None:
        raise UnavailableError("somebody is writing")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.database), "transaction", busy)
        session, _ = world.services().sign_in.check(secret)

    assert world.services().sign_in.check(secret)[0] == session  # this one notes it
    assert world.services().sign_in.check(secret)[0].seen_at == world.clock.now()


def test_a_first_password_makes_a_link_that_is_in_the_log(world: World) -> None:
    services = world.services()
    root = world.caller(Role.ADMIN, None)
    services.operators.add(root, "ben", Role.VIEWER, "demo", first_password="given by somebody")

    known = services.sign_in.by_password("ben", "given by somebody", HERE)

    assert isinstance(known, MustChange)
    assert actions(world)[-1] == ("link", "ben")


def test_who_is_signed_in_waits_behind_no_stranger(world: World) -> None:
    class Busy(Argon2Passwords):
        """Strangers wait for it, all the time."""

        def matches(self, stored: str, password: str) -> bool:
            raise UnavailableError(f"no turn for {len(stored + password)} characters")

    busy = SignIn(
        world.database,
        world.clock,
        world.ids,
        passwords=Busy(),
        lock_out=LockOut(world.database, world.clock),
        again=QUICK_PASSWORDS,
    )

    with pytest.raises(UnavailableError):
        busy.by_password("ana", PASSWORD, HERE)
    assert busy.confirm(ana(world).id, PASSWORD) == ana(world)
