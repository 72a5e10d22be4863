"""What keeps people from using a page: found by axe-core, and by looking at its width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OF_COLOURS = ["color-contrast", "link-in-text-block"]
_RUN = """async only => (await axe.run(document, {runOnly: only, resultTypes: ["violations"]}))
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

# Controls but for tab and line end, zero-width characters, bidi overrides and isolates.
_UNSEEN = r"[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
_ACTS = r"""([planted, unseen]) => {
    const found = [...document.querySelectorAll(
        `.${planted}, [onfocus], [onerror], [onload], [style], [hx-on\\:load], main [hx-get]`
    )].map(element => element.outerHTML.slice(0, 120));
    if (planted in window) found.push("a script ran");
    if (document.title.includes(planted)) found.push("the title is another one");
    if (new RegExp(unseen).test(document.body.innerText)) found.push("what is there is not seen");
    const words = document.body.innerText.split(/\s+/);
    if (words.some(word => word.length > 1_000)) found.push("a line has no end");
    return found;
}"""


def barriers(page: Page, *, of_colours: bool = False) -> list[Any]:
    """Return what axe-core finds, or only what colours have to do with.

    It comes in from outside, which no policy of the page's allows or forbids.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_AXE)
    only = _OF_COLOURS if of_colours else _ALL
    found: list[Any] = page.evaluate(_RUN, only)
    return found


def wider_than_the_page(page: Page) -> list[str]:
    """Return what makes the page scroll sideways, tables in their own box left out."""
    found: list[str] = page.evaluate(_WIDER)
    return found


def too_small_to_touch(page: Page) -> list[str]:
    """Return what is to be pressed and is lower than a finger is wide: 44 pixels."""
    found: list[str] = page.evaluate(_SMALL)
    return found


def what_acts(page: Page, planted: str) -> list[str]:
    """Return what of *planted* text a page took for its own: elements, scripts, handlers."""
    found: list[str] = page.evaluate(_ACTS, [planted, _UNSEEN])
    return found
