"""Controls: each fault that fails a test here is noticed."""

from __future__ import annotations

import http.server
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.cli.cli_world import running
from tests.dashboard.browser.chromium import DESK, Look, a_window, settle
from tests.dashboard.browser.watch import Kind

STRICT = "default-src 'none'; script-src 'self'; img-src data:"
LOOSE = "default-src * 'unsafe-inline'; connect-src *"
PAGES = {
    "/fine": (STRICT, "<p>nothing happens"),
    "/says": (LOOSE, "<script>console.error('oh')</script>"),
    "/throws": (LOOSE, "<script>throw new Error('oh')</script>"),
    "/rejects": (LOOSE, "<script>Promise.reject(new Error('oh'))</script>"),
    "/inlines": (STRICT, "<script>1</script>"),
    "/styles": (STRICT, "<p style='color: red'>"),
    "/handles": (STRICT, "<img src='data:,' onerror='1'>"),
    "/shows": (LOOSE, "<img src='http://example.org/pixel'>"),
    "/fetches": (LOOSE, "<script>fetch('https://example.org/').catch(() => 0)</script>"),
    "/connects": (LOOSE, "<script>new WebSocket('ws://example.org/')</script>"),
    "/goes": (LOOSE, "<meta http-equiv='refresh' content='0; url=http://example.org/'>"),
    "/frames": (LOOSE, "<iframe src='http://192.0.2.1/'></iframe>"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        policy, body = PAGES.get(self.path, (STRICT, ""))
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(f"<!doctype html><link rel=icon href='data:,'>{body}".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


def is_noticed(browser: Browser, url: str, kind: Kind, look: Look = DESK) -> bool:
    """Tell whether a fault is noticed, within two seconds."""
    with a_window(browser, look) as (context, watch):
        page = context.new_page()
        page.goto(url)
        for _ in range(200):
            if kind in watch.kinds:
                return True
            page.wait_for_timeout(10)
    return False


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/says", Kind.CONSOLE),
        ("/missing", Kind.CONSOLE),
        ("/throws", Kind.PAGE),
        ("/rejects", Kind.PAGE),
        ("/inlines", Kind.CSP),
        ("/styles", Kind.CSP),
        ("/handles", Kind.CSP),
        ("/shows", Kind.REQUEST),
        ("/fetches", Kind.REQUEST),
        ("/connects", Kind.REQUEST),
        ("/goes", Kind.REQUEST),
        ("/frames", Kind.REQUEST),
    ],
)
def test_a_fault_is_noticed(browser: Browser, url: str, path: str, kind: Kind) -> None:
    assert is_noticed(browser, url + path, kind)


def test_a_page_without_faults_has_none(browser: Browser, url: str) -> None:
    with a_window(browser) as (context, watch):
        page = context.new_page()
        page.goto(f"{url}/fine", wait_until="networkidle")
        settle(page)

    assert watch.faults == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/styles", Kind.CONSOLE), ("/shows", Kind.REQUEST), ("/goes", Kind.REQUEST)],
)
def test_faults_are_noticed_without_scripts_too(
    browser: Browser, url: str, path: str, kind: Kind
) -> None:
    assert is_noticed(browser, url + path, kind, Look(javascript=False))


def test_a_refusal_that_is_expected_is_no_fault(browser: Browser, url: str) -> None:
    with a_window(browser) as (context, watch):
        page = context.new_page()
        with watch.refused_with(404):
            page.goto(f"{url}/missing")
            settle(page)
        assert watch.faults == []

        with watch.refused_with(403):
            page.goto(f"{url}/missing")
            settle(page)
        assert watch.kinds == {Kind.CONSOLE}
