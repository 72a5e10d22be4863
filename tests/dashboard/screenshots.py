"""The pictures in the README and docs: pages of a demo that really runs, as Chromium shows them.

    python -m tests.dashboard.screenshots [FOLDER]     `make screenshots` writes docs/images

Minutes: the demo tells its story meanwhile. *Now* is taken while a release is on its way to the
ring 10%, the others once the server has stopped a release by itself.
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
            for line in lines:
                sys.stderr.write(line)
                if "to ring 10%" in line:
                    take(browser, pages, folder, "now", "/", WIDE)
        with _served(data):
            stopped = next(
                each for each in pages.api("apps/demo/rollouts")["items"] if _is_crash(each)
            )
            path = f"/apps/demo/rollouts/{stopped['id']}"
            take(browser, pages, folder, "release", path, WIDE)
            take(browser, pages, folder, "release-phone", path, PHONE)
            take(browser, pages, folder, "evidence", f"{path}/evidence", WIDE)
            take(browser, pages, folder, "fleet", "/apps/demo/fleet", WIDE)


def take(browser: Browser, pages: Pages, folder: Path, name: str, path: str, look: Look) -> None:
    """Take a page in both colour schemes."""
    for scheme, suffix in SCHEMES:
        context = browser.new_context(**replace(look, scheme=scheme).options())
        page = context.new_page()
        _sign_in(page, pages)
        page.goto(pages.url + path)
        page.screenshot(path=folder / f"{name}{suffix}.png")
        context.close()


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
