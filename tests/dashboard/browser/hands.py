"""What a person does at a page, with the keyboard alone where that is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.dashboard.browser.chromium import settle
from tests.dashboard.browser.stage import Served
from tests.dashboard.browser.watch import Watch
from tests.dashboard.visitors import PASSWORD

_MOST_TABS = 120
_FOCUSED = "() => document.activeElement"
_IS_FOCUSED = "element => element === document.activeElement"
# What tells sighted people where they are: an outline, or a shadow or border that was not there.
_RING = """element => {
    const style = getComputedStyle(element);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
        || style.boxShadow !== "none";
}"""


def sign_in(page: Page, url: str, name: str, *, to: str = "/") -> None:
    """Sign in as people do, on the way to a page."""
    page.goto(url + to)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(url + to)


def be_signed_in(context: BrowserContext, served: Served, name: str) -> None:
    """Have the cookie of somebody who has just signed in."""
    secret = served.stage.secret_of(name)
    context.add_cookies([{"name": "serinus", "value": secret, "url": served.url}])


@contextlib.contextmanager
def refused(page: Page, watch: Watch, status: int) -> Iterator[None]:
    """Expect that the server refuses what the block does, with *status*."""
    with watch.refused_with(status):
        with page.expect_response(lambda response: response.status == status):
            yield
        page.wait_for_load_state()
        settle(page)


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until *target* has the focus, which must be seen at each place on the way."""
    expect(target).to_be_visible()
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate_handle(_FOCUSED).as_element()
        assert focused is not None
        if focused.evaluate("element => element !== document.body"):
            assert focused.evaluate(_RING), f"focus is not seen on {focused.inner_html()[:200]}"
        if target.evaluate(_IS_FOCUSED):
            return
    raise AssertionError(f"{target} is not reached by the keyboard")


def press(page: Page, target: Locator) -> None:
    """Go to a link or button by keyboard, and press it."""
    tab_to(page, target)
    page.keyboard.press("Enter")


def write(page: Page, target: Locator, text: str) -> None:
    """Go to a field by keyboard, and write."""
    tab_to(page, target)
    page.keyboard.type(text)
