from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.public_world import HIGH_BUCKET, LOW_BUCKET, World
from update_server.service.agents.forget import FORGET_KIND


def test_a_code_is_traded_for_a_credential(client: FlaskClient, world: World) -> None:
    world.put_code("enrol_1")

    response = client.post(
        "/v1/apps/demo/enrol", json={"install_id": HIGH_BUCKET, "code": "enrol_1"}
    )

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json is not None
    assert response.json["group"] == "staff"
    assert response.json["credential"].startswith("enr_")


def test_a_bad_code_is_refused(client: FlaskClient) -> None:
    response = client.post("/v1/apps/demo/enrol", json={"install_id": HIGH_BUCKET, "code": "x"})

    assert response.status_code == 403
    assert response.json is not None
    assert response.json["type"] == "about:blank#bad_code"


def test_enrolling_needs_the_database_and_says_so(client: FlaskClient, world: World) -> None:
    world.database.is_down = True

    response = client.post("/v1/apps/demo/enrol", json={"install_id": HIGH_BUCKET, "code": "x"})

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"


def test_a_wish_to_be_forgotten_is_noted(client: FlaskClient, world: World) -> None:
    body = {"install_id": LOW_BUCKET, "token": world.check_in().token}

    response = client.post("/v1/apps/demo/forget", json=body)

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert [event.kind for event in world.taken] == [FORGET_KIND]


def test_another_installs_token_forgets_nobody(client: FlaskClient, world: World) -> None:
    body = {"install_id": LOW_BUCKET, "token": world.check_in(HIGH_BUCKET).token}

    assert client.post("/v1/apps/demo/forget", json=body).status_code == 403
    assert world.taken == []


@pytest.mark.parametrize("route", ["enrol", "forget"])
@pytest.mark.parametrize("body", [{}, {"install_id": "x", "code": "x", "token": "x"}])
def test_a_bad_field_is_named(client: FlaskClient, route: str, body: dict[str, Any]) -> None:
    response = client.post(f"/v1/apps/demo/{route}", json=body)

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["field"] == "install_id"


@pytest.mark.parametrize("route", ["enrol", "forget"])
def test_over_a_mebibyte_is_too_large(client: FlaskClient, route: str) -> None:
    response = client.post(f"/v1/apps/demo/{route}", data=b" " * (1024 * 1024 + 1))

    assert response.status_code == 413
