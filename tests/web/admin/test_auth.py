from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from tests.admin_world import World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.web.admin.app import create_app
from update_server.web.admin.openapi import OPERATIONS, Operation

NAMES = {
    "app": "demo",
    "sha256": "a" * 64,
    "version": "2.0.0",
    "rollout": "ro_none",
    "hold": "h_none",
    "group": "staff",
    "code": "en_none",
    "token": "tok_none",
    "pending": "pd_none",
    "waiver": "wv_none",
    "operator": "op_none",
    "signature": "a",
}
BODY: dict[str, object] = {
    "app": "demo",
    "channels": ["stable"],
    "platforms": ["linux-x86_64"],
    "metadata": {"root": "{}"},
    "version": "9.9.9",
    "channel": "stable",
    "title": "t",
    "link": "https://status.example.org/",
    "audience": {},
    "name": "a",
    "group": "nobody",
    "role": "viewer",
    "signature": "a" * 16,
    "expires_at": "2026-11-23T00:00:00Z",
    "reason": "known",
}


def path_of(operation: Operation, **names: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: {**NAMES, **names}[match[1]], operation.path)


def status_of(ask: Ask, operation: Operation, role: Role, of: str | None, **names: str) -> int:
    """Return what a token of *role* for the app *of* (None: all) is answered."""
    headers = {"Upload-Offset": "0", "Upload-Length": "0"}
    body = {"json": BODY} if operation.method == "post" else {}
    path = path_of(operation, **names)
    response = ask(operation.method.upper(), path, role=role, app=of, headers=headers, **body)
    return response.status_code


OF_ONE_APP = [operation for operation in OPERATIONS if "{app}" in operation.path]


def test_without_a_token_nothing_is_told(client: FlaskClient) -> None:
    for operation in OPERATIONS:
        response = client.open(path_of(operation), method=operation.method.upper(), json=BODY)

        assert response.status_code == 401, operation
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="serinus"'


@pytest.mark.parametrize("role", Role)
def test_each_call_needs_its_role(role: Role, ask: Ask) -> None:
    roles = list(Role)

    for operation in OPERATIONS:
        refused = status_of(ask, operation, role, "demo") == 403
        assert refused == (roles.index(role) < roles.index(operation.role)), operation


@pytest.mark.parametrize("app", ["other", "ghost"])
def test_a_token_of_one_app_cannot_touch_another(app: str, world: World, ask: Ask) -> None:
    admin = world.caller(Role.ADMIN, None)
    world.services().apps.add(admin, "other", ["stable"], ["linux-x86_64"])

    for operation in OF_ONE_APP:
        # The same answer, whether the other app exists or not.
        assert status_of(ask, operation, Role.ADMIN, "demo", app=app) == 403, operation


def test_a_token_of_all_apps_is_told_of_a_missing_one(ask: Ask) -> None:
    for operation in OF_ONE_APP:
        assert status_of(ask, operation, Role.ADMIN, None, app="ghost") == 404, operation


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic abc", "srn_x", "Bearer srn_x", "Bearer " + "x" * 5_000],
)
def test_a_strange_header_is_no_token(header: str, client: FlaskClient) -> None:
    response = client.get("/v1/admin/apps", headers={"Authorization": header})

    assert response.status_code == 401
    assert response.json is not None
    assert response.json["type"] == "about:blank#unauthorized"


def test_a_token_is_taken_whatever_the_case_of_its_scheme(
    world: World, client: FlaskClient
) -> None:
    secret = world.caller().secret

    response = client.get("/v1/admin/apps", headers={"Authorization": f"bearer  {secret} "})

    assert response.status_code == 200


def test_an_expired_token_is_refused(world: World, client: FlaskClient) -> None:
    tokens = world.services().tokens
    _, secret = tokens.issue(world.caller(Role.ADMIN), "short", Role.ADMIN, "demo", 60)
    world.clock.advance(timedelta(seconds=61))

    response = client.get("/v1/admin/apps", headers={"Authorization": f"Bearer {secret}"})

    assert response.status_code == 401


def test_authenticating_writes_nothing(world: World) -> None:
    secret = world.caller(Role.VIEWER).secret
    client = create_app(world.services()).test_client()
    before = world.database._state

    assert client.get("/v1/admin/apps", headers={"Authorization": f"Bearer {secret}"}).json

    assert world.database._state is before


def test_an_app_is_not_taken_in_by_another_apps_admin(ask: Ask) -> None:
    body = {"app": "mine", "channels": ["stable"], "platforms": ["linux-x86_64"]}

    assert ask("POST", "/v1/admin/apps", role=Role.ADMIN, json=body).status_code == 403
    assert ask("POST", "/v1/admin/apps", role=Role.ADMIN, app=None, json=body).status_code == 201


@pytest.mark.parametrize("app", ["other", None])
def test_a_token_for_elsewhere_is_not_made_by_an_apps_admin(app: str | None, ask: Ask) -> None:
    body = {"name": "x", "role": "viewer", "app": app}

    response = ask("POST", "/v1/admin/tokens", role=Role.ADMIN, json=body)

    assert response.status_code == 403
