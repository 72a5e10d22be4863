"""Groups, enrolments, holds, tokens, and what is only read."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from rollout.model import Arm
from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Contact, Role

APP = "/v1/admin/apps/demo"
HOLD = {
    "channel": "stable",
    "title": "Crashes with driver 531",
    "link": "https://status.example.org/h1",
    "audience": {"os_version": ["<13"], "custom": None},
    "reason": "a driver",
}
INSTALL = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


# --- groups and enrolments ---------------------------------------------------------------


def test_groups_come_and_go(ask: Ask) -> None:
    made = ask("POST", f"{APP}/groups", json={"name": "staff"})
    again = ask("POST", f"{APP}/groups", json={"name": "staff"})

    assert (made.status_code, again.status_code) == (201, 200)
    assert body_of(ask("GET", f"{APP}/groups"))["items"] == [body_of(made)]
    assert ask("DELETE", f"{APP}/groups/staff").status_code == 204
    assert ask("DELETE", f"{APP}/groups/staff").status_code == 404
    assert body_of(ask("GET", f"{APP}/groups"))["items"] == []


def test_a_bad_group_name_is_refused(ask: Ask) -> None:
    response = ask("POST", f"{APP}/groups", json={"name": "Our Staff"})

    assert (response.status_code, body_of(response)["field"]) == (400, "name")


def test_a_code_is_told_once(ask: Ask) -> None:
    ask("POST", f"{APP}/groups", json={"name": "staff"})

    made = ask("POST", f"{APP}/enrolments", json={"group": "staff", "uses": 2})

    body = body_of(made)
    assert made.status_code == 201
    assert body["code"]
    assert body["uses_left"] == 2
    (listed,) = body_of(ask("GET", f"{APP}/enrolments"))["items"]
    assert "code" not in listed
    assert ask("DELETE", f"{APP}/enrolments/{body['id']}").status_code == 204
    (listed,) = body_of(ask("GET", f"{APP}/enrolments"))["items"]
    assert listed["revoked_at"] is not None


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"group": "nobody"}, 422, "group"),
        ({"group": "No Body"}, 400, "group"),
        ({"group": "staff", "uses": 0}, 400, "uses"),
        ({"group": "staff", "expires_in_seconds": 10**12}, 400, "expires_in_seconds"),
    ],
)
def test_a_bad_code_is_not_made(body: Any, status: int, field: str, ask: Ask) -> None:
    response = ask("POST", f"{APP}/enrolments", json=body)

    assert (response.status_code, body_of(response)["field"]) == (status, field)


# --- holds -------------------------------------------------------------------------------


def test_holds_come_and_go(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")

    made = ask("POST", f"{APP}/holds", json={**HOLD, "rollout": rollout.id})

    body = body_of(made)
    assert (made.status_code, body["audience"]) == (201, {"os_version": ["<13"]})
    assert body_of(ask("GET", f"{APP}/holds"))["items"] == [body]
    assert ask("DELETE", f"{APP}/holds/{body['id']}?reason=fixed").status_code == 204
    assert body_of(ask("GET", f"{APP}/holds"))["items"] == []
    assert ask("DELETE", f"{APP}/holds/{body['id']}").status_code == 204
    assert ask("DELETE", f"{APP}/holds/h_none").status_code == 404
    assert ask("DELETE", f"{APP}/holds/h_none?reason=%00").status_code == 400


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"audience": {"moon": ["full"]}}, 400, "audience"),
        ({"audience": {"os_version": []}}, 400, "audience.os_version"),
        ({"audience": {"custom": {"edition": ["pro"]}}}, 422, "audience.custom"),
        ({"link": "https://elsewhere.example.org"}, 422, "link"),
        ({"title": "two\nlines"}, 400, "title"),
        ({"channel": "beta"}, 422, "channel"),
        ({"rollout": "ro-1"}, 400, "rollout"),
    ],
)
def test_a_bad_hold_names_its_field(
    change: dict[str, Any], status: int, field: str, ask: Ask
) -> None:
    response = ask("POST", f"{APP}/holds", json={**HOLD, **change})

    assert (response.status_code, body_of(response)["field"]) == (status, field)
    assert body_of(ask("GET", f"{APP}/holds"))["items"] == []


# --- tokens ------------------------------------------------------------------------------


def test_a_token_is_told_once_and_ends(ask: Ask) -> None:
    request = {"name": "ci", "role": "publisher", "app": "demo", "expires_in_seconds": 60}

    made = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, json=request)

    body = body_of(made)
    assert made.status_code == 201
    assert body["token"].startswith("srn_")
    listed = body_of(ask("GET", "/v1/admin/tokens", role=Role.ADMIN))["items"]
    assert all("token" not in item and "sha256" not in item for item in listed)
    headers = {"Authorization": f"Bearer {body['token']}"}
    assert ask("GET", "/v1/admin/apps", headers=headers).status_code == 200
    deleted = ask("DELETE", f"/v1/admin/tokens/{body['id']}", role=Role.ADMIN)
    assert deleted.status_code == 204
    assert ask("GET", "/v1/admin/apps", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [({"role": "owner"}, "role"), ({"name": ""}, "name"), ({"app": "De Mo"}, "app")],
)
def test_a_bad_token_is_not_made(change: dict[str, Any], field: str, ask: Ask) -> None:
    request = {"name": "ci", "role": "viewer", "app": "demo"} | change

    response = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, json=request)

    assert (response.status_code, body_of(response)["field"]) == (400, field)


def test_an_admin_of_all_apps_sees_and_makes_all_tokens(ask: Ask) -> None:
    request = {"name": "everywhere", "role": "viewer"}

    made = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, app=None, json=request)

    assert (made.status_code, body_of(made)["app"]) == (201, None)
    listed = body_of(ask("GET", "/v1/admin/tokens", role=Role.ADMIN, app=None))["items"]
    assert body_of(made)["id"] in {item["id"] for item in listed}


# --- read only ---------------------------------------------------------------------------


def test_the_policy_is_told_as_it_was_signed(ask: Ask) -> None:
    body = body_of(ask("GET", f"{APP}/policy"))

    assert body == body_of(ask("GET", f"{APP}/policy?channel=stable"))
    assert (body["channel"], body["version"]) == ("stable", 1)
    assert body["policy"]["schema"] == 1
    assert body["policy"]["ramp"][0]["ring"] == "internal"
    assert ask("GET", f"{APP}/policy?channel=moon").status_code == 400


def test_installs_are_counted_where_they_are(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")
    contact = Contact(
        app="demo",
        install_key=b"k" * 32,
        at=world.clock.now(),
        channel="stable",
        platform="linux-x86_64",
        version="2.0.0",
        action="update",
        reason="in_ring",
        offered="2.1.0",
        rollout=rollout.id,
        ring="internal",
        arm=Arm.INTERNAL,
    )
    with world.database.transaction() as stores:
        stores.telemetry.absorb([contact], [])

    shown = body_of(ask("GET", f"{APP}/rollouts/{rollout.id}"))
    versions = body_of(ask("GET", f"{APP}/versions"))

    assert shown["funnel"]["offered"] == {"candidate": 0, "control": 0, "internal": 1}
    cell = {"ring": "internal", "arm": "internal", "step": "offered", "installs": 1}
    assert cell in shown["cells"]
    assert versions["items"] == [
        {"channel": "stable", "platform": "linux-x86_64", "version": "2.0.0", "installs": 1}
    ]


def test_the_log_tells_who_did_what(ask: Ask) -> None:
    ask("POST", f"{APP}/groups", json={"name": "staff"})

    first = body_of(ask("GET", f"{APP}/audit?limit=1"))
    second = body_of(ask("GET", f"{APP}/audit?limit=1&cursor={first['next_cursor']}"))

    (record,) = first["items"]
    assert (record["action"], record["subject"]) == ("group.add", "staff")
    assert record["actor"].startswith("operator-demo (tok_")
    assert second["items"][0]["hash"] == record["previous_hash"]


def test_the_whole_log_is_ones_own_apps_for_a_token_of_one_app(ask: Ask, world: World) -> None:
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])

    mine = body_of(ask("GET", "/v1/admin/audit"))["items"]
    everything = body_of(ask("GET", "/v1/admin/audit", app=None))["items"]

    assert {item["app"] for item in mine} == {"demo"}
    assert {item["app"] for item in everything} >= {"demo", "other"}


def test_an_install_is_explained_rule_by_rule(ask: Ask, world: World) -> None:
    world.start("2.1.0")
    query = f"install_id={INSTALL.upper()}&platform=linux-x86_64&version=2.0.0&os_version=12"

    body = body_of(ask("GET", f"{APP}/explain?{query}&attribute.edition=pro"))

    assert body["assignment"]["action"] == "stay"
    assert body["assignment"]["reason"] == "outside_ring"
    assert isinstance(body["bucket"], int)
    assert {"rule", "entry", "outcome", "detail", "passes", "document", "checks"} == set(
        body["steps"][0]
    )
    assert body["steps"][-2]["document"]["kind"] == "rollout"
    assert body["steps"][-2]["checks"][-1]["rule"] == "ring"
    assert (body["known"], body["last_report"], body["set_aside"]) == (None, None, [])
    assert body["evidence"]["why_not"] == "never_seen"
    assert INSTALL not in str(body)


def test_an_install_is_explained_as_it_will_be_at_an_instant(ask: Ask, world: World) -> None:
    world.start("2.1.0", ring="all", reason="everybody")
    query = f"{APP}/explain?install_id={INSTALL}&platform=linux-x86_64&version=2.0.0"

    now, later = body_of(ask("GET", query)), body_of(ask("GET", f"{query}&at=2099-01-01T00:00:00Z"))

    assert now["assignment"]["reason"] == "in_ring"
    assert later["assignment"]["reason"] == "stale_server"
    assert later["at"] == "2099-01-01T00:00:00Z"


def test_a_held_install_is_told_the_hold(ask: Ask, world: World) -> None:
    world.start("2.1.0", ring="all", reason="everybody")
    ask("POST", f"{APP}/holds", json=HOLD)
    query = f"install_id={INSTALL}&platform=linux-x86_64&version=2.0.0&os_version=12"

    body = body_of(ask("GET", f"{APP}/explain?{query}"))

    assert body["assignment"]["reason"] == "held"
    assert body["assignment"]["hold"]["title"] == HOLD["title"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "install_id"),
        ("install_id=x", "install_id"),
        (f"install_id={INSTALL}", "platform"),
        (f"install_id={INSTALL}&platform=amiga-m68k", "platform"),
        (f"install_id={INSTALL}&platform=linux-x86_64&channel=moon", "channel"),
        (f"install_id={INSTALL}&platform=linux-x86_64&version=x", "version"),
        (f"install_id={INSTALL}&platform=linux-x86_64&locale=%07", "locale"),
        (f"install_id={INSTALL}&platform=linux-x86_64&at=yesterday", "at"),
        (f"install_id={INSTALL}&platform=linux-x86_64&at=2026-11-22T03:07:00", "at"),
        (f"install_id={INSTALL}&platform=linux-x86_64&at=0001-01-01T00:00:00Z", "at"),
    ],
)
def test_a_bad_question_names_its_field(query: str, field: str, ask: Ask) -> None:
    response = ask("GET", f"{APP}/explain?{query}")

    assert (response.status_code, body_of(response)["field"]) == (400, field)
