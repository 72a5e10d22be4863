"""Passwords are hashed slowly, a few at once, the same however they are typed."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher, Type, extract_parameters, profiles

from tests.fakes.passwords import QUICK_PASSWORDS
from update_server.passwords import AT_ONCE, Argon2Passwords
from update_server.service.ports import UnavailableError

PASSWORD = "correct horse battery staple"


class Held(PasswordHasher):
    """Takes as long as the test says, and counts how many are at it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.full = threading.Semaphore(0)
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.full.release()
        self.go.wait(10)
        with self._lock:
            self.at_once -= 1
        return super().hash(password, salt=salt)


def test_a_password_matches_its_own_hash_only() -> None:
    stored = QUICK_PASSWORDS.hashed(PASSWORD)

    assert QUICK_PASSWORDS.matches(stored, PASSWORD)
    assert not QUICK_PASSWORDS.matches(stored, PASSWORD + " ")
    assert not QUICK_PASSWORDS.matches(stored, "")
    assert stored != QUICK_PASSWORDS.hashed(PASSWORD)  # salted


@pytest.mark.parametrize("stored", ["", "x", PASSWORD, "$argon2id$v=19$m=8,t=1,p=1$x$y"])
def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not QUICK_PASSWORDS.matches(stored, PASSWORD)
    assert not QUICK_PASSWORDS.matches(stored, stored)


def test_the_parameters_are_those_that_are_recommended() -> None:
    parameters = extract_parameters(Argon2Passwords().hashed(PASSWORD))

    assert parameters == profiles.RFC_9106_LOW_MEMORY
    assert parameters.type is Type.ID


def test_a_hash_with_other_parameters_is_dated() -> None:
    assert Argon2Passwords().is_dated(QUICK_PASSWORDS.hashed(PASSWORD))
    assert not QUICK_PASSWORDS.is_dated(QUICK_PASSWORDS.hashed(PASSWORD))


def test_one_letter_in_two_spellings_is_one() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"

    assert QUICK_PASSWORDS.matches(QUICK_PASSWORDS.hashed(composed), decomposed)


def test_only_four_are_made_at_once() -> None:
    hasher = Held()
    passwords = Argon2Passwords(hasher)
    threads = [threading.Thread(target=passwords.hashed, args=(PASSWORD,)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for _ in range(AT_ONCE):
        assert hasher.full.acquire(timeout=10)

    hasher.go.set()
    for thread in threads:
        thread.join()

    assert hasher.most == AT_ONCE == 4


def test_who_waits_too_long_is_told_to_try_again() -> None:
    hasher = Held()
    passwords = Argon2Passwords(hasher, at_once=1, patience_seconds=0)
    thread = threading.Thread(target=passwords.hashed, args=(PASSWORD,))
    thread.start()
    assert hasher.full.acquire(timeout=10)

    with pytest.raises(UnavailableError):
        passwords.hashed(PASSWORD)
    hasher.go.set()
    thread.join()

    assert passwords.hashed(PASSWORD)


def test_a_name_that_nobody_has_costs_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Argon2Passwords(hasher)
    real = PasswordHasher.verify

    def verify(self: PasswordHasher, stored: str, password: bytes) -> bool:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])
        return real(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    monkeypatch.setattr(passwords, "hashed", pytest.fail)  # which would cost the first one more
    stored = hasher.hash(PASSWORD)
    passwords.waste(PASSWORD)
    passwords.matches(stored, PASSWORD)

    assert len(verified) == 2
    assert verified[0] == verified[1]  # the same parameters
    assert not passwords.is_dated(passwords._nobodys)


def test_who_finds_many_waiting_is_turned_away_at_once() -> None:
    hasher = Held()
    passwords = Argon2Passwords(hasher, at_once=1, waiting=0, patience_seconds=60)
    thread = threading.Thread(target=passwords.hashed, args=(PASSWORD,))
    thread.start()
    assert hasher.full.acquire(timeout=10)

    with pytest.raises(UnavailableError):  # after no patience at all: nobody lets go meanwhile
        passwords.hashed(PASSWORD)
    hasher.go.set()
    thread.join()

    assert passwords.hashed(PASSWORD)


@pytest.mark.parametrize("costs", ["m=65536,t=4294967295,p=4", "m=4294967295,t=1,p=4"])
def test_a_hash_that_would_take_for_ever_is_checked_by_nobody(
    monkeypatch: pytest.MonkeyPatch, costs: str
) -> None:
    checked: list[str] = []

    def verify(_self: PasswordHasher, stored: str, _password: bytes) -> bool:
        checked.append(stored)
        return True

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    passwords = Argon2Passwords()
    stored = passwords.hashed(PASSWORD)
    _, kind, version, _, salt, digest = stored.split("$")

    assert not passwords.matches(f"${kind}${version}${costs}${salt}${digest}", PASSWORD)

    assert checked == []
    assert passwords.matches(stored, PASSWORD)  # those that are made here are not too many
