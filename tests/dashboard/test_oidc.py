"""Signing in through an OpenID Connect provider that this test runs, and that may lie.

Each attack stands beside the same sign-in without it, which lets somebody in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.dashboard.provider import CLIENT_ID, CLIENT_SECRET, FOREIGN_KEY, Provider, running
from tests.dashboard.visitors import PASSWORD, Browser, Visitors, csrf_in
from update_server.config_dashboard import Dashboard, Oidc
from update_server.service.ports import Role
from update_server.web.dashboard import provider as provider_module
from update_server.web.dashboard.oidc import LIFE
from update_server.web.dashboard.provider import AT_ONCE

COOKIE = "serinus-oidc"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def visitors(provider: Provider, registered: World, tmp_path: Path) -> Visitors:
    """A server that knows the provider, and ana by her address."""
    secret = tmp_path / "client.secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    world = registered.fork(tmp_path / "signer")
    oidc = Oidc(
        issuer=provider.issuer, client_id=CLIENT_ID, client_secret_file=secret, name="Example ID"
    )
    world.dashboard = Dashboard(url="http://localhost", oidc=oidc)
    visitors = Visitors(world)
    visitors.add("ana", identity="Ana@example.org")
    return visitors


def come_back(browser: Browser, provider: Provider, to: str = "/account") -> TestResponse:
    """Go to the provider and back."""
    return browser.get(path_of(provider.sign_in(begin(browser, to))))


def begin(browser: Browser, to: str = "/account") -> str:
    answer = browser.get(f"/sign-in/oidc?to={to}")
    assert answer.status_code == 303, answer.text
    return answer.location


def path_of(url: str) -> str:
    assert url.startswith("http://localhost/sign-in/oidc/back?")
    return url.removeprefix("http://localhost")


def lets_in(visitors: Visitors, provider: Provider) -> bool:
    """Whether a sign-in of a new browser works; if not, nothing opens for it."""
    browser = visitors.browser()
    answer = come_back(browser, provider)
    is_in = browser.get("/account").status_code == 200
    assert (answer.status_code == 303) == is_in
    return is_in


def test_who_is_known_to_the_provider_is_let_in(visitors: Visitors, provider: Provider) -> None:
    browser = visitors.browser()

    answer = come_back(browser, provider, to="/account?x=1")

    assert (answer.status_code, answer.location) == (303, "/account?x=1")
    assert "single sign-on" in browser.get("/account").text
    assert browser.client.get_cookie(COOKIE) is None


def test_the_page_offers_it_by_its_name_as_a_link(visitors: Visitors) -> None:
    page = visitors.browser().get("/sign-in?to=/audit").text

    assert 'href="/sign-in/oidc?to=/audit">Sign in with Example ID</a>' in page


def test_without_a_provider_there_is_no_such_page(registered: World, tmp_path: Path) -> None:
    visitors = Visitors(registered.fork(tmp_path / "signer"))

    assert visitors.browser().get("/sign-in/oidc").status_code == 404
    assert "oidc" not in visitors.browser().get("/sign-in").text


def test_the_provider_is_asked_for_what_is_needed(visitors: Visitors) -> None:
    asked = parse_qs(urlsplit(begin(visitors.browser())).query)

    assert asked["scope"] == ["openid email"]
    assert asked["redirect_uri"] == ["http://localhost/sign-in/oidc/back"]
    assert {len(asked[name][0]) >= 20 for name in ("state", "nonce", "code_challenge")} == {True}


# --- who is not let in -------------------------------------------------------------------

Lie = Callable[[Provider], None]


def _claims(**claims: object) -> Lie:
    return lambda provider: provider.claims.update(claims)


def _without(*names: str) -> Lie:
    return lambda provider: setattr(provider, "without", names)


LIES: dict[str, Lie] = {
    "wrong nonce": _claims(nonce="another"),
    "no nonce": _without("nonce"),
    "another audience": _claims(aud="another-client"),
    "another audience, for us": _claims(aud="another-client", azp=CLIENT_ID),
    "among audiences, for another": _claims(aud=[CLIENT_ID, "another"], azp="another"),
    "no audience": _without("aud"),
    "another issuer": _claims(iss="https://evil.example"),
    "no issuer": _without("iss"),
    "expired": _claims(exp=int(time.time()) - 3_600),
    "no expiry": _without("exp"),
    "not yet": _claims(nbf=int(time.time()) + 3_600),
    "not verified": _claims(email_verified=False),
    "verified, in words": _claims(email_verified="true"),
    "verified by nobody": _without("email_verified"),
    "no address": _without("email"),
    "an address that is none": _claims(email=["ana@example.org"]),
    "nobody of ours": _claims(email="eve@example.org"),
    "nearly ours": _claims(email="ana@example.org.evil.example"),
    "unsigned": lambda provider: setattr(provider, "unsigned", True),
    "another key": lambda provider: setattr(provider, "key", FOREIGN_KEY),
    "a key of another name": lambda provider: setattr(
        provider, "key", RSAKey.generate_key(2048, {"kid": "two"})
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_a_token_must_say(visitors: Visitors, provider: Provider, lie: Lie) -> None:
    assert lets_in(visitors, provider)
    lie(provider)

    assert not lets_in(visitors, provider)


def test_a_provider_that_offers_no_signature_is_not_taken_at_its_word(
    visitors: Visitors, provider: Provider
) -> None:
    provider.algorithms = ["none", "HS256", "RS256"]
    assert lets_in(visitors, provider)
    provider.unsigned = True

    assert not lets_in(visitors, provider)


def test_the_answer_to_another_browser_lets_nobody_in(
    visitors: Visitors, provider: Provider
) -> None:
    ana, mallory = visitors.browser(), visitors.browser()
    begin(ana)
    back = path_of(provider.sign_in(begin(mallory)))

    refused = ana.get(back)

    assert refused.status_code == 403
    assert ana.get("/account").status_code == 303
    assert mallory.get(back).status_code == 303  # which is what it was for


def test_an_answer_without_having_begun_lets_nobody_in(
    visitors: Visitors, provider: Provider
) -> None:
    back = path_of(provider.sign_in(begin(visitors.browser())))

    assert visitors.browser().get(back).status_code == 403


def test_a_code_is_used_once(visitors: Visitors, provider: Provider) -> None:
    browser = visitors.browser()
    back = path_of(provider.sign_in(begin(browser)))
    flow = browser.client.get_cookie(COOKIE)
    assert flow is not None
    assert browser.get(back).status_code == 303

    again, thief = browser.get(back), visitors.browser()
    thief.client.set_cookie(COOKIE, flow.value)
    replayed = thief.get(back)

    assert again.status_code == replayed.status_code == 403
    assert thief.get("/account").status_code == 303


def test_a_code_of_another_flow_lets_nobody_in(visitors: Visitors, provider: Provider) -> None:
    """A stolen code, brought with one's own state: PKCE binds it to who began."""
    victim, thief = visitors.browser(), visitors.browser()
    stolen = parse_qs(urlsplit(provider.sign_in(begin(victim))).query)["code"][0]
    own = parse_qs(urlsplit(begin(thief)).query)["state"][0]

    answer = thief.get(f"/sign-in/oidc/back?{urlencode({'code': stolen, 'state': own})}")

    assert answer.status_code == 403
    assert thief.get("/account").status_code == 303


