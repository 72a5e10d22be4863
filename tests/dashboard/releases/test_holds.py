"""A platform is held back by a form, and let go by another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.admin_world import APP, STABLE
from tests.dashboard.releases.clinics import path_of
from tests.dashboard.releases.elements import fields_of, main_of
from tests.dashboard.releases.test_verbs import seen
from tests.dashboard.visitors import PASSWORD, Browser, Visitors
from tests.service.clinic import Clinic
from update_server.service.ports import StoredHold
from update_server.service.rollouts.holds import Holds
from update_server.web.dashboard.controls import presses

LINK = "https://status.example.org/1"
STORY = {"title": "Crashes on Windows", "link": LINK, "platform": "windows-x86_64"}


def holds(clinic: Clinic) -> Sequence[StoredHold]:
    return clinic.world.services().holds.all(APP)


def hold(browser: Browser, clinic: Clinic, **fields: str) -> int:
    path = f"{path_of(clinic)}/hold"
    hidden = fields_of(browser.get(path), path)
    return browser.post(path, {**hidden, **STORY, **fields}).status_code


def test_a_platform_is_held_back_from_this_rollout(rolling: Clinic, going: Visitors) -> None:
    assert hold(going.ana, rolling, reason="drivers") == 303

    [held] = holds(rolling)
    assert (held.channel, held.rollout, held.reason) == (STABLE, rolling.rollout.id, "drivers")
    assert held.hold.audience.platform == ("windows-x86_64",)
    rings = main_of(going.vera.get(path_of(rolling))).one(id="rings")
    assert "Held back: Crashes on Windows" in rings.text
    assert not [each for each in rings.all("a") if "/lift/" in each.attributes["href"]]


def test_the_form_says_how_many_installs_a_platform_has(rolling: Clinic, going: Visitors) -> None:
    page = main_of(going.ana.get(f"{path_of(rolling)}/hold"))

    assert "linux-x86_64 900 installs of the app" in page.text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("title", "", 400),
        ("title", "two\nlines", 400),
        ("link", "http://elsewhere.example.org/", 422),
        ("link", "javascript:alert(1)", 422),
    ],
)
def test_a_wrong_field_is_shown_again_and_nothing_is_held(
    field: str, value: str, status: int, rolling: Clinic, going: Visitors
) -> None:
    path = f"{path_of(rolling)}/hold"

    answer = going.ana.post(path, {**seen(rolling), **STORY, field: value})

    page = main_of(answer)
    assert answer.status_code == status
    assert not holds(rolling)
    assert [each.attributes["name"] for each in page.with_attribute("aria-invalid")] == [field]
    assert "checked" in page.one("input", value="windows-x86_64").attributes


def test_a_double_click_holds_once(
    rolling: Clinic, going: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, path, form = going.ana, f"{path_of(rolling)}/hold", {**seen(rolling), **STORY}
    at_it, go = threading.Semaphore(0), threading.Event()
    real = Holds.add

    def slow(*arguments: Any, **more: Any) -> StoredHold:
        at_it.release()
        go.wait(10)
        return real(*arguments, **more)

    monkeypatch.setattr(Holds, "add", slow)
    with ThreadPoolExecutor(2) as browsers:
        first = browsers.submit(ana.post, path, form)
        assert at_it.acquire(timeout=10)
        second = browsers.submit(ana.post, path, form)
        # It waits for the first; without that it would be here at once.
        assert not at_it.acquire(timeout=0.3)
        go.set()
        answers = {first.result().status_code, second.result().status_code}

    assert answers == {303}
    assert len(holds(rolling)) == 1
    assert presses._TAKEN == {}


def test_a_hold_of_nobody_is_none(rolling: Clinic, going: Visitors) -> None:
    fields = {**seen(rolling), "title": "t", "link": LINK}

    answer = going.ana.post(f"{path_of(rolling)}/hold", fields)

    assert answer.status_code == 400
    assert "tick at least one" in main_of(answer).text.lower()


def test_a_lift_takes_a_reason_and_a_password(rolling: Clinic, going: Visitors) -> None:
    hold(going.ana, rolling)
    [held] = holds(rolling)
    path = f"{path_of(rolling)}/lift/{held.hold.id}"
    hidden = fields_of(going.ana.get(path), path)

    without = going.ana.post(path, {**hidden, "reason": "mended"})
    wrong = going.ana.post(path, {**hidden, "reason": "mended", "password": "not mine at all"})
    still = len(holds(rolling))
    lifted = going.ana.post(path, {**hidden, "reason": "mended", "password": PASSWORD})

    assert [each.status_code for each in (without, wrong, lifted)] == [400, 403, 303]
    assert (still, len(holds(rolling))) == (1, 0)


def test_a_lift_of_what_is_not_held_is_not_found(rolling: Clinic, going: Visitors) -> None:
    assert going.ana.get(f"{path_of(rolling)}/lift/h_none").status_code == 404


def test_a_viewer_holds_and_lifts_nothing(rolling: Clinic, going: Visitors) -> None:
    hold(going.ana, rolling)
    [held] = holds(rolling)
    path = path_of(rolling)

    answers = [
        going.vera.post(f"{path}/hold", {**seen(rolling), **STORY}),
        going.vera.post(f"{path}/lift/{held.hold.id}", seen(rolling)),
        going.vera.get(f"{path}/hold"),
    ]

    assert [each.status_code for each in answers] == [403, 403, 403]
    assert len(holds(rolling)) == 1
