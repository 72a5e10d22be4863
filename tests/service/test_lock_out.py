"""Who fails to sign in waits, longer each time; and nobody keeps others out for long."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.admin_world import World, a_registered_world
from update_server.service.access.lock_out import FORGOTTEN_AFTER, LIMITS, LockOut
from update_server.service.access.sign_in import SignedIn
from update_server.service.errors import (
    BadSignInError,
    TooManyFailuresError,
    WrongPasswordError,
    in_words,
)
from update_server.service.ports import Role, UnavailableError

PASSWORD = "correct horse battery staple"
HERE, THERE = "203.0.113.7", "198.51.100.9"
SECOND = timedelta(seconds=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A server with the operator ana."""
    world = a_registered_world(tmp_path / "signer")
    add(world, "ana")
    return world


def add(world: World, name: str) -> str:
    services = world.services()
    root = world.caller(Role.ADMIN, None)
    operator, link = services.operators.add(root, name, Role.OPERATOR, "demo")
    services.own_password.set_by_link(link, PASSWORD)
    return operator.id


def signs_in(world: World, address: str = HERE, name: str = "ana") -> bool:
    known = world.services().sign_in.by_password(name, PASSWORD, address)
    return isinstance(known, SignedIn)


def fail(world: World, times: int = 1, address: str = HERE, name: str = "ana") -> None:
    for _ in range(times):
        with pytest.raises(BadSignInError):
            world.services().sign_in.by_password(name, "not the password", address)


def wait_of(world: World, address: str = HERE, name: str = "ana") -> int:
    """Return how many seconds somebody has to wait, with the right password too."""
    with pytest.raises(TooManyFailuresError) as refused:
        world.services().sign_in.by_password(name, PASSWORD, address)
    return refused.value.retry_after_seconds


