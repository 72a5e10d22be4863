"""Controls: what would keep people from using a page, or act on it, is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.dashboard.browser.barriers import (
    barriers,
    too_small_to_touch,
    what_acts,
    wider_than_the_page,
)
from tests.dashboard.browser.chromium import PHONE, a_window
from tests.dashboard.browser.stage import HOSTILE, LONG, PLANTED

_FINE = "<!doctype html><html lang=en><title>t</title><main><h1>Now</h1>{}</main>"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on a phone, where anything may go wrong."""
    with a_window(browser, PHONE) as (context, _):
        yield context.new_page()


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ("<img src='data:,'>", "image-alt"),
        ("<input>", "label"),
        ("<p style='color: #999'>pale</p>", "color-contrast"),
        ("<div tabindex=0 style='overflow: scroll'></div><h4>deep</h4>", "heading-order"),
    ],
)
def test_a_barrier_is_noticed(page: Page, html: str, rule: str) -> None:
    page.set_content(_FINE.format(html))

    assert rule in [name for name, *_ in barriers(page)]


def test_colours_alone_are_looked_at_in_another_scheme(page: Page) -> None:
    page.set_content(_FINE.format("<input><p style='color: #999'>pale</p>"))

    assert [name for name, *_ in barriers(page, of_colours=True)] == ["color-contrast"]


def test_a_page_without_barriers_has_none(page: Page) -> None:
    page.set_content(_FINE.format("<p>Nothing to act on.</p>"))

    assert barriers(page) == []
    assert wider_than_the_page(page) == too_small_to_touch(page) == []
    assert what_acts(page, PLANTED) == []


@pytest.mark.parametrize("html", [f"<p>{LONG}</p>", "<div style='width: 400px'>wide</div>"])
def test_what_is_too_wide_is_noticed(page: Page, html: str) -> None:
    page.set_content(_FINE.format(html))

    assert wider_than_the_page(page) != []


def test_a_table_may_be_wide_in_a_box_of_its_own(page: Page) -> None:
    table = "<table style='width: 900px'><tr><td>wide</table>"
    page.set_content(_FINE.format(f"<div style='overflow-x: auto'>{table}</div>"))

    assert wider_than_the_page(page) == []


def test_what_a_finger_misses_is_noticed(page: Page) -> None:
    page.set_content(_FINE.format("<button>small</button>"))

    assert len(too_small_to_touch(page)) == 1


@pytest.mark.parametrize("text", [HOSTILE, "\u202egnp.exe", LONG])
def test_what_attackers_wrote_is_noticed_where_it_acts(page: Page, text: str) -> None:
    page.set_content(_FINE.format(""))
    page.locator("main").evaluate("(main, text) => main.innerHTML = text", text)

    assert what_acts(page, PLANTED) != []
