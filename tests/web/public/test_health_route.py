from __future__ import annotations

from flask.testing import FlaskClient

from tests.public_world import LEASE_SECONDS, World, empty_world
from update_server.web.public.app import create_app


def test_a_process_that_lives_says_so(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"alive": True}


def test_a_process_with_fresh_tables_is_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json == {"ready": True, "degraded": []}


def test_a_process_that_has_read_nothing_is_not_ready() -> None:
    response = create_app(empty_world().services).test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json is not None
    assert response.json["ready"] is False
    assert response.json["degraded"][0]["code"] == "not_ready"


def test_past_the_lease_it_is_ready_and_says_what_is_worse(
    client: FlaskClient, world: World
) -> None:
    world.advance(LEASE_SECONDS + 5)

    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["degraded"] == [
        {
            "code": "stale",
            "app": "demo",
            "age_seconds": 7,
            "detail": "not confirmed within the lease: nothing is offered",
        }
    ]


def test_dropped_contacts_are_counted(client: FlaskClient, world: World) -> None:
    world.spool.dropped_contacts = 3

    response = client.get("/readyz")

    assert response.json is not None
    assert response.json["degraded"][0]["code"] == "contacts_dropped"
    assert response.json["degraded"][0]["count"] == 3
