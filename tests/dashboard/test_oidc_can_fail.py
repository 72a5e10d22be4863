"""Proof that the tests of the provider could fail: without its check, each lie is believed."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from authlib.integrations.flask_client import FlaskOAuth2App
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwt import JWTClaimsRegistry

from tests.admin_world import World
from tests.dashboard.provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    FOREIGN_KEY,
    Provider,
    running,
)
from tests.dashboard.visitors import Browser, Visitors
from update_server.config_dashboard import Dashboard, Oidc
from update_server.web.dashboard import oidc
from update_server.web.dashboard.provider import Provider as Asked

pytestmark = pytest.mark.no_cover  # the lines of test_oidc.py, with one check left out

Lie = Callable[[Provider], None]
Weakness = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def visitors(provider: Provider, registered: World, tmp_path: Path) -> Visitors:
    secret = tmp_path / "client.secret"
    secret.write_text(CLIENT_SECRET)
    world = registered.fork(tmp_path / "signer")
    settings = Oidc(issuer=provider.issuer, client_id=CLIENT_ID, client_secret_file=secret)
    world.dashboard = Dashboard(url="http://localhost", oidc=settings)
    visitors = Visitors(world)
    visitors.add("ana", identity="ana@example.org")
    return visitors


def begin(browser: Browser) -> str:
    return browser.get("/sign-in/oidc").location


def lets_in(visitors: Visitors, provider: Provider) -> bool:
    browser = visitors.browser()
    browser.get(provider.sign_in(begin(browser)).removeprefix("http://localhost"))
    return browser.get("/account").status_code == 200


def _claims(**claims: object) -> Lie:
    return lambda provider: provider.claims.update(claims)


def _unsigned(provider: Provider) -> None:
    provider.unsigned = True


def _foreign_key(provider: Provider) -> None:
    provider.key = FOREIGN_KEY


def _unchecked(name: str) -> Weakness:
    """Return what lets a claim say anything."""

    def weaken(patch: pytest.MonkeyPatch) -> None:
        real = JWTClaimsRegistry.validate

        def validate(self: JWTClaimsRegistry, claims: dict[str, Any]) -> None:
            real(self, {key: value for key, value in claims.items() if key != name})

        patch.setattr(JWTClaimsRegistry, "essential_keys", frozenset(), raising=False)
        patch.setattr(JWTClaimsRegistry, "validate", validate)
        patch.setattr(CodeIDToken, f"validate_{name}", lambda *_: None, raising=False)

    return weaken


def _not_verified(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Asked, "_identity", lambda _, claims: claims["email"])


def _not_read(patch: pytest.MonkeyPatch) -> None:
    """Take claims as they come, whoever signed them."""

    def decode(text: str, **_: Any) -> SimpleNamespace:
        head, body = (
            json.loads(base64.urlsafe_b64decode(part + "==")) for part in text.split(".")[:2]
        )
        return SimpleNamespace(claims=body, header=head)

    patch.setattr(jwt, "decode", decode)


def _any_keys(patch: pytest.MonkeyPatch) -> None:
    keys = {"keys": [FOREIGN_KEY.as_dict(private=False)]}
    patch.setattr(FlaskOAuth2App, "fetch_jwk_set", lambda *_, **__: keys)


LIES: dict[str, tuple[Lie, Weakness]] = {
    "wrong nonce": (_claims(nonce="another"), _unchecked("nonce")),
    "another audience": (_claims(aud="another", azp=CLIENT_ID), _unchecked("aud")),
    "another issuer": (_claims(iss="https://evil.example"), _unchecked("iss")),
    "expired": (_claims(exp=int(time.time()) - 3_600), _unchecked("exp")),
    "not verified": (_claims(email_verified=False), _not_verified),
    "unsigned": (_unsigned, _not_read),
    "another key": (_foreign_key, _any_keys),
}


@pytest.mark.parametrize(("lie", "weaken"), LIES.values(), ids=LIES)
def test_each_lie_needs_its_check(
    visitors: Visitors,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    lie: Lie,
    weaken: Weakness,
) -> None:
    lie(provider)
    assert not lets_in(visitors, provider)
    weaken(monkeypatch)

    assert lets_in(visitors, provider)


def test_who_is_sent_another_ones_answer_is_guarded_three_times(
    visitors: Visitors, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state here, PKCE at the provider, and the nonce in the token: each alone refuses."""
    deaf = SimpleNamespace(compare_digest=lambda *_: True, digest=hmac.digest)
    guards: list[Weakness] = [
        lambda patch: patch.setattr(oidc, "hmac", deaf),
        lambda patch: patch.setattr(provider, "knows_pkce", False),
        _unchecked("nonce"),
    ]

    def attack() -> bool:
        victim, mallory = visitors.browser(), visitors.browser()
        begin(victim)
        back = provider.sign_in(begin(mallory))
        victim.get(back.removeprefix("http://localhost"))
        return victim.get("/account").status_code == 200

    for left in range(3):
        with monkeypatch.context() as patch:
            for number, weaken in enumerate(guards):
                if number != left:
                    weaken(patch)
            assert not attack()
    for weaken in guards:
        weaken(monkeypatch)

    assert attack()
