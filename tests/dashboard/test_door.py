"""What the door lets through: cookies, forms, where they come from, and where they lead.

Each attack stands beside the same request without the attack, which works.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.dashboard.visitors import ORIGIN, PASSWORD, Browser, Visitors, csrf_in
from update_server.config_dashboard import Dashboard
from update_server.service.ports import Role
from update_server.service.ports.operators import IDLE, LONGEST, TOUCH
from update_server.web.dashboard.door import safe_path

SECURE = "__Host-serinus"


def cookie_of(browser: Browser, name: str = "serinus") -> str:
    cookie = browser.client.get_cookie(name)
    assert cookie is not None
    return cookie.value


def with_cookie(visitors: Visitors, value: str, name: str = "serinus") -> Browser:
    browser = visitors.browser()
    browser.client.set_cookie(name, value)
    return browser


def is_in(browser: Browser, **more: object) -> bool:
    answer = browser.get("/account", **more)
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


def acts(answer: TestResponse) -> bool:
    """Whether a form was taken."""
    assert answer.status_code in {200, 403}
    return answer.status_code == 200


# --- cookies -----------------------------------------------------------------------------


def test_the_cookie_is_exactly_this(visitors: Visitors) -> None:
    visitors.add("ana")

    answer = visitors.browser().sign_in("ana")

    header, other = answer.headers.getlist("Set-Cookie")
    assert other.startswith("serinus-browser=")  # which opens nothing: see below
    name, _, rest = header.partition("=")
    _, _, flags = rest.partition("; ")
    assert name == "serinus"
    assert set(flags.split("; ")) - {flags.split("; ")[0]} == {
        "Max-Age=604800",
        "HttpOnly",
        "Path=/",
        "SameSite=Lax",
    }


@pytest.mark.parametrize("url", ["https://serinus.example", ""])
def test_over_tls_it_is_bound_to_this_host(registered: World, tmp_path: Path, url: str) -> None:
    world = registered.fork(tmp_path / "signer")
    world.dashboard = Dashboard(url=url)
    visitors = Visitors(world)
    visitors.add("ana")
    form = {"name": "ana", "password": PASSWORD}
    headers = {"Origin": url or "https://localhost"} | (
        {} if url else {"X-Forwarded-Proto": "https"}
    )

    answer = visitors.browser().client.post("/sign-in", data=form, headers=headers)

    headers_set = answer.headers.getlist("Set-Cookie")
    assert [header.partition("=")[0] for header in headers_set] == [SECURE, f"{SECURE}-browser"]
    for header in headers_set:
        flags = {flag.partition("=")[0] for flag in header.split("; ")[1:]}
        assert flags == {"Expires", "Max-Age", "Secure", "HttpOnly", "Path", "SameSite"}
        assert "Path=/;" in f"{header};"


def test_over_tls_a_cookie_that_anybody_could_set_is_not_read(
    registered: World, tmp_path: Path
) -> None:
    world = registered.fork(tmp_path / "signer")
    secret = cookie_of(Visitors(world).ana)
    world.dashboard = Dashboard(url="https://serinus.example")
    visitors = Visitors(world)

    assert not is_in(with_cookie(visitors, secret))
    secure = visitors.browser()
    secure.client.set_cookie(SECURE, secret, secure=True)
    assert is_in(secure, base_url="https://localhost")


def test_a_browser_that_is_known_opens_nothing_and_is_kept_out_by_nobody(
    visitors: Visitors,
) -> None:
    ana, stranger = visitors.ana, visitors.browser()
    known = cookie_of(ana, "serinus-browser")
    ana.post("/sign-out")
    for _ in range(6):
        stranger.sign_in("ana", "not the password")

    assert not is_in(ana)
    assert not is_in(with_cookie(visitors, known))
    assert visitors.browser().sign_in("ana").status_code == 429
    assert ana.sign_in("ana").status_code == 303
    assert is_in(ana)


def test_what_a_stranger_says_of_tls_is_not_believed(visitors: Visitors) -> None:
    told = {"X-Forwarded-Proto": "https"}
    ana = visitors.ana
    from_outside = {"REMOTE_ADDR": "203.0.113.7"}

    assert is_in(ana, headers=told, environ_overrides=from_outside)
    assert not is_in(ana, headers=told)  # our own proxy says so: the other cookie counts


@pytest.mark.parametrize("value", ["", "x", "0" * 43, "é", "a" * 1_000, "srn_x"])
def test_what_is_no_session_opens_nothing(visitors: Visitors, value: str) -> None:
    assert not is_in(with_cookie(visitors, value))
    assert is_in(with_cookie(visitors, cookie_of(visitors.ana)))


def test_the_stored_hash_is_no_cookie(visitors: Visitors) -> None:
    visitors.ana.get("/account")

    for sha256 in visitors.world.database._state.signed_in:
        assert not is_in(with_cookie(visitors, sha256))


def test_a_session_from_before_the_sign_in_is_not_taken_on(visitors: Visitors) -> None:
    """Fixation: whoever planted a cookie does not become who signs in next."""
    visitors.add("mallory", Role.VIEWER)
    mallory = visitors.browser()
    mallory.sign_in("mallory")
    planted = cookie_of(mallory)
    visitors.add("ana")
    victim = with_cookie(visitors, planted)

    victim.sign_in("ana")

    assert cookie_of(victim) != planted
    assert "<h1>ana</h1>" in victim.get("/account").text
    assert not is_in(mallory)  # the planted one ended, too


def test_each_sign_in_has_a_session_of_its_own(visitors: Visitors) -> None:
    visitors.add("ana")
    one, other = visitors.browser(), visitors.browser()
    one.sign_in("ana")
    other.sign_in("ana")

    one.post("/sign-out")

    assert cookie_of(other)
    assert not is_in(one)
    assert is_in(other)


# --- how long ----------------------------------------------------------------------------


def test_a_session_ends_when_it_is_idle(visitors: Visitors) -> None:
    visitors.ana.get("/account")
    visitors.world.clock.advance(IDLE - timedelta(seconds=1))
    assert is_in(visitors.ana)

    visitors.world.clock.advance(IDLE)

    assert not is_in(visitors.ana)


def test_a_session_ends_after_a_week_however_it_is_used(visitors: Visitors) -> None:
    visitors.ana.get("/account")
    for _ in range(int(LONGEST / timedelta(hours=6)) - 1):
        visitors.world.clock.advance(timedelta(hours=6))
        assert is_in(visitors.ana)

    visitors.world.clock.advance(timedelta(hours=6))

    assert not is_in(visitors.ana)


def test_reading_writes_nothing_but_now_and_then(visitors: Visitors) -> None:
    visitors.ana.get("/account")
    before = visitors.world.database._state

    for _ in range(4):
        visitors.world.clock.advance(TOUCH / 5)
        visitors.ana.get("/account")

    assert visitors.world.database._state is before
    visitors.world.clock.advance(TOUCH / 5)
    visitors.ana.get("/account")
    assert visitors.world.database._state is not before


# --- what ends it ------------------------------------------------------------------------


def test_a_changed_password_ends_all_sessions_but_this_one(visitors: Visitors) -> None:
    here, there = visitors.ana, visitors.browser()
    there.sign_in("ana")
    new = "quite another one"

    answer = here.post("/account/password", old=PASSWORD, new=new, again=new)

    assert answer.status_code == 303
    assert "The password was changed." in here.get(answer.location).text
    assert "The password was changed." not in here.get("/account").text
    assert not is_in(there)
    assert there.sign_in("ana").status_code == 403
    assert there.sign_in("ana", new).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "again", "status"),
    [
        ("not the password", "quite another one", "quite another one", 403),
        (PASSWORD, "quite another one", "quite another two", 422),
        (PASSWORD, "short", "short", 422),
        (PASSWORD, "", "", 422),
    ],
)
def test_a_password_that_is_not_changed_stays(
    visitors: Visitors, old: str, new: str, again: str, status: int
) -> None:
    answer = visitors.ana.post("/account/password", old=old, new=new, again=again)

    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert visitors.browser().sign_in("ana").status_code == 303


def test_other_sessions_are_ended_by_hand(visitors: Visitors) -> None:
    here, there = visitors.ana, visitors.browser()
    there.sign_in("ana")

    answer = here.post("/account/sessions")

    assert "that were ended: 2" in answer.text  # there, and where the password was set
    assert is_in(here)
    assert not is_in(there)


def test_a_link_works_once(visitors: Visitors) -> None:
    root = visitors.world.caller(Role.ADMIN, None)
    _, link = visitors.operators.add(root, "ana", Role.OPERATOR, "demo")
    path = f"/set-password/{link}"
    assert visitors.browser().get(path).status_code == 200

    first = visitors.browser().post(path, password=PASSWORD, again=PASSWORD)
    second = visitors.browser().post(path, password="quite another one", again="quite another one")

    assert (first.status_code, second.status_code) == (303, 404)
    assert visitors.browser().get(path).status_code == 404
    assert visitors.browser().sign_in("ana").status_code == 303


def test_a_link_ends_after_a_day(visitors: Visitors) -> None:
    root = visitors.world.caller(Role.ADMIN, None)
    _, link = visitors.operators.add(root, "ana", Role.OPERATOR, "demo")
    visitors.world.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert visitors.browser().get(f"/set-password/{link}").status_code == 200

    visitors.world.clock.advance(timedelta(seconds=1))

    assert visitors.browser().get(f"/set-password/{link}").status_code == 404


def test_a_first_password_opens_nothing_but_its_change(visitors: Visitors) -> None:
    given = "given by somebody"
    visitors.add("ana", first_password=given)
    browser = visitors.browser()

    answer = browser.sign_in("ana", given)

    assert answer.location.startswith("/set-password/")
    assert browser.client.get_cookie("serinus") is None
    same = browser.post(answer.location, password=given, again=given)
    assert (same.status_code, is_in(browser)) == (422, False)
    changed = browser.post(answer.location, password=PASSWORD, again=PASSWORD)
    assert (changed.status_code, is_in(browser)) == (303, True)
    assert visitors.browser().sign_in("ana", given).status_code == 403
    assert visitors.browser().sign_in("ana").location == "/account"


# --- forms -------------------------------------------------------------------------------


def test_a_form_needs_the_token_of_its_session(visitors: Visitors) -> None:
    foreign = visitors.ben.csrf
    assert foreign
    ana = visitors.ana

    assert acts(ana.post("/account/sessions"))
    assert not acts(ana.post("/account/sessions", csrf=foreign))
    assert not acts(ana.post("/account/sessions", csrf="x"))
    assert not acts(ana.post("/account/sessions", csrf="é"))
    ana.csrf = None
    assert not acts(ana.post("/account/sessions"))


def test_a_token_ends_with_its_session(visitors: Visitors) -> None:
    old = visitors.ana.csrf
    visitors.ana.post("/sign-out")
    visitors.ana.sign_in("ana")

    assert visitors.ana.csrf != old
    assert not acts(visitors.ana.post("/account/sessions", csrf=old))
    assert acts(visitors.ana.post("/account/sessions"))


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        (None, {}),
        ("null", {}),
        ("", {}),
        ("https://evil.example", {}),
        ("http://localhost.evil.example", {}),
        ("http://localhost:8080", {}),
        ("http://evil.example", {"Host": "localhost"}),
        ("https://evil.example", {"Sec-Fetch-Site": "same-origin"}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Sec-Fetch-Site": "same-site"}),
        (None, {"Sec-Fetch-Site": "none"}),
        (ORIGIN, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Referer": f"{ORIGIN}/account"}),
    ],
)
@pytest.mark.parametrize("path", ["/account/sessions", "/sign-in", "/sign-out"])
def test_a_form_must_come_from_this_site(
    visitors: Visitors, path: str, origin: str | None, headers: dict[str, str]
) -> None:
    form = {"name": "ana", "password": PASSWORD}

    refused = visitors.ana.post(path, form, origin=origin, headers=headers)

    assert refused.status_code == 403
    assert "foreign_form" in refused.text
    assert visitors.ana.post(path, form).status_code in {200, 303}


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        (ORIGIN, {}),
        (None, {"Sec-Fetch-Site": "same-origin"}),
        (ORIGIN, {"Sec-Fetch-Site": "same-origin"}),
        ("https://localhost", {}),  # a proxy that does not tell of its TLS
    ],
)
def test_forms_of_this_site_are_taken(
    visitors: Visitors, origin: str | None, headers: dict[str, str]
) -> None:
    assert acts(visitors.ana.post("/account/sessions", origin=origin, headers=headers))


def test_the_address_of_the_settings_is_this_site(registered: World, tmp_path: Path) -> None:
    world = registered.fork(tmp_path / "signer")
    world.dashboard = Dashboard(url="http://serinus.example:8443")
    ana = Visitors(world).ana

    assert acts(ana.post("/account/sessions", origin="http://serinus.example:8443"))
    assert not acts(ana.post("/account/sessions", origin="http://serinus.example"))


def test_over_tls_a_form_from_plain_http_is_foreign(visitors: Visitors) -> None:
    form, tls = {"name": "ana", "password": PASSWORD}, {"X-Forwarded-Proto": "https"}
    visitors.add("ana")

    plain = visitors.browser().post("/sign-in", form, origin=ORIGIN, headers=tls)
    same = visitors.browser().post("/sign-in", form, origin="https://localhost", headers=tls)

    assert (plain.status_code, same.status_code) == (403, 303)


def test_nothing_is_done_by_get(visitors: Visitors) -> None:
    for path in ("/sign-out", "/account/sessions", "/account/password"):
        assert visitors.ana.get(path).status_code == 405
    assert is_in(visitors.ana)


# --- who may -----------------------------------------------------------------------------


def test_a_token_opens_no_page_and_a_session_nothing_else(visitors: Visitors) -> None:
    bearer = {"Authorization": f"Bearer {visitors.world.caller(Role.ADMIN).secret}"}
    in_vain = {"Authorization": f"Bearer {cookie_of(visitors.ana)}"}

    assert visitors.browser().get("/account", headers=bearer).status_code == 303
    assert visitors.browser().get("/v1/admin/apps", headers=bearer).status_code == 200
    assert visitors.ana.get("/v1/admin/apps").status_code == 401
    assert visitors.ana.get("/metrics").status_code == 401
    assert visitors.ana.get("/v1/admin/apps", headers=in_vain).status_code == 401


def test_a_role_that_was_taken_away_is_gone_at_once(visitors: Visitors) -> None:
    visitors.add("otto", Role.ADMIN, None)
    otto = visitors.browser()
    otto.sign_in("otto")
    assert otto.get("/operators").status_code == 200
    operator = next(each for each in visitors.operators.all(None) if each.name == "otto")

    visitors.operators.change(visitors.world.caller(Role.ADMIN, None), operator.id, Role.VIEWER)

    assert not is_in(otto)
    otto.sign_in("otto")
    assert otto.get("/operators").status_code == 403


def test_a_removed_operators_session_opens_nothing(visitors: Visitors) -> None:
    secret = cookie_of(visitors.ana)
    ana = next(each for each in visitors.operators.all(None) if each.name == "ana")
    session = dict(visitors.world.database._state.signed_in)

    visitors.operators.remove(visitors.world.caller(Role.ADMIN, None), ana.id)

    assert not is_in(with_cookie(visitors, secret))
    visitors.world.database._state.signed_in.update(session)  # had it not been ended
    assert not is_in(with_cookie(visitors, secret))


# --- where it leads ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/%0d%0aSet-Cookie:x=1\r\nX: y",
        " /account",
        "/ä",
    ],
)
def test_nobody_is_sent_elsewhere(visitors: Visitors, to: str) -> None:
    visitors.add("ana")
    browser = visitors.browser()

    answer = browser.post("/sign-in", name="ana", password=PASSWORD, to=to)

    assert (answer.status_code, answer.location) == (303, "/")
    assert browser.get("/sign-in", query_string={"to": to}).location == "/"
    assert safe_path("/account?x=1&y=%2F") == "/account?x=1&y=%2F"


def test_who_was_sent_away_comes_back_to_the_page(visitors: Visitors) -> None:
    visitors.add("ana")
    browser = visitors.browser()

    asked = browser.get("/account?x=1&y=/a%20b")
    page = browser.get(asked.location).text

    assert asked.location == "/sign-in?to=/account%3Fx%3D1%26y%3D/a%2520b"
    assert 'name="to" value="/account?x=1&amp;y=/a%20b"' in page


# --- what is told ------------------------------------------------------------------------


def test_too_many_failures_are_told_in_words_and_in_the_header(visitors: Visitors) -> None:
    visitors.add("ana")
    for _ in range(5):
        visitors.browser().sign_in("ana", "not the password")

    answer = visitors.browser().sign_in("ana")

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "5"
    assert "Too many failures: try again in 5 seconds." in answer.text


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"onfocus="x', "\u202eana", "a\x00b", "x" * 5_000]
)
def test_hostile_names_stay_text(visitors: Visitors, name: str) -> None:
    answer = visitors.browser().post("/sign-in", name=name, password="p" * 20)

    assert answer.status_code == 403
    assert "<script>alert" not in answer.text
    assert '"onfocus' not in answer.text


@pytest.mark.parametrize("password", ["", "x" * 2_000, "é" * 600, "\x00" * 12, "\ud800" * 12])
def test_hostile_passwords_are_wrong_ones(visitors: Visitors, password: str) -> None:
    visitors.add("ana")
    sent = password.encode(errors="surrogatepass").decode(errors="replace")

    assert visitors.browser().sign_in("ana", sent).status_code == 403
    assert visitors.browser().sign_in("ana").status_code == 303


def test_neither_password_nor_secret_are_told_anywhere(visitors: Visitors) -> None:
    secret = cookie_of(visitors.ana)
    state = str(visitors.world.database._state)

    assert PASSWORD not in state
    assert secret not in state
    assert visitors.ana.csrf is not None
    assert visitors.ana.csrf not in state
    assert secret not in visitors.ana.get("/account").text
    assert csrf_in(visitors.ana.get("/account")) == visitors.ana.csrf


# --- without the database ----------------------------------------------------------------


def test_who_was_there_is_still_known_while_the_database_is_away(visitors: Visitors) -> None:
    shown = visitors.ana.get("/account").text
    visitors.world.database.down = True

    answer = visitors.ana.get("/account")
    stranger = with_cookie(visitors, "x" * 43).get("/account")

    assert answer.status_code == stranger.status_code == 503
    assert "<h1>ana</h1>" in shown
    assert "<h1>ana</h1>" in answer.text
    assert "<h1>ana</h1>" not in stranger.text


def test_who_signed_out_is_not(visitors: Visitors) -> None:
    secret = cookie_of(visitors.ana)
    visitors.ana.get("/account")
    visitors.ana.post("/sign-out")
    visitors.world.database.down = True

    assert "<h1>ana</h1>" not in with_cookie(visitors, secret).get("/account").text
