from __future__ import annotations

import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.service.telemetry.settings import MOST_APP_KEYS

SETTINGS = "/v1/admin/apps/demo/settings"
KEPT = {"crash_messages": False, "tags": [], "app_keys": [], "atom": False}
DEFAULTS = {"project": 1, **KEPT}


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


def generation_of(world: World) -> int:
    with world.database.reading() as stores:
        return stores.apps.generations()["demo"]


def test_an_app_has_the_defaults_until_somebody_changes_them(ask: Ask) -> None:
    assert body_of(ask("GET", SETTINGS, role=Role.VIEWER)) == DEFAULTS


def test_what_is_not_named_stays_as_it_is(ask: Ask) -> None:
    ask("PATCH", SETTINGS, json={"tags": ["gpu", "wm", "gpu"]})

    changed = ask("PATCH", SETTINGS, json={"crash_messages": True})

    wanted = {**DEFAULTS, "crash_messages": True, "tags": ["gpu", "wm"]}
    assert (changed.status_code, body_of(changed)) == (200, wanted)
    assert body_of(ask("GET", SETTINGS)) == wanted


def test_the_server_makes_the_keys_and_takes_them_back(ask: Ask) -> None:
    first = body_of(ask("PATCH", SETTINGS, json={"new_app_key": True}))["app_keys"]
    both = body_of(ask("PATCH", SETTINGS, json={"new_app_key": True}))["app_keys"]

    left = ask("PATCH", SETTINGS, json={"remove_app_key": first[0]})
    again = ask("PATCH", SETTINGS, json={"remove_app_key": first[0]})

    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in both)
    assert (both[:1], len(set(both))) == (first, 2)
    assert body_of(left)["app_keys"] == both[1:]
    assert (again.status_code, body_of(again)["title"]) == (404, "Unknown app key")


def test_a_request_that_is_sent_again_makes_one_key(ask: Ask) -> None:
    headers = {"Idempotency-Key": "once"}
    first = ask("PATCH", SETTINGS, json={"new_app_key": True}, headers=headers)
    second = ask("PATCH", SETTINGS, json={"new_app_key": True}, headers=headers)

    assert body_of(first) == body_of(second) == body_of(ask("GET", SETTINGS))


def test_there_is_an_end_to_keys(ask: Ask) -> None:
    for _ in range(MOST_APP_KEYS):
        ask("PATCH", SETTINGS, json={"new_app_key": True})

    one_more = ask("PATCH", SETTINGS, json={"new_app_key": True})

    assert (one_more.status_code, body_of(one_more)["field"]) == (422, "new_app_key")
    assert len(body_of(ask("GET", SETTINGS))["app_keys"]) == MOST_APP_KEYS


def test_a_change_is_audited_and_reaches_the_web_processes(ask: Ask, world: World) -> None:
    before = generation_of(world)

    ask("PATCH", SETTINGS, json={"tags": ["gpu"], "reason": "drivers differ"})

    record = body_of(ask("GET", "/v1/admin/apps/demo/audit?limit=1"))["items"][0]
    assert (record["action"], record["reason"]) == ("app.settings", "drivers differ")
    assert (record["before"], record["after"]) == (KEPT, {**KEPT, "tags": ["gpu"]})
    assert generation_of(world) == before + 1


def test_what_changes_nothing_leaves_no_trace(ask: Ask, world: World) -> None:
    before = generation_of(world)

    assert ask("PATCH", SETTINGS, json={"crash_messages": False}).status_code == 200

    assert generation_of(world) == before


def test_only_operators_change_settings(ask: Ask) -> None:
    refused = ask("PATCH", SETTINGS, json={"crash_messages": True}, role=Role.PUBLISHER)

    assert refused.status_code == 403
    assert body_of(ask("GET", SETTINGS)) == DEFAULTS


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"crash_mesages": True}, "body"),
        ({"crash_messages": "yes"}, "crash_messages"),
        ({"tags": ["a b"]}, "tags[0]"),
        ({"tags": ["a\n"]}, "tags[0]"),
        ({"tags": ["a"] * 51}, "tags"),
        ({"app_keys": ["0" * 32]}, "body"),
        ({"remove_app_key": "0" * 31}, "remove_app_key"),
    ],
)
def test_what_cannot_be_set_is_told_by_its_field(
    ask: Ask, body: dict[str, Any], field: str
) -> None:
    response = ask("PATCH", SETTINGS, json=body)

    assert (response.status_code, body_of(response).get("field")) == (400, field)


def test_an_app_that_is_not_there_has_no_settings(ask: Ask) -> None:
    path = "/v1/admin/apps/nope/settings"

    assert ask("GET", path, app=None).status_code == 404
    assert ask("PATCH", path, app=None, json={"tags": []}).status_code == 404
