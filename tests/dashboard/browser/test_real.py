"""Real processes: what the judge does stands on the pages at once, in the same words everywhere."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.hands import sign_in
from tests.dashboard.visitors import PASSWORD
from tests.e2e.running import APP, a_server
from tests.judging.fleet import NEW, OLD, Fleet, Install, Manners, introduce, make_installs
from tests.judging.world import Terms, World, make_workspace
from tests.notify.receiver import Receiver, a_receiver

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

INSTALLS = 200
_TERMS = Terms(seconds=4, settings={"automatic": ["pause"]})
_WITHIN_MILLISECONDS = 2_000
_PATIENCE_SECONDS = 60.0
_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
_STAYS = "window.stays = true"


@dataclass(frozen=True, kw_only=True)
class Told:
    """A server, who is told by it, and where its pages are."""

    world: World
    receiver: Receiver

    @property
    def url(self) -> str:
        return f"http://{self.world.server.admin}"

    def operator(self, name: str) -> None:
        """Take an operator in, with a password that need not be changed."""
        link = self.world.server.serinus("operator", "add", name, "--role", "operator")["link"]
        form = f"password={PASSWORD}&again={PASSWORD}".replace(" ", "+")
        connection = http.client.HTTPConnection(self.world.server.admin, timeout=20)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url}
        connection.request("POST", "/" + link.split("/", 3)[-1], form, headers)
        assert connection.getresponse().status == 303
        connection.close()

    def paused(self) -> tuple[dict[str, Any], float]:
        """Return the rollout as soon as the API tells that it is paused, and when that was."""
        found = self.world.wait("paused", lambda it: it["state"] == "paused", _PATIENCE_SECONDS)
        return found, time.monotonic()

    def webhook(self) -> dict[str, Any]:
        """Return what the receiver is told of the pause."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            event = json.loads(self.receiver.next(until - time.monotonic()).body)
            if event["type"] == "serinus.rollout.paused":
                return dict(event)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A server that tells a receiver: 1.0.0 is open to all, 1.1.0 is published."""
    (tmp_path / "workspace").mkdir()
    make_workspace(tmp_path / "workspace")
    (tmp_path / "ops.secret").write_text(_SECRET)
    with a_receiver() as receiver:
        settings = f"""
[[notify]]
name = "ops"
kind = "webhook"
url = "{receiver.url}"
secret_files = ["../ops.secret"]
allow_private = ["127.0.0.1"]
"""
        workspace, folder = tmp_path / "workspace", tmp_path / "updates"
        with a_server(workspace, folder, settings=settings) as server:
            world = World(server)
            try:
                world.open_old()
                world.publish(NEW, "--rollback-to", OLD)
                yield Told(world=world, receiver=receiver)
            finally:
                world.close()


def test_a_bad_release_grows_and_is_paused_before_ones_eyes(told: Told, page: Page) -> None:
    told.operator("ana")
    sign_in(page, told.url, "ana")
    page.evaluate(_STAYS)
    sick = threading.Event()

    def crashes(install: Install) -> float:
        return 0.5 if sick.is_set() and install.version == NEW else 0.02

    installs = make_installs(INSTALLS, seed=1)
    introduce(told.world.server.public, installs)
    manners = Manners(period=1.5, away_seconds=6, crashes=crashes)
    with Fleet(told.world.server.public, installs, manners):
        told.world.start(_TERMS)
        row = page.get_by_role("row").filter(has_text=NEW)
        expect(row).to_be_visible(timeout=10_000)
        release = page.context.new_page()
        release.goto(f"{told.url}/apps/{APP}/rollouts/{told.world.rollout()['id']}")
        release.evaluate(_STAYS)
        rings = release.locator("#rings")
        before = rings.inner_text()
        expect(rings).not_to_have_text(before, timeout=10_000)
        sick.set()
        found, at = told.paused()
        sentence = found["sentence"]
        for each in (release, page):
            shown = each.get_by_text(sentence, exact=True)
            expect(shown).to_be_visible(timeout=_WITHIN_MILLISECONDS)
        took = time.monotonic() - at

    assert took < _WITHIN_MILLISECONDS / 1_000
    assert all(each.evaluate("window.stays") for each in (page, release))
    assert sentence.startswith(f"Paused {NEW} at ring 30 %")
    assert told.webhook()["data"]["sentence"] == sentence
    assert told.world.server.serinus("rollout", "show", NEW)["sentence"] == sentence
