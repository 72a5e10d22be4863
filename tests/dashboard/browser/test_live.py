"""A page that is open tells what happens, and takes nothing from who is busy with it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.chromium import PHONE
from tests.dashboard.browser.hands import be_signed_in
from tests.dashboard.browser.pages import path_of
from tests.dashboard.browser.stage import HASTY, NEW, STAFF, Served, sicken

_WITHIN_MILLISECONDS = 2_000
# What screen readers read out: text that is another one than before.
_LISTEN = """() => {
    window.spoken = [];
    const said = element => element.innerText.trim();
    for (const each of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) {
        let before = said(each);
        const heard = () => {
            if (said(each) !== before) window.spoken.push(before = said(each));
        };
        new MutationObserver(heard).observe(
            each, {childList: true, subtree: true, characterData: true});
    }
}"""


@pytest.fixture
def page(page: Page, rolling: Served) -> Page:
    """A page of an operator who is signed in. It knows whether it was loaded again."""
    be_signed_in(page.context, rolling, "ana")
    page.context.add_init_script("window.loaded = (window.loaded || 0) + 1")
    return page


def go(page: Page, served: Served, name: str) -> None:
    page.goto(served.url + path_of(name, served.stage))
    page.evaluate("window.stays = true")


def refreshed(page: Page) -> None:
    """Return when the page has got and shown its pieces once more."""
    for _ in range(2):
        with page.expect_response(lambda response: "live=1" in response.url):
            pass
    assert page.evaluate("window.stays")


def test_a_ring_grows_before_ones_eyes(page: Page, rolling: Served) -> None:
    stage = rolling.stage
    go(page, rolling, "release")
    healthy = page.locator("#funnel")
    before = healthy.inner_text()

    stage.update([each for each in stage.installs[STAFF:] if each.offered][HASTY:])
    stage.round()

    expect(healthy).not_to_have_text(before, timeout=_WITHIN_MILLISECONDS)
    assert page.evaluate("window.stays")


@pytest.mark.parametrize("name", ["now", "release"])
def test_an_automatic_pause_stands_there_with_its_sentence(
    page: Page, rolling: Served, name: str
) -> None:
    go(page, rolling, name)
    expect(page.get_by_text("paused")).to_have_count(0)

    sicken(rolling.stage)

    sentence = str(rolling.stage.now.reason)
    assert sentence.startswith(f"Paused {NEW} at ring 10 %")
    expect(page.get_by_text(sentence, exact=True)).to_be_visible(timeout=_WITHIN_MILLISECONDS)
    assert page.evaluate("window.stays")


def test_the_age_of_the_newest_datum_is_always_in_view(page: Page, rolling: Served) -> None:
    go(page, rolling, "release")
    age = page.locator("#age")
    expect(age).to_contain_text("data 40 s ago")

    rolling.stage.world.advance(5)
    expect(age).to_contain_text("data 45 s ago", timeout=_WITHIN_MILLISECONDS)
    rolling.stage.world.advance(3_600)

    expect(age).to_contain_text("data 60 min ago", timeout=_WITHIN_MILLISECONDS)
    expect(page.get_by_text("Numbers below are old.")).to_be_visible()


def test_a_refresh_takes_nothing_from_who_types(page: Page, rolling: Served) -> None:
    rolling.stage.world.services().control.pause(
        rolling.stage.world.person("ben"), "demo", rolling.stage.rollout.id, reason="looks odd"
    )
    go(page, rolling, "release")
    page.get_by_text("Say why").click()
    why = page.get_by_label("Why")

    why.press_sequentially("it crashes ")
    refreshed(page)
    why.press_sequentially("on start")

    expect(why).to_have_value("it crashes on start")
    expect(why).to_be_focused()


@pytest.mark.parametrize("look", [PHONE], ids=["phone"], indirect=True)
def test_a_refresh_leaves_open_what_is_open_and_who_reads_where_they_are(
    page: Page, rolling: Served
) -> None:
    go(page, rolling, "release")
    tables = page.locator("details:has(table)")
    tables.last.locator("summary").click()
    tables.last.scroll_into_view_if_needed()
    y = page.evaluate("scrollY")
    chosen = "getSelection().selectAllChildren(document.querySelector('h1'))"
    page.evaluate(chosen)

    rolling.stage.pass_time(0.1)
    refreshed(page)

    expect(tables.last.locator("table")).to_be_visible()
    expect(tables.last.locator("summary")).to_be_focused()
    assert page.evaluate("scrollY") == y > 0
    assert page.evaluate("getSelection().toString()").startswith("demo 2.4.0")


@pytest.mark.parametrize("name", ["now", "release"])
def test_nothing_is_spoken_unless_the_state_changes(page: Page, rolling: Served, name: str) -> None:
    go(page, rolling, name)
    page.evaluate(_LISTEN)

    rolling.stage.pass_time(0.1)
    refreshed(page)
    assert page.evaluate("window.spoken") == []

    sicken(rolling.stage)
    refreshed(page)
    assert "paused" in " ".join(page.evaluate("window.spoken")).lower()

    page.evaluate("window.spoken = []")
    rolling.stage.pass_time(0.1)
    refreshed(page)
    assert page.evaluate("window.spoken") == []
