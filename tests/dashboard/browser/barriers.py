"""What keeps people from using a page: found by axe-core, and by looking at its width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async tags => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]}))
    .violations.map(found => [found.id, found.help, ...found.nodes.map(
        node => node.html.slice(0, 200) + " " + node.failureSummary)])"""
# A box that scrolls by itself may hold what is wider; nothing else may stand out of the page.
_WIDER = """() => {
    const room = document.documentElement.clientWidth;
    const inBox = element => {
        for (let each = element; each !== document.body && each; each = each.parentElement)
            if (["auto", "scroll"].includes(getComputedStyle(each).overflowX)) return true;
        return false;
    };
    const out = [...document.body.querySelectorAll("*")].filter(element =>
        element.getBoundingClientRect().right > room + 1 && element.checkVisibility()
        && !element.closest("svg *") && !inBox(element));
    const told = out.map(element => element.outerHTML.slice(0, 120));
    if (document.documentElement.scrollWidth > room) told.unshift("the page scrolls sideways");
    return told;
}"""
_SMALL = """() => [...document.querySelectorAll(
        "button, input:not([type=hidden]), select, textarea, summary, nav a")]
    .filter(element => element.checkVisibility() && !["checkbox", "radio"].includes(element.type))
    .filter(element => element.getBoundingClientRect().height < 43.5)
    .map(element => element.outerHTML.slice(0, 120))"""


def barriers(page: Page) -> list[Any]:
    """Return what axe-core finds; nothing is loaded into the page's own world by the page."""
    page.evaluate(_AXE)
    found: list[Any] = page.evaluate(_RUN, _RULES)
    return found


def wider_than_the_page(page: Page) -> list[str]:
    """Return what makes the page scroll sideways, tables in their own box left out."""
    found: list[str] = page.evaluate(_WIDER)
    return found


def too_small_to_touch(page: Page) -> list[str]:
    """Return what is to be pressed and is lower than a finger is wide: 44 pixels."""
    found: list[str] = page.evaluate(_SMALL)
    return found
