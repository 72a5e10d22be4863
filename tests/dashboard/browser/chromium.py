"""The distribution's Chromium, without a window; and how it is made to look at pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.dashboard.browser.watch import Watch

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MILLISECONDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a page is looked at. Sizes are in CSS pixels; ``zoom`` 2 leaves half of them."""

    width: int = 1280
    height: int = 800
    scheme: Literal["light", "dark"] = "light"
    forced_colors: bool = False
    javascript: bool = True
    zoom: int = 1

    def options(self) -> dict[str, Any]:
        """Return what a browser context is to be made with."""
        return {
            "viewport": {"width": self.width // self.zoom, "height": self.height // self.zoom},
            "device_scale_factor": self.zoom,
            "color_scheme": self.scheme,
            "forced_colors": "active" if self.forced_colors else "none",
            "java_script_enabled": self.javascript,
            "reduced_motion": "reduce",
            "locale": "en-GB",
            "timezone_id": "Pacific/Auckland",  # pages tell times in UTC wherever one is
        }


DESK = Look()
PHONE = Look(width=360, height=640)
WITHOUT_SCRIPTS = Look(width=360, height=640, javascript=False)
LOOKS = {
    "desk": DESK,
    "desk-dark": Look(scheme="dark"),
    "phone": PHONE,
    "phone-dark": Look(width=360, height=640, scheme="dark"),
    "forced-colours": Look(forced_colors=True),
}


def executable() -> str:
    """Return where the system's Chromium is."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise AssertionError("there is no Chromium here; scripts/chromium installs it")


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    """Run a Chromium that finds nobody but this machine."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=executable(),
            chromium_sandbox=os.getuid() != 0,  # it does not work as root
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def a_window(browser: Browser, look: Look = DESK) -> Iterator[tuple[BrowserContext, Watch]]:
    """Open a window with cookies of its own, and watch what happens in it."""
    context, watch = browser.new_context(**look.options()), Watch()
    watch.over(context)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    try:
        yield context, watch
    finally:
        context.close()


def look_at(page: Page, look: Look) -> None:
    """Look at an open page in another way, as far as that needs no new window."""
    options = look.options()
    page.set_viewport_size(options["viewport"])
    page.emulate_media(color_scheme=look.scheme, forced_colors=options["forced_colors"])


def settle(page: Page) -> None:
    """Return when the page has said all that it had to say until now."""
    page.evaluate("1")  # answered after it; no promise or timer, which want JavaScript