def test_an_edited_flow_is_none(visitors: Visitors, provider: Provider) -> None:
    browser = visitors.browser()
    back = path_of(provider.sign_in(begin(browser)))
    flow = browser.client.get_cookie(COOKIE)
    assert flow is not None
    body, _, mac = flow.value.partition(".")
    for edited in (
        body,
        f"{body}.",
        f".{mac}",
        f"{body[:-2]}AA.{mac}",
        f"{body}.{mac[:-2]}AA",
        "x",
    ):
        browser.client.set_cookie(COOKIE, edited)
        assert browser.get(back).status_code == 403

    browser.client.set_cookie(COOKIE, flow.value)
    assert browser.get(back).status_code == 303


def test_a_flow_ends_after_ten_minutes(visitors: Visitors, provider: Provider) -> None:
    for passed, status in ((LIFE - timedelta(seconds=1), 303), (LIFE, 403)):
        browser = visitors.browser()
        back = path_of(provider.sign_in(begin(browser)))
        visitors.world.clock.advance(passed)

        assert browser.get(back).status_code == status


def test_the_answer_of_another_provider_lets_nobody_in(
    visitors: Visitors, provider: Provider
) -> None:
    browser = visitors.browser()
    back = path_of(provider.sign_in(begin(browser)))
    told = urlencode({"iss": provider.issuer})
    assert told in back

    assert browser.get(back.replace(told, "iss=https://evil.example")).status_code == 403


def test_who_says_no_at_the_provider_is_told_so(visitors: Visitors) -> None:
    browser = visitors.browser()
    state = parse_qs(urlsplit(begin(browser)).query)["state"][0]

    answer = browser.get(f"/sign-in/oidc/back?error=access_denied&state={state}")

    assert answer.status_code == 403
    assert "begin again" in answer.text


# --- what becomes of operators -----------------------------------------------------------


def test_a_removed_operator_is_let_in_no_more(visitors: Visitors, provider: Provider) -> None:
    assert lets_in(visitors, provider)
    browser = visitors.browser()
    come_back(browser, provider)
    [ana] = visitors.operators.all(None)
    visitors.operators.remove(visitors.world.caller(Role.ADMIN, None), ana.id)

    assert browser.get("/account").status_code == 303
    assert not lets_in(visitors, provider)


