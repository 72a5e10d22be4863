"""What all pages have: headers, live pieces, faults as pages, and a database that is down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from tests.admin_world import World
from tests.dashboard.visitors import Visitors
from tests.notify.messages import a_message
from update_server.service.ports import UnavailableError
from update_server.service.ports.outbox import Attempt, DeliveryState
from update_server.web.dashboard.pages import STATIC

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@contextmanager
def database_down(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse() -> NoReturn:
        raise UnavailableError("database")

    with monkeypatch.context() as patched:
        patched.setattr(world.database, "reading", refuse)
        patched.setattr(world.database, "transaction", refuse)
        yield


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/nowhere", "/apps/none/fleet"])
def test_every_page_has_the_same_strict_headers(visitors: Visitors, path: str) -> None:
    headers = visitors.ana.get(path).headers
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_live_request_brings_only_the_pieces_each_under_its_name(visitors: Visitors) -> None:
    whole = visitors.ana.get("/").get_data(as_text=True)
    pieces = visitors.ana.get("/?live=1").get_data(as_text=True)
    names = re.findall(r'<div id="([a-z]+)" hx-swap-oob="innerMorph">', pieces)
    assert names == ["age", "trouble", "rolling"]
    assert all(f'id="{name}"' in whole for name in names)
    assert "<html" not in pieces
    assert 'hx-get="/?live=1"' in whole


def test_messages_that_did_not_arrive_stand_above_everything(visitors: Visitors) -> None:
    world = visitors.world
    with world.database.transaction() as stores:
        stores.outbox.add(a_message(id="msg_1"))
        now = world.clock.now()
        stores.outbox.route("msg_1", ["pager"], now)
        [delivery] = stores.outbox.due("pager", now, 1)
        tried = Attempt(number=1, at=now, status=503, error="answered 503")
        stores.outbox.note(delivery, tried, DeliveryState.PENDING, now)
    world.advance(3_600)
    page = visitors.ada.get("/").text

    assert "1 message to pager did not arrive" in page
    assert page.index("did not arrive") < page.index("Nothing is rolling out")
    assert "Nothing to act on" not in page
    assert "did not arrive" not in visitors.ana.get("/").text  # of one app


def test_no_piece_holds_a_form_or_details(visitors: Visitors) -> None:
    pieces = visitors.ana.get("/?live=1").get_data(as_text=True)
    assert not re.search(r"<(form|input|select|textarea|button|details)\b", pieces)


def test_a_page_works_without_scripts_by_loading_itself_again(visitors: Visitors) -> None:
    page = visitors.ana.get("/").get_data(as_text=True)
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in page


def test_what_nothing_has_is_a_page_for_people_and_a_document_for_programs(
    visitors: Visitors,
) -> None:
    page = visitors.ana.get("/nowhere")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "not_found" in page.get_data(as_text=True)
    document = visitors.ana.get("/v1/admin/nowhere")
    assert (document.status_code, document.mimetype) == (404, "application/problem+json")


def test_a_fault_of_ours_says_nothing_but_a_number_to_look_for(
    visitors: Visitors, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = visitors.ana

    def fail() -> NoReturn:
        raise RuntimeError("secret path")

    monkeypatch.setattr(world.database, "reading", fail)
    page = ana.get("/")
    text = page.get_data(as_text=True)
    assert page.status_code == 500
    assert "secret path" not in text
    assert "Traceback" not in text
    assert re.search(r"request [0-9a-f]{12}", text)


def test_whoever_was_shown_a_page_is_shown_it_again_while_the_database_is_down(
    visitors: Visitors, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = visitors.ana
    assert "Nothing to act on" in ana.get("/").get_data(as_text=True)
    world.advance(120)
    with database_down(world, monkeypatch):
        page = ana.get("/")
        text = page.get_data(as_text=True)
    assert page.status_code == 503
    assert "The database does not answer" in text
    assert "2 min ago" in text
    assert "<title>Now · Serinus</title>" in text
    assert "Nothing to act on" in text
    assert "<fieldset disabled" in text


def test_a_form_is_not_answered_with_what_was_shown_before(
    visitors: Visitors, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = visitors.ada
    assert ada.get("/operators").status_code == 200  # the form's own address
    with database_down(world, monkeypatch):
        kept, answer = ada.get("/operators"), ada.post("/operators", name="eve", role="viewer")

    assert "<fieldset disabled" in kept.text
    assert answer.status_code == 503
    assert "This did not work" in answer.text
    assert "<fieldset disabled" not in answer.text


def test_the_way_back_leads_to_no_other_site(visitors: Visitors) -> None:
    ana = visitors.ana

    page = ana.get("/apps/nowhere", headers={"Referer": "http://localhost//evil.example/x"})
    control = ana.get("/apps/nowhere", headers={"Referer": "http://localhost/account"})

    assert 'class="button" href="/"' in page.text
    assert 'class="button" href="/account"' in control.text


def test_an_address_with_any_bytes_in_it_is_answered(visitors: Visitors) -> None:
    # As a web server hands on what no browser sends.
    raw = {"QUERY_STRING": "x=\xff\xfe%ff\"'<b>"}
    page = visitors.ana.get("/", environ_overrides=raw)

    assert page.status_code == 200
    assert visitors.ana.get("/apps/nowhere", environ_overrides=raw).status_code == 403
    assert visitors.browser().get("/sign-in", environ_overrides=raw).status_code == 200
    assert "<b>" not in page.text.partition("hx-get")[2].partition(" hx-trigger")[0]


def test_nobody_else_is_shown_it(
    visitors: Visitors, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitors.ana.get("/")
    ben, stranger = visitors.ben, visitors.browser()
    with database_down(world, monkeypatch):
        assert stranger.get("/").location == "/sign-in"
        page = ben.get("/")
    assert page.status_code == 503
    assert "Nothing to act on" not in page.get_data(as_text=True)


def test_a_live_page_says_so_when_the_database_goes_down_and_when_it_is_signed_out(
    visitors: Visitors, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = visitors.ana
    with database_down(world, monkeypatch):
        pieces = ana.get("/?live=1")
    assert pieces.status_code == 200
    assert "The database does not answer" in pieces.get_data(as_text=True)
    ana.post("/sign-out")
    signed_out = ana.get("/?live=1")
    assert signed_out.status_code == 200
    assert "You are signed out" in signed_out.get_data(as_text=True)


def test_what_was_not_written_here_is_named_with_its_version_licence_and_digest() -> None:
    lines = (STATIC / "vendor.lock").read_text(encoding="utf-8").splitlines()
    locked = [line.split() for line in lines if line and not line.startswith("#")]
    assert [each[0] for each in locked] == ["htmx.min.js"]
    for name, _, _, _, digest in locked:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest


def test_static_files_may_be_kept_for_ever_only_under_a_name_of_their_content(
    visitors: Visitors,
) -> None:
    page = visitors.browser().get("/sign-in").get_data(as_text=True)
    [style] = re.findall(r'href="(/static/serinus\.css\?v=[0-9a-f]{12})"', page)
    assert "immutable" in visitors.browser().get(style).headers["Cache-Control"]
    plain = visitors.browser().get("/static/serinus.css")
    assert plain.headers["Cache-Control"] == "no-cache"
    assert visitors.browser().get("/static/vendor.lock").status_code == 404
    assert visitors.browser().get("/static/..%2fpages.py").status_code == 404


def test_all_styles_together_stay_small() -> None:
    assert sum(len(each.read_bytes()) for each in STATIC.glob("*.css")) <= 13_000


def test_no_template_has_a_style_or_a_script_of_its_own() -> None:
    templates = STATIC.parent / "templates"
    for path in templates.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle\s*=|<style|\son[a-z]+=\"|hx-on|javascript:", text), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path
