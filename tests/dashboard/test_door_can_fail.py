"""Proof that the tests of the door could fail: with one check taken out, each attack works."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest

from tests.dashboard.visitors import PASSWORD, Browser, Visitors
from update_server.service.access import lock_out
from update_server.service.access.sign_in import SignIn
from update_server.service.ports import Role, Stores
from update_server.service.ports.operators import Operator, Session
from update_server.web.dashboard import door, sign_in
from update_server.web.dashboard.door import Door

pytestmark = pytest.mark.no_cover  # the lines of test_door.py, with one check left out

Attack = Callable[[Visitors], bool]
"""Attack; return whether it worked."""


def _works(browser: Browser, path: str = "/account") -> bool:
    return browser.get(path).status_code == 200


def _foreign_token(visitors: Visitors) -> bool:
    answer = visitors.ana.post("/account/sessions", csrf=visitors.ben.csrf)
    return answer.status_code == 200


def _foreign_origin(visitors: Visitors) -> bool:
    answer = visitors.ana.post("/account/sessions", origin="https://evil.example")
    return answer.status_code == 200


def _idle(visitors: Visitors) -> bool:
    visitors.ana.get("/account")
    visitors.world.advance(24 * 3_600)
    return _works(visitors.ana)


def _removed(visitors: Visitors) -> bool:
    visitors.ana.get("/account")
    sessions = dict(visitors.world.database._state.signed_in)
    ana = next(each for each in visitors.operators.all(None) if each.name == "ana")
    visitors.operators.remove(visitors.world.caller(Role.ADMIN, None), ana.id)
    visitors.world.database._state.signed_in.update(sessions)
    return _works(visitors.ana)


def _fixation(visitors: Visitors) -> bool:
    visitors.add("ana")
    mallory, victim = visitors.vera, visitors.browser()
    cookie = mallory.client.get_cookie("serinus")
    assert cookie is not None
    victim.client.set_cookie("serinus", cookie.value)
    victim.sign_in("ana")
    return _works(mallory)


def _open_redirect(visitors: Visitors) -> bool:
    visitors.add("ana")
    answer = visitors.browser().post(
        "/sign-in", name="ana", password=PASSWORD, to="//evil.example/"
    )
    return answer.location == "//evil.example/"


def _guessing(visitors: Visitors) -> bool:
    visitors.add("ana")
    for _ in range(20):
        visitors.browser().sign_in("ana", "not the password")
    return visitors.browser().sign_in("ana").status_code == 303


def _role(visitors: Visitors) -> bool:
    return _works(visitors.vera, "/operators")


def _same_token(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hmac, "compare_digest", lambda *_: True)


def _from_anywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Door, "check_origin", lambda _: None)


def _for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "is_live", lambda *_: True)


def _whoever_was_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Operator, "is_live", lambda *_: True)


def _old_one_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SignIn, "out", lambda *_: None)


def _any_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sign_in, "safe_path", lambda text: text)


def _without_waiting(patch: pytest.MonkeyPatch) -> None:
    def known(stores: Stores, keys: dict[str, str], now: object) -> object:
        del now
        return stores.operators.failures(keys.values())

    patch.setattr(lock_out, "_check", known)


def _any_role(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(door, "allows", lambda *_: True)


ATTACKS = {
    "foreign token": (_foreign_token, _same_token),
    "foreign origin": (_foreign_origin, _from_anywhere),
    "idle session": (_idle, _for_ever),
    "removed operator": (_removed, _whoever_was_one),
    "fixation": (_fixation, _old_one_goes_on),
    "open redirect": (_open_redirect, _any_path),
    "guessing": (_guessing, _without_waiting),
    "role": (_role, _any_role),
}


@pytest.mark.parametrize("attack", [attack for attack, _ in ATTACKS.values()], ids=ATTACKS)
def test_no_attack_works(visitors: Visitors, attack: Attack) -> None:
    assert not attack(visitors)


@pytest.mark.parametrize(("attack", "weaken"), ATTACKS.values(), ids=ATTACKS)
def test_each_attack_needs_its_check(
    visitors: Visitors,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack,
    weaken: Callable[[pytest.MonkeyPatch], None],
) -> None:
    weaken(monkeypatch)

    assert attack(visitors)
