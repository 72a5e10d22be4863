"""A verb that waits for a second person, over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rollout.model import Approvals, Step
from tests.admin_world import World, a_registered_world
from update_server.service.ports import Role
from update_server.web.admin.app import create_app
from update_server.web.admin.openapi import PendingOut, WaitsOut, document

APP = "/v1/admin/apps/demo"
RAMP = (
    Step(ring="1%", exposure_bp=100),
    Step(ring="all", exposure_bp=10_000, approvals=2),
)

LADDER = [{"ring": "all", "exposure_bp": 5_000}]


class Asking(Protocol):
    """Send a request as somebody of this name."""

    def __call__(self, who: str, method: str, path: str, **more: Any) -> TestResponse: ...


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = a_registered_world(tmp_path / "signer", ramp=RAMP, approvals=Approvals(outside_ramp=2))
    world.publish("2.0.0")
    return world


@pytest.fixture
def ask(world: World) -> Asking:
    client = create_app(world.services()).test_client()

    def send(who: str, method: str, path: str, **more: Any) -> TestResponse:
        role = Role.VIEWER if who == "viewer" else Role.OPERATOR
        headers = {
            "Authorization": f"Bearer {world.person(who, role).secret}",
            **more.pop("headers", {}),
        }
        return client.open(f"{APP}{path}", method=method, headers=headers, **more)

    return send


@pytest.fixture
def path(world: World) -> str:
    """The path of a rollout whose next step two people have to open."""
    return f"/rollouts/{world.start('2.0.0').id}"


def body_of(response: TestResponse) -> dict[str, Any]:
    body: dict[str, Any] = response.json or {}
    return body


def test_the_first_one_is_told_what_is_waited_for(ask: Asking, path: str, world: World) -> None:
    response = ask("ann", "POST", f"{path}/promote", json={"reason": "fine"})

    assert response.status_code == 202
    assert response.headers["Cache-Control"] == "no-store"
    body = body_of(response)
    name = f"ann ({world.person('ann').token_id})"
    pending = body["pending"]
    assert "2.0.0: promoted to all" in body["why"]
    assert {key: pending[key] for key in ("verb", "ring", "version", "channel", "reason")} == {
        "verb": "promote",
        "ring": "all",
        "version": "2.0.0",
        "channel": "stable",
        "reason": "fine",
    }
    assert (pending["rollout"], pending["asked_by"], pending["people"]) == (
        path.removeprefix("/rollouts/"),
        name,
        [name],
    )
    assert (pending["needs"], pending["has"]) == (2, 1)
    until = datetime.fromisoformat(pending["expires_at"])
    assert until - datetime.fromisoformat(pending["asked_at"]) == timedelta(minutes=60)
    assert set(pending) == set(PendingOut.__struct_fields__)
    assert set(body) == set(WaitsOut.__struct_fields__)


def test_the_second_one_has_it_done(ask: Asking, path: str) -> None:
    ask("ann", "POST", f"{path}/promote")

    again = ask("ann", "POST", f"{path}/promote")
    done = ask("ben", "POST", f"{path}/promote")

    assert (again.status_code, done.status_code) == (202, 200)
    assert body_of(done)["state"] == "completed"


def test_what_waits_is_seen_by_everybody_and_tells_no_ticket(ask: Asking, path: str) -> None:
    pending = body_of(ask("ann", "POST", f"{path}/promote"))["pending"]

    response = ask("viewer", "GET", "/pending")

    assert body_of(response) == {"items": [pending], "next_cursor": None}
    assert b"srt_" not in response.data
    assert b"srn_" not in response.data


def test_what_waits_is_told_with_its_rollout_and_with_that_of_all_apps(
    ask: Asking, path: str, client: FlaskClient, world: World
) -> None:
    pending = body_of(ask("ann", "POST", f"{path}/promote"))["pending"]

    def told(app: str | None) -> list[Any]:
        secret = world.person(f"of {app}", Role.VIEWER, app).secret
        headers = {"Authorization": f"Bearer {secret}"}
        return list(body_of(client.get("/v1/admin/pending", headers=headers))["items"])

    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])
    assert body_of(ask("viewer", "GET", path))["pending"] == [pending]
    assert told(None) == told("demo") == [pending]
    assert told("other") == []


def test_what_waits_is_withdrawn_by_an_operator(ask: Asking, path: str) -> None:
    pending = body_of(ask("ann", "POST", f"{path}/promote"))["pending"]
    one = f"/pending/{pending['id']}"

    by_a_viewer = ask("viewer", "DELETE", one)
    withdrawn = ask("ben", "DELETE", one)
    again = ask("ben", "DELETE", one)

    assert (by_a_viewer.status_code, withdrawn.status_code) == (403, 204)
    assert again.status_code == 404
    assert body_of(again)["type"] == "about:blank#unknown_pending_verb"
    assert body_of(again)["hint"] == "serinus rollout pending"
    assert body_of(ask("viewer", "GET", "/pending"))["items"] == []


def test_a_start_waits_too(ask: Asking, world: World) -> None:
    wanted = {"version": "2.0.0", "channel": "stable", "start_ring": "all", "reason": "first"}

    first = ask("ann", "POST", "/rollouts", json=wanted)
    other = ask("ben", "POST", "/rollouts", json={**wanted, "ladder": LADDER})
    second = ask("ben", "POST", "/rollouts", json=wanted)

    assert (first.status_code, other.status_code, second.status_code) == (202, 202, 201)
    assert body_of(second)["id"] == body_of(first)["pending"]["rollout"]
    assert world.services().report.rollouts("demo")[0].rollout.id == body_of(second)["id"]


def test_lifting_a_hold_waits_too(ask: Asking, path: str) -> None:
    assert path
    hold = {
        "channel": "stable",
        "title": "Driver",
        "link": "https://status.example.org/h1",
        "audience": {"country": ["AT"]},
    }
    one = f"/holds/{body_of(ask('ann', 'POST', '/holds', json=hold))['id']}"

    first = ask("ann", "DELETE", one)
    second = ask("ben", "DELETE", one)

    assert (first.status_code, second.status_code) == (202, 204)
    assert f"/holds/{body_of(first)['pending']['hold']}" == one
    assert body_of(ask("viewer", "GET", "/holds"))["items"] == []


def test_an_ask_is_answered_anew_whatever_its_key(ask: Asking, path: str) -> None:
    key = {"Idempotency-Key": "k"}
    ask("ann", "POST", f"{path}/promote", headers=key)
    ask("ben", "POST", f"{path}/promote", headers=key)

    again = ask("ann", "POST", f"{path}/promote", headers=key)

    assert again.status_code == 409  # it is at its last step, and no ask waits


def test_a_revision_that_was_not_seen_is_no_ask(ask: Asking, path: str) -> None:
    stale = ask("ann", "POST", f"{path}/promote", headers={"If-Match": '"7"'})

    assert stale.status_code == 412
    assert body_of(ask("viewer", "GET", "/pending"))["items"] == []


def test_the_description_says_which_verbs_may_wait() -> None:
    waiting = {
        path.rpartition("/")[2]
        for path, methods in document()["paths"].items()
        for method in ("post", "delete")
        if "202" in methods.get(method, {}).get("responses", {})
    }

    assert waiting == {"rollouts", "promote", "resume", "{hold}"}