def test_the_fifth_failure_brings_a_delay_that_doubles(world: World) -> None:
    fail(world, 5)
    waits = []
    for _ in range(9):
        waits.append(wait_of(world))
        world.advance(waits[-1])
        fail(world)

    assert waits == [10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_four_failures_bring_none(world: World) -> None:
    fail(world, 4)

    assert signs_in(world)


def test_the_delay_ends_on_time(world: World) -> None:
    fail(world, 5)
    world.advance(9)
    assert wait_of(world) == 1

    world.advance(1)

    assert signs_in(world)


def test_to_try_too_early_makes_nothing_longer(world: World) -> None:
    fail(world, 5)
    for _ in range(20):
        wait_of(world)

    world.advance(10)

    assert signs_in(world)


def test_a_success_forgets_the_failures(world: World) -> None:
    fail(world, 4)
    assert signs_in(world)
    fail(world, 4)

    assert signs_in(world)


def test_a_day_forgets_them_too(world: World) -> None:
    fail(world, 4)
    world.advance(FORGOTTEN_AFTER.total_seconds() + 1)
    fail(world, 4)

    assert signs_in(world)


def test_delays_outlive_the_process(world: World, tmp_path: Path) -> None:
    fail(world, 5)

    assert wait_of(world.fork(tmp_path / "other")) == 10


@pytest.mark.parametrize("name", ["ana", "Ana", " ANA "])
def test_spelling_a_name_otherwise_gives_no_more_tries(world: World, name: str) -> None:
    fail(world, 5)

    assert wait_of(world, name=name) == 10


def test_an_unknown_name_waits_as_a_known_one_does(world: World) -> None:
    fail(world, 5, name="eve")

    assert wait_of(world, name="eve") == 10


def test_another_network_is_not_kept_out(world: World) -> None:
    fail(world, 5, THERE)

    assert wait_of(world, THERE) == 10
    assert signs_in(world, HERE)


def test_a_neighbour_in_the_network_is_the_same_network(world: World) -> None:
    fail(world, 5, "203.0.113.7")

    assert wait_of(world, "203.0.113.250") == 10
    assert signs_in(world, "203.0.114.7")


def test_whoever_fails_in_ones_name_keeps_nobody_out_where_they_signed_in(world: World) -> None:
    sign_in = world.services().sign_in
    known = sign_in.by_password("ana", PASSWORD, HERE)
    browser = sign_in.browser_of(known.operator)
    for _ in range(14):  # from ana's own network, at each first chance
        fail(world, 1)
        world.advance(LIMITS["account in a network"].most.total_seconds())
    fail(world, 1)

    assert wait_of(world) == 900  # whoever comes from there, and also ana from another browser
    assert isinstance(sign_in.by_password("ana", PASSWORD, HERE, browser), SignedIn)
    assert wait_of(world) == 900  # which helped nobody else


def test_a_known_browser_guesses_no_faster(world: World) -> None:
    sign_in = world.services().sign_in
    browser = sign_in.browser_of(sign_in.by_password("ana", PASSWORD, HERE).operator)
    for _ in range(5):
        with pytest.raises(BadSignInError):
            sign_in.by_password("ana", "not the password", THERE, browser)

    with pytest.raises(TooManyFailuresError) as refused:
        sign_in.by_password("ana", PASSWORD, THERE, browser)
    assert refused.value.retry_after_seconds == 10
    assert signs_in(world, THERE)


@pytest.mark.parametrize(
    "shown",
    ["", ".", "x", "x.", "x.y", "é.é", "{name}.", "{name}.0", "x.{mark}", "{ben}", "{ana}" * 9],
)
def test_what_is_no_known_browser_is_counted_as_all_are(world: World, shown: str) -> None:
    add(world, "ben")
    sign_in = world.services().sign_in
    ana = sign_in.browser_of(sign_in.by_password("ana", PASSWORD, HERE).operator)
    ben = sign_in.browser_of(sign_in.by_password("ben", PASSWORD, HERE).operator)
    name, _, mark = ana.partition(".")
    fail(world, 5)

    with pytest.raises(TooManyFailuresError):
        sign_in.by_password(
            "ana", PASSWORD, HERE, shown.format(name=name, mark=mark, ana=ana, ben=ben)
        )
    assert isinstance(sign_in.by_password("ana", PASSWORD, HERE, ana), SignedIn)


def test_one_network_cannot_try_many_names(world: World) -> None:
    for number in range(30):
        fail(world, 1, THERE, f"name {number}")

    assert wait_of(world, THERE) == 10
    assert signs_in(world, HERE)


def test_nobody_keeps_the_captain_out_from_outside(world: World) -> None:
    """A thousand networks fail in her name: she waits for seconds at most, and gets in."""
    for number in range(1_000):
        address = f"{1 + number // 250}.{number % 250}.0.1"
        try:
            fail(world, 1, address)
        except TooManyFailuresError:
            pytest.fail("the account itself was locked for longer than its limit")
        world.advance(LIMITS["account"].most.total_seconds())

    fail(world, 1, "9.9.9.9")
    assert wait_of(world, HERE) <= 5
    world.advance(5)
    assert signs_in(world, HERE)


def test_this_machine_is_kept_waiting_shortly(world: World) -> None:
    fail(world, 5, "127.0.0.1")
    waits = []
    for _ in range(5):
        waits.append(wait_of(world, "127.0.0.1"))
        world.advance(waits[-1])
        fail(world, 1, "127.0.0.1")

    assert waits == [5, 10, 20, 30, 30]
    assert signs_in(world, HERE)


def test_who_is_signed_in_is_not_kept_from_approving_by_strangers(world: World) -> None:
    ana = next(each.id for each in world.services().operators.all(None))
    for number in range(60):
        fail(world, 1, f"{number + 1}.2.3.4")
        world.advance(5)
    fail(world, 1, "99.2.3.4")

    assert world.services().sign_in.confirm(ana, PASSWORD).name == "ana"


def test_a_stolen_session_cannot_guess_the_password(world: World) -> None:
    sign_in = world.services().sign_in
    ana = next(each.id for each in world.services().operators.all(None))
    for _ in range(5):
        with pytest.raises(WrongPasswordError):
            sign_in.confirm(ana, "not the password")

    with pytest.raises(TooManyFailuresError):
        sign_in.confirm(ana, PASSWORD)
    world.advance(10)
    assert sign_in.confirm(ana, PASSWORD).id == ana


def test_many_at_once_are_as_many_as_one_after_the_other(world: World) -> None:
    lock_out = LockOut(world.database, world.clock)
    begun, refused = [], []
    barrier = threading.Barrier(20)

    def attempt() -> None:
        barrier.wait()
        try:
            begun.append(lock_out.begin("ana", HERE))
        except TooManyFailuresError:
            refused.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(begun), len(refused)) == (5, 15)


def test_a_password_that_could_not_be_checked_was_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> bool:
        raise UnavailableError("too many at once")

    with monkeypatch.context() as patch:
        patch.setattr("update_server.passwords.Argon2Passwords.matches", busy)
        for _ in range(10):
            with pytest.raises(UnavailableError):
                world.services().sign_in.by_password("ana", PASSWORD, HERE)

    assert signs_in(world)


def test_neither_names_nor_addresses_are_kept(world: World) -> None:
    fail(world, 3)

    kept = str(world.database._state.failures)
    assert "ana" not in kept
    assert "203.0" not in kept
    assert len(world.database._state.failures) == 4  # three counts, and what the audit log was told


def test_failures_cannot_fill_the_audit_log(world: World) -> None:
    for number in range(200):
        fail(world, 1, f"{number + 1}.2.3.4", f"name {number}")

    with world.database.reading() as stores:
        found = stores.audit.page(app=None, before_seq=None, limit=500)
    told = [each for each in found if each.action == "operator.sign_in_failed"]
    assert len(told) == 30
    assert told[0].reason == "no more are recorded within this hour"
    assert "name 1" not in str(told)
    world.advance(3_600)
    fail(world, 1, "250.2.3.4")
    with world.database.reading() as stores:
        [newest] = stores.audit.page(app=None, before_seq=None, limit=1)
    assert newest.action == "operator.sign_in_failed"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "one second"), (10, "10 seconds"), (60, "one minute"), (61, "2 minutes")],
)
def test_a_wait_is_told_in_words(seconds: int, words: str) -> None:
    assert in_words(seconds) == words
