"""``/v1/admin/operators``: people who sign in, and what an admin does about them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.config_dashboard import Dashboard
from update_server.service.ports import Role
from update_server.web.admin.app import create_app

OPERATORS = "/v1/admin/operators"
ANA = {"name": "ana", "role": "operator", "app": "demo"}


def body_of(response: Any, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json
    return body


def test_an_operator_is_added_with_a_link_that_is_told_once(ask: Ask) -> None:
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)

    assert made["link"].startswith("/set-password/")
    assert (made["name"], made["role"], made["has_password"]) == ("ana", "operator", False)
    listed = body_of(ask("GET", OPERATORS, role=Role.ADMIN))["items"]
    assert listed == [{name: value for name, value in made.items() if name != "link"}]


def test_a_link_is_whole_where_it_was_told_how_the_pages_are_reached(world: World) -> None:
    world.dashboard = Dashboard(url="https://serinus.example")
    client = create_app(world.services()).test_client()
    headers = {"Authorization": f"Bearer {world.caller(Role.ADMIN).secret}"}

    made = client.post(OPERATORS, json=ANA, headers=headers).json

    assert made is not None
    assert made["link"].startswith("https://serinus.example/set-password/")


def test_a_first_password_must_be_changed_and_needs_no_link(ask: Ask) -> None:
    request = {**ANA, "password": "given by somebody"}

    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=request), 201)

    assert (made["link"], made["must_change_password"]) == (None, True)
    assert "given by" not in str(made)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " ana"}, "name"),
        ({"name": "a\u202en"}, "name"),
        ({"name": "<script>"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"role": "king"}, "role"),
        ({"identity": "an a@example.org"}, "identity"),
        ({"identity": "ä@example.org"}, "identity"),
        ({"password": "short"}, "password"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "password"),
        ({"password": "anaanaanaana"}, "password"),
        ({"password": "é" * 600 + "abcdef"}, "password"),
    ],
)
def test_some_operators_cannot_be(ask: Ask, change: dict[str, str], field: str) -> None:
    response = ask("POST", OPERATORS, role=Role.ADMIN, json=ANA | change)

    assert response.status_code in {400, 422}
    assert (response.json or {})["field"] == field


@pytest.mark.parametrize("name", ["ana", "ANA", "Ana"])
def test_two_cannot_have_one_name(ask: Ask, name: str) -> None:
    body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)

    again = ask("POST", OPERATORS, role=Role.ADMIN, json=ANA | {"name": name})

    assert body_of(again, 409)["type"] == "about:blank#exists"


def test_a_role_is_changed_and_an_operator_removed(ask: Ask) -> None:
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)
    path = f"{OPERATORS}/{made['id']}"

    changed = body_of(ask("PATCH", path, role=Role.ADMIN, json={"role": "viewer"}))
    removed = ask("DELETE", path, role=Role.ADMIN)

    assert changed["role"] == "viewer"
    assert removed.status_code == 204
    assert body_of(ask("GET", OPERATORS, role=Role.ADMIN))["items"] == []
    assert body_of(ask("DELETE", path, role=Role.ADMIN), 404)["hint"] == "serinus operator list"
    body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)  # the name is free again


def test_a_new_link_takes_the_password_away(ask: Ask) -> None:
    given = ANA | {"password": "given by somebody"}
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=given), 201)

    new = body_of(ask("POST", f"{OPERATORS}/{made['id']}/link", role=Role.ADMIN), 201)

    assert new["link"].startswith("/set-password/")
    assert new["has_password"] is False


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PUBLISHER, Role.OPERATOR])
def test_only_admins_see_and_change_operators(ask: Ask, role: Role) -> None:
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)
    path = f"{OPERATORS}/{made['id']}"

    for response in (
        ask("GET", OPERATORS, role=role),
        ask("POST", OPERATORS, role=role, json=ANA | {"name": "ben"}),
        ask("PATCH", path, role=role, json={"role": "admin"}),
        ask("POST", f"{path}/link", role=role),
        ask("DELETE", path, role=role),
    ):
        assert response.status_code == 403


def test_an_admin_of_one_app_reaches_nobody_elses(ask: Ask) -> None:
    of_all = ANA | {"app": None}
    assert ask("POST", OPERATORS, role=Role.ADMIN, json=of_all).status_code == 403
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, app=None, json=of_all), 201)
    path = f"{OPERATORS}/{made['id']}"

    assert body_of(ask("GET", OPERATORS, role=Role.ADMIN))["items"] == []
    for response in (
        ask("PATCH", path, role=Role.ADMIN, json={"role": "viewer"}),
        ask("POST", f"{path}/link", role=Role.ADMIN),
        ask("DELETE", path, role=Role.ADMIN),
    ):
        assert response.status_code == 404
    assert ask("DELETE", path, role=Role.ADMIN, app=None).status_code == 204


def test_a_replay_tells_all_but_the_link(ask: Ask) -> None:
    headers = {"Idempotency-Key": "one"}
    first = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA, headers=headers), 201)

    again = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA, headers=headers), 201)

    assert again == {**first, "link": None}


def test_what_is_remembered_of_a_request_tells_nothing_of_its_password(
    ask: Ask, world: World
) -> None:
    def remembered(password: str) -> str:
        request = {**ANA, "name": f"ana {len(password)}", "password": password}
        world.database._state.answers.clear()
        ask("POST", OPERATORS, role=Role.ADMIN, json=request, headers={"Idempotency-Key": "one"})
        [(answer, _)] = world.database._state.answers.values()
        return str(answer)

    one, other = "given by somebody", "given by whomever"

    # Whoever reads the database could try words against a quick hash.
    assert len(one) == len(other)
    first = re.search(r'"digest":"(\w+)"', remembered(one))
    assert first is not None
    made = world.services().operators.all(None)[0]
    world.services().operators.remove(world.caller(Role.ADMIN), made.id)
    assert first[0] in remembered(other)
    assert first[0] not in remembered("another name")


def test_what_an_admin_does_is_in_the_audit_log_without_secrets(ask: Ask, world: World) -> None:
    made = body_of(ask("POST", OPERATORS, role=Role.ADMIN, json=ANA), 201)
    path = f"{OPERATORS}/{made['id']}"
    ask("PATCH", path, role=Role.ADMIN, json={"role": "viewer"})
    link = body_of(ask("POST", f"{path}/link", role=Role.ADMIN), 201)["link"]
    ask("DELETE", path, role=Role.ADMIN)

    with world.database.reading() as stores:
        found = stores.audit.page(app=None, before_seq=None, limit=50)

    mine = [each for each in found if each.subject == made["id"]]
    told = [each.action.removeprefix("operator.") for each in reversed(mine)]
    assert told == ["add", "role", "link", "remove"]
    assert mine[2].before == {"name": "ana", "role": "operator"}
    for secret in (made["link"], link):
        assert secret.rpartition("/")[2] not in str(found)
