"""The pictures in the README and docs: pages of a demo that really runs, as Chromium shows them.

    python -m tests.dashboard.screenshots [FOLDER]     `make screenshots` writes docs/images

Minutes: the demo tells its story meanwhile. *Now* is taken while a release is on its way to the
ring 10%; the release page is open while the server stops a release by itself, and is taken when
it says so; the others are of afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import urllib3
from playwright.sync_api import Browser, Page

from tests.dashboard.browser.chromium import Look, a_browser
from update_server.cli.demo.people import NAMES

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
WIDE: Final = Look(height=860)
PHONE: Final = Look(width=360, height=740)

SCHEMES: Final[tuple[tuple[Literal["light", "dark"], str], ...]] = (
    ("light", ""),
    ("dark", "-dark"),
)

_LOOK_MILLISECONDS: Final = 100
_MOST_LOOKS: Final = 300
_STOP_MILLISECONDS: Final = 120_000
_COMMAND: Final = (sys.executable, "-m", "update_server.cli.main")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where the demo's pages are, and how to get in."""

    url: str
    password: str
    token: str

    def api(self, path: str) -> Any:
        """Return what the API answers."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return urllib3.request("GET", f"{self.url}/v1/admin/{path}", headers=headers).json()


def main(folder: Path = FOLDER) -> None:
    """Tell the demo's story, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, a_browser() as browser:
        data = Path(scratch) / "demo"
        with _demo(data) as (pages, lines):
            views = {
                (name, suffix): _window(browser, pages, replace(look, scheme=scheme))
                for name, look in (("", WIDE), ("-phone", PHONE))
                for scheme, suffix in SCHEMES
            }
            for line in lines:
                sys.stderr.write(line)
                if "to ring 10%" in line:
                    for (name, suffix), page in views.items():
                        if not name:
                            page.goto(pages.url)
                            page.screenshot(path=folder / f"now{suffix}.png")
                if "goes straight to ring" in line:
                    _take_the_stop(views, pages, folder)
        with _served(data):
            stopped = next(
                each for each in pages.api("apps/demo/rollouts")["items"] if _is_crash(each)
            )
            for (name, suffix), page in views.items():
                if not name:
                    path = f"/apps/demo/rollouts/{stopped['id']}"
                    page.goto(f"{pages.url}{path}/evidence")
                    page.screenshot(path=folder / f"evidence{suffix}.png")


def _take_the_stop(views: dict[tuple[str, str], Page], pages: Pages, folder: Path) -> None:
    """Have the page of the newest rollout open until it says that it was stopped."""
    known = len(pages.api("apps/demo/rollouts")["items"])
    for _ in range(_MOST_LOOKS):
        found = pages.api("apps/demo/rollouts")["items"]
        if len(found) > known:
            break
        next(iter(views.values())).wait_for_timeout(_LOOK_MILLISECONDS)
    for page in views.values():
        page.goto(f"{pages.url}/apps/demo/rollouts/{found[0]['id']}")
    for (name, suffix), page in views.items():
        in_force = page.locator(".verdict.stopped", has_text="Last possible offer")
        in_force.wait_for(timeout=_STOP_MILLISECONDS)
        page.screenshot(path=folder / f"release{name}{suffix}.png")


def _window(browser: Browser, pages: Pages, look: Look) -> Page:
    """Return a page of somebody who is signed in."""
    page = browser.new_context(**look.options()).new_page()
    _sign_in(page, pages)
    return page


def _is_crash(rollout: dict[str, Any]) -> bool:
    judged = rollout["judged"] or {}
    return rollout["state"] == "pulled" and judged.get("cause_metric") == "crash"


def _sign_in(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.url}/sign-in")
    page.fill("[name=name]", NAMES[0])
    page.fill("[name=password]", pages.password)
    page.click("main button")
    page.wait_for_url(f"{pages.url}/")


@contextmanager
def _demo(data: Path) -> Iterator[tuple[Pages, Iterator[str]]]:
    """Run the demo; yield its pages as soon as people are let in, and what it says from then on."""
    command = (*_COMMAND, "demo", "--headless", "--json", "--keep", "--data", str(data))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines = iter(process.stderr)
        said = next(line for line in lines if "sign in as" in line)
        token = (data / "workspace" / "admin.token").read_text(encoding="ascii").strip()
        url = said.split()[1].rstrip("/")
        password = said.split("password ")[1].split()[0]
        yield Pages(url=url, password=password, token=token), lines
        document = json.loads(process.stdout.read())
        if not document["ok"]:
            raise SystemExit(f"the demo failed: {document.get('error')}")


@contextmanager
def _served(data: Path) -> Iterator[None]:
    """Run the kept server again."""
    config = str(data / "workspace" / "serinus.toml")
    with subprocess.Popen(
        (*_COMMAND, "serve", "--config", config), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        if not any("ready" in line for line in process.stderr):
            raise SystemExit("the kept server does not start")
        try:
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
