"""Proof that the tests of passwords could fail: with one check taken out, each attack is signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rollout.model import Approvals
from tests.signer.operators import PASSWORD, add_operator, change_operator, set_password
from tests.signer.signer_world import SignerWorld, a_document, a_world, an_entry
from update_server.passwords import Argon2Passwords
from update_server.service.ports import ApiToken, Role, SignerRefusedError
from update_server.service.ports.approvals import render_password
from update_server.service.ports.operators import Operator
from update_server.signer import approvals

pytestmark = pytest.mark.no_cover  # the lines of test_passwords.py, with one check left out

EVERYBODY = a_document(an_entry(2))
BEN = render_password("ben", PASSWORD)

Attack = Callable[[SignerWorld], tuple[str, ...]]
"""Prepare an attack; return what is shown."""


def _wrong_password(_world: SignerWorld) -> tuple[str, ...]:
    return BEN, render_password("ana", "not the password")


def _viewer(world: SignerWorld) -> tuple[str, ...]:
    change_operator(world, "ana", role=Role.VIEWER)
    return BEN, render_password("ana", PASSWORD)


def _other_app(world: SignerWorld) -> tuple[str, ...]:
    change_operator(world, "ana", app="other")
    return BEN, render_password("ana", PASSWORD)


def _first_password(world: SignerWorld) -> tuple[str, ...]:
    change_operator(world, "ana", must_change=True)
    return BEN, render_password("ana", PASSWORD)


def _removed(world: SignerWorld) -> tuple[str, ...]:
    ticket = world.ticket(EVERYBODY, render_password("ana", PASSWORD))
    change_operator(world, "ana", removed_at=world.clock.now())
    return BEN, ticket


def _changed(world: SignerWorld) -> tuple[str, ...]:
    ticket = world.ticket(EVERYBODY, render_password("ana", PASSWORD))
    world.clock.advance(timedelta(seconds=1))
    set_password(world, "ana", "quite another one")
    return BEN, ticket


def _one_person(world: SignerWorld) -> tuple[str, ...]:
    return render_password("ana", PASSWORD), world.token("Ana")


def _any_password(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Argon2Passwords, "matches", lambda *_: True)


def _anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Operator, "may_approve", lambda *_: True)


def _at_any_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approvals, "_is_of_before", lambda *_: False)


def _by_spelling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ApiToken, "person", property(lambda self: self.name))


ATTACKS = {
    "wrong password": (_wrong_password, _any_password),
    "viewer": (_viewer, _anybody),
    "other app": (_other_app, _anybody),
    "first password": (_first_password, _anybody),
    "removed": (_removed, _anybody),
    "changed password": (_changed, _at_any_time),
    "one person": (_one_person, _by_spelling),
}


@pytest.mark.parametrize(("attack", "weaken"), ATTACKS.values(), ids=ATTACKS)
def test_each_attack_needs_its_check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack,
    weaken: Callable[[pytest.MonkeyPatch], None],
) -> None:
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2, resume_after_auto_pause=2))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(1)), ann)
    add_operator(world, "ana")
    add_operator(world, "ben")
    shown = attack(world)

    with pytest.raises(SignerRefusedError):
        world.ask(EVERYBODY, *shown)
    weaken(monkeypatch)

    assert world.ask(EVERYBODY, *shown).entries == EVERYBODY.entries
