"""Pages of lists, and requests that are sent again."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role

APP = "/v1/admin/apps/demo"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


# --- pages -------------------------------------------------------------------------------


def test_a_list_is_told_page_by_page(ask: Ask) -> None:
    names = [f"g{number}" for number in range(5)]
    for name in names:
        ask("POST", f"{APP}/groups", json={"name": name})
    found: list[str] = []
    query = "?limit=2"

    while query:
        page = body_of(ask("GET", f"{APP}/groups{query}"))
        assert len(page["items"]) <= 2
        found += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        query = f"?limit=2&cursor={cursor}" if cursor else ""

    assert found == names


def test_a_page_is_never_larger_than_the_most(ask: Ask) -> None:
    assert ask("GET", f"{APP}/groups?limit=999999999").status_code == 200
    assert body_of(ask("GET", f"{APP}/groups?cursor=99")) == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=%C2%B2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=" + "9" * 30, "cursor"),
    ],
)
def test_a_bad_page_names_its_field(query: str, field: str, ask: Ask) -> None:
    response = ask("GET", f"{APP}/groups?{query}")

    assert (response.status_code, body_of(response)["field"]) == (400, field)


# --- again -------------------------------------------------------------------------------


def start(ask: Ask, key: str, **changes: object) -> TestResponse:
    body = {"version": "2.1.0", "channel": "stable", **changes}
    return ask("POST", f"{APP}/rollouts", headers={"Idempotency-Key": key}, json=body)


def test_the_same_request_again_is_answered_the_same(ask: Ask, world: World) -> None:
    first = start(ask, "monday")

    again = start(ask, "monday")

    assert (again.status_code, again.headers["ETag"]) == (201, '"1"')
    assert again.json == first.json
    with world.database.reading() as stores:
        assert len(stores.rollouts.of_app("demo")) == 2  # 2.0.0, and this one


def test_another_key_is_another_request(ask: Ask) -> None:
    start(ask, "monday")

    assert start(ask, "tuesday").status_code == 409


def test_a_key_with_another_body_is_refused(ask: Ask) -> None:
    start(ask, "monday")

    response = start(ask, "monday", reason="changed my mind")

    assert response.status_code == 422
    assert body_of(response)["type"] == "about:blank#idempotency_key_reused"


def test_a_key_is_the_callers_own(ask: Ask) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"name": "staff"}

    first = ask("POST", f"{APP}/groups", headers=headers, json=body)
    other = ask("POST", f"{APP}/groups", role=Role.ADMIN, headers=headers, json=body)

    assert (first.status_code, other.status_code) == (201, 200)


def test_a_failure_is_not_remembered(ask: Ask, world: World) -> None:
    assert start(ask, "monday", version="2.2.0").status_code == 422
    world.publish("2.2.0")

    assert start(ask, "monday", version="2.2.0").status_code == 201


def test_a_secret_is_told_once_and_remembered_nowhere(ask: Ask, world: World) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"name": "ci", "role": "viewer", "app": "demo"}

    first = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, headers=headers, json=body)
    again = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, headers=headers, json=body)

    secret = body_of(first)["token"]
    assert body_of(again)["token"] is None
    assert body_of(again)["id"] == body_of(first)["id"]
    stored = world.database._state.answers
    assert not any(secret.encode() in answer for answer, _ in stored.values())


@pytest.mark.parametrize("key", ["", "x" * 201, "\x7f"])
def test_a_bad_key_names_itself(key: str, ask: Ask) -> None:
    response = start(ask, key)

    assert (response.status_code, body_of(response)["field"]) == (400, "Idempotency-Key")