def test_who_has_no_password_approves_nothing(visitors: Visitors, provider: Provider) -> None:
    [ana] = visitors.operators.all(None)
    visitors.operators.reset(visitors.world.caller(Role.ADMIN, None), ana.id)
    browser = visitors.browser()
    come_back(browser, provider)

    page = browser.get("/account").text

    assert "You have none." in page


def test_the_provider_sets_no_password_where_another_one_must_be_set(
    visitors: Visitors, provider: Provider
) -> None:
    visitors.add("ben", identity="ben@example.org", first_password="given by somebody")
    provider.claims["email"] = "ben@example.org"
    browser = visitors.browser()

    answer = come_back(browser, provider)

    # The provider's word would be enough to set a password, which approves.
    assert answer.location == "/account"
    page = browser.get("/account")
    assert page.status_code == 200
    assert "You have none." in page.text
    token = csrf_in(page)
    change = {"old": "given by somebody", "new": PASSWORD, "again": PASSWORD}
    assert browser.post("/account/password", change, csrf=token).status_code == 403
    # Who knows that password sets another one, as without a provider.
    knows = visitors.browser().sign_in("ben", "given by somebody")
    assert knows.location.startswith("/set-password/")


def test_a_subject_may_be_the_identity(visitors: Visitors, provider: Provider) -> None:
    oidc = visitors.world.dashboard.oidc
    assert oidc is not None
    by_subject = Oidc(
        issuer=oidc.issuer,
        client_id=CLIENT_ID,
        client_secret_file=oidc.client_secret_file,
        claim="sub",
    )
    visitors.world.dashboard = Dashboard(url="http://localhost", oidc=by_subject)
    visitors = Visitors(visitors.world)
    assert not lets_in(visitors, provider)
    visitors.add("ben", identity="user-7")
    provider.without = ("email", "email_verified")

    assert lets_in(visitors, provider)


# --- when the provider is away -----------------------------------------------------------


def test_passwords_work_while_the_provider_is_away(visitors: Visitors) -> None:
    browser = visitors.browser()
    oidc = visitors.world.dashboard.oidc
    assert oidc is not None
    gone = Oidc(
        issuer="http://127.0.0.1:1",
        client_id=CLIENT_ID,
        client_secret_file=oidc.client_secret_file,
    )
    visitors.world.dashboard = Dashboard(url="http://localhost", oidc=gone)
    visitors = Visitors(visitors.world)
    browser = visitors.browser()

    away = browser.get("/sign-in/oidc")

    assert away.status_code == 502
    assert 'name="password"' in away.text
    assert browser.sign_in("ana").status_code == 303
    assert browser.get("/account").status_code == 200


def test_a_provider_that_hangs_holds_a_few_threads_and_no_more(
    visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, asked = threading.Event(), threading.Semaphore(0)

    def hang(_: object) -> None:
        asked.release()
        answers.wait(10)
        raise TimeoutError

    monkeypatch.setattr(provider_module.Provider, "_ready", hang)
    waiting = [
        threading.Thread(target=visitors.browser().get, args=("/sign-in/oidc",))
        for _ in range(AT_ONCE)
    ]
    for thread in waiting:
        thread.start()
    for _ in waiting:
        assert asked.acquire(timeout=10)

    one_more = visitors.browser().get("/sign-in/oidc")

    assert one_more.status_code == 502
    assert not asked.acquire(blocking=False)  # it was not even asked
    answers.set()
    for thread in waiting:
        thread.join()
    visitors.browser().get("/sign-in/oidc")
    assert asked.acquire(blocking=False)  # the turns were given back


def test_a_provider_of_another_name_is_none(visitors: Visitors, provider: Provider) -> None:
    provider.issuer_told = "https://evil.example"

    refused = visitors.browser().get("/sign-in/oidc")
    provider.issuer_told = None

    assert refused.status_code == 502
    assert lets_in(visitors, provider)  # it is asked again


def test_nothing_is_asked_of_the_provider_before_somebody_wants_in(
    visitors: Visitors, provider: Provider
) -> None:
    visitors.ana.get("/account")

    assert provider.asked == []


@pytest.mark.parametrize("length", [2_000, 8_000])
def test_a_long_address_keeps_nobody_out(
    visitors: Visitors, provider: Provider, length: int
) -> None:
    browser = visitors.browser()
    begin(browser, f"/account?{'x' * length}")
    cookie = browser.client.get_cookie(COOKIE)

    assert cookie is not None
    assert len(f"{COOKIE}={cookie.value}") < 4_096  # of more browsers keep nothing
    assert come_back(browser, provider, f"/account?{'x' * length}").status_code == 303


def test_nobody_is_sent_elsewhere(visitors: Visitors, provider: Provider) -> None:
    answer = come_back(visitors.browser(), provider, to="//evil.example/")

    assert answer.location == "/"
