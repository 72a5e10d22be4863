"""Every page, as everybody may look at it: no barrier, no fault, nothing of it acts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.dashboard.browser.barriers import (
    barriers,
    too_small_to_touch,
    what_acts,
    wider_than_the_page,
)
from tests.dashboard.browser.chromium import (
    DESK,
    LOOKS,
    PHONE,
    WITHOUT_SCRIPTS,
    Look,
    a_window,
    look_at,
    settle,
)
from tests.dashboard.browser.hands import be_signed_in, refused
from tests.dashboard.browser.pages import DOORSTEP, MISSING, PAGES, path_of
from tests.dashboard.browser.stage import PLANTED, Served
from tests.dashboard.browser.watch import Watch

_MOST_BYTES = 100_000
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.fixture
def page(page: Page, shown: Served) -> Page:
    """A page of an admin who is signed in."""
    be_signed_in(page.context, shown, "ada")
    return page


@dataclass(frozen=True, slots=True)
class Opened:
    """An open page, the headers of its answer, and the bytes of it and of all that it loaded."""

    page: Page
    headers: Mapping[str, str]
    sizes: Mapping[str, int]


@pytest.fixture(scope="module", params=[*PAGES, *DOORSTEP])
def open_page(shown: Served, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Each page in turn, opened once for all tests that only look at it."""
    came: list[Response] = []
    with a_window(browser) as (context, watch):
        if request.param in PAGES:
            be_signed_in(context, shown, "ada")
        page = context.new_page()
        page.on("response", lambda response: came.append(response))  # noqa: PLW0108 - wants a function
        headers = go(page, shown, request.param).headers
        sizes = {each.url.removeprefix(shown.url): len(each.body()) for each in came}
        yield Opened(page, headers, sizes)
        settle(page)
        assert watch.faults == []


def go(page: Page, shown: Served, name: str) -> Response:
    """Open a page, which must be there."""
    response = page.goto(shown.url + path_of(name, shown.stage))
    assert response is not None
    assert response.status == 200
    return response


def test_a_page_has_no_barrier(open_page: Opened) -> None:
    found = []
    for name, look in LOOKS.items():
        look_at(open_page.page, look)
        # What is no matter of colours is the same in each scheme.
        of_colours = look not in {DESK, PHONE}
        found += [f"{name}: {each}" for each in barriers(open_page.page, of_colours=of_colours)]
    assert not found, "\n".join(found)


def test_nothing_scrolls_sideways(open_page: Opened) -> None:
    page, found = open_page.page, []
    for look in (DESK, Look(zoom=2), PHONE):
        look_at(page, look)
        found += [f"{look.width // look.zoom} px: {each}" for each in wider_than_the_page(page)]
    assert not found, "\n".join(found)
    assert not (small := too_small_to_touch(page)), "\n".join(small)


def test_what_attackers_wrote_stays_text(open_page: Opened) -> None:
    assert what_acts(open_page.page, PLANTED) == []


def test_a_page_is_light_and_says_what_it_may_load(open_page: Opened) -> None:
    headers, sizes = open_page.headers, open_page.sizes

    assert {header: headers.get(header) for header in _HEADERS} == _HEADERS
    assert sum(sizes.values()) <= _MOST_BYTES, sizes


def test_what_is_not_there_is_told_on_a_page(page: Page, watch: Watch, shown: Served) -> None:
    with refused(page, watch, 404):
        response = page.goto(shown.url + MISSING)

    assert response is not None
    headers = response.headers
    assert response.status == 404
    assert {header: headers.get(header) for header in _HEADERS} == _HEADERS
    assert barriers(page) == []


@pytest.mark.parametrize("look", [WITHOUT_SCRIPTS], ids=["no-scripts"], indirect=True)
def test_without_scripts_every_page_is_there_and_stays_while_one_types(
    page: Page, shown: Served
) -> None:
    reloaded, typed_in = set(), set()
    for name in PAGES:
        go(page, shown, name)
        assert page.get_by_role("main").inner_text().strip()
        if page.locator("meta[http-equiv=refresh]").count():
            reloaded.add(name)
        if page.locator("main :is(input:not([type=hidden]), textarea, select)").count():
            typed_in.add(name)

    assert "now" in reloaded
    assert {"release", "pull", "explain"} <= typed_in
    assert reloaded & typed_in == set()


def test_who_uses_a_keyboard_skips_what_is_on_every_page(page: Page, shown: Served) -> None:
    go(page, shown, "release")

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_be_focused()
