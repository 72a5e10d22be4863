"""``/apps/{app}/explain``: the answer is the API's, and the install's ID is left nowhere."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rollout.model import Arm, InstallId, RolloutId
from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, open_page
from tests.dashboard.apps.reading import Page
from tests.dashboard.visitors import Visitors
from tests.store.values import a_contact, a_history
from update_server.service.agents.pseudonyms import install_key

PAGE = f"/apps/{APP}/explain"
INSTALL = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


def ask(visitors: Visitors, status: int = 200, **fields: str) -> Page:
    known = {"install_id": INSTALL, "channel": "stable", "platform": "linux-x86_64"}
    answer = visitors.vera.post(PAGE, {**known, **fields})
    assert answer.status_code == status, answer.text
    return Page(answer)


def test_the_form_asks_for_channel_and_platform_of_the_app(visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert {each["name"] for each in page.named("select")} == {"channel", "platform"}
    assert "windows-x86_64" in page.text
    [form] = [each for each in page.named("form") if each["action"] == PAGE]
    assert form["method"] == "post"


def test_the_answer_is_that_of_the_api_rule_by_rule(world: World, visitors: Visitors) -> None:
    world.start("2.1.0", ring="10%", reason="r")
    query = f"install_id={INSTALL}&platform=linux-x86_64&version=2.0.0"
    told = api(world, f"/apps/{APP}/explain?{query}")

    page = ask(visitors, version="2.0.0")

    for step in told["steps"]:
        assert step["outcome"] in page.text
        for check in step["checks"]:
            assert check["detail"] in page.text
        if step["document"]:
            version = step["document"]["version"]
            assert f"{step['document']['kind']} document, version {version}" in page.text
    assert told["evidence"]["detail"] in page.text
    assert f"bucket {told['bucket']}" in page.text
    assert "It stays where it is: outside ring" in page.text
    assert page.text.count("✓") == 3 + sum(c["passes"] for s in told["steps"] for c in s["checks"])


def test_the_answer_can_be_copied_as_text_without_the_id(visitors: Visitors) -> None:
    page = ask(visitors, version="2.0.0")

    assert "demo, stable, linux-x86_64, on 2.0.0 at 2026-" in page.text
    assert INSTALL not in page.source


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"install_id": "x"}, "install_id"),
        ({"install_id": ""}, "install_id"),
        ({"channel": "moon"}, "channel"),
        ({"platform": "amiga-m68k"}, "platform"),
        ({"version": "<b>"}, "version"),
        ({"at": "yesterday"}, "at"),
        ({"attributes": "no equals sign"}, "attributes"),
        ({"attributes": "\n".join(f"a{n} = 1" for n in range(21))}, "attributes"),
        ({"os_version": "\x07"}, "os_version"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    visitors: Visitors, fields: dict[str, str], words: str
) -> None:
    page = ask(visitors, 400, locale="de-AT", **fields)

    [error] = [each for each in page.named("p") if each.get("id") == "error"]
    assert error["role"] == "alert"
    assert words in page.text
    assert "de-AT" in [each.get("value") for each in page.named("input")]


def test_attributes_and_an_instant_can_be_asked_about(world: World, visitors: Visitors) -> None:
    world.change_policy(custom_keys=("edition",))
    world.start("2.1.0", ring="all", reason="everybody")

    now = ask(visitors, attributes="edition = pro\n\n", os_version="12")
    later = ask(visitors, at="2099-01-01T00:00:00Z")

    assert "It is given 2.1.0: in ring" in now.text
    assert "It stays where it is: stale server" in later.text
    assert "how they decide at the instant above" in later.text


def test_hostile_text_stays_text(world: World, visitors: Visitors) -> None:
    world.start("2.1.0")
    hostile = "<img src=x onerror=alert(1)>\u202e"

    page = ask(visitors, 400, version=hostile, locale=hostile)

    assert not page.named("img")
    assert "onerror" not in page.attributes


def test_what_is_known_of_an_install_is_told(world: World, visitors: Visitors) -> None:
    rollout = world.start("2.1.0", ring="10%", reason="r")
    _seen(world, rollout.id)

    page = ask(visitors, version="2.0.0")

    assert "Last check-in" in page.text
    assert "on 2.0.0, stable, linux-x86_64: stay (outside_ring)" in page.text
    assert "1 check-ins" in page.text


def _seen(world: World, rollout: str) -> None:
    with world.database.transaction() as stores:
        key = install_key(stores.access.secret("pepper"), APP, InstallId(INSTALL))
        fields: dict[str, Any] = {
            "install_key": key,
            "at": world.clock.now(),
            "action": "stay",
            "reason": "outside_ring",
            "offered": None,
            "arm": Arm.CONTROL,
            "rollout": RolloutId(rollout),
        }
        stores.telemetry.absorb([a_contact(**fields)], [])
        stores.histories.put(APP, {key: a_history(check_ins=1)})


def test_the_id_is_kept_nowhere(
    visitors: Visitors, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a log, not in what is shown while the database is down, not in the database."""
    caplog.set_level(logging.DEBUG)
    visitors.vera.get(PAGE)

    page = ask(visitors, version="2.0.0")
    ask(visitors, 400, version="nonsense")

    assert INSTALL not in caplog.text
    assert INSTALL not in repr(world.database._state)
    assert INSTALL not in page.source
    world.database.down = True
    assert INSTALL not in visitors.vera.get(PAGE).text


def test_a_form_of_another_site_is_refused(visitors: Visitors) -> None:
    fields = {"install_id": INSTALL, "channel": "stable", "platform": "linux-x86_64"}
    vera = visitors.vera

    assert vera.post(PAGE, fields, origin="https://evil.example").status_code == 403
    assert vera.post(PAGE, fields, csrf="wrong").status_code == 403
    assert vera.post(PAGE, fields).status_code == 200
