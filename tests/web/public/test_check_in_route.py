from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from rollout.model import Audience, Hold
from tests.public_world import (
    HIGH_BUCKET,
    LEASE_SECONDS,
    LOW_BUCKET,
    V2,
    World,
    an_entry,
    empty_world,
)
from update_server.web.public.app import create_app

ROUTE = "/v1/apps/demo/check-in"


def a_body(**fields: Any) -> dict[str, Any]:
    known = {
        "install_id": LOW_BUCKET,
        "version": "2.0.0",
        "channel": "stable",
        "platform": "linux-x86_64",
    }
    return {**known, **fields}


def test_an_install_in_the_ring_is_told_so_in_full(client: FlaskClient) -> None:
    response = client.post(ROUTE, json=a_body())

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    answer = response.json
    assert answer is not None
    assert len(answer.pop("token")) == 58
    assert answer == {
        "assignment": {
            "action": "update",
            "version": "2.1.0",
            "reason": "in_ring",
            "ring": "1%",
            "rollout": "ro_7k2m",
            "bucket": 0,
        },
        "next_check_in_seconds": 3600,
        "metadata": {"timestamp_version": 0},
        "project": 1,
        "flags": {},
    }


def test_who_stays_is_told_no_version(client: FlaskClient) -> None:
    answer = client.post(ROUTE, json=a_body(install_id=HIGH_BUCKET)).json

    assert answer is not None
    assert answer["assignment"]["action"] == "stay"
    assert answer["assignment"]["version"] is None


def test_a_full_check_in_is_understood(client: FlaskClient, world: World) -> None:
    state = {
        "phase": "staged",
        "staged_version": "2.1.0",
        "failed_versions": ["2.1.0"],
        "timestamp_version": 41,
        "snapshot_sha256": "a" * 64,
    }
    body = a_body(
        agent="serinus/0.1.0",
        attributes={"os_version": "12", "locale": "de-DE"},
        enrolments=["enr_x"],
        self_selected=True,
        telemetry="health",
        state=state,
        later_field={"deep": [1]},
    )

    answer = client.post(ROUTE, json=body).json

    assert answer is not None
    assert answer["assignment"]["reason"] == "throttled"
    contact = world.contacts[0]
    assert (contact.timestamp_version, contact.snapshot_sha256) == (41, "a" * 64)
    assert (contact.self_selected, contact.telemetry) == (True, "health")


def test_nothing_installed_yet_is_a_legal_version(client: FlaskClient) -> None:
    answer = client.post(ROUTE, json=a_body(version=None)).json

    assert answer is not None
    assert answer["assignment"]["action"] == "update"


def test_the_semver_spelling_is_the_same_version(client: FlaskClient, world: World) -> None:
    client.post(ROUTE, json=a_body(version="2.0.0-beta.1"))

    assert world.contacts[0].version == "2.0.0b1"


def test_an_install_id_is_the_same_in_capitals(client: FlaskClient, world: World) -> None:
    first = client.post(ROUTE, json=a_body(install_id=LOW_BUCKET.upper()))
    second = client.post(ROUTE, json=a_body())

    assert first.data == second.data
    assert world.contacts[0] == world.contacts[1]


@pytest.mark.parametrize("version", ["1", "3", "4", "7"])
def test_an_install_id_may_be_a_uuid_of_any_version(client: FlaskClient, version: str) -> None:
    install_id = f"00000000-0000-{version}000-8000-000000000000"

    assert client.post(ROUTE, json=a_body(install_id=install_id)).status_code == 200


def test_a_held_install_is_told_why(client: FlaskClient, world: World) -> None:
    hold = Hold(id="h1", title="Driver", link="https://status.example.org/h1", audience=Audience())
    world.put_rollout(an_entry(holds=(hold,)))
    world.refresh()

    answer = client.post(ROUTE, json=a_body()).json

    assert answer is not None
    assert answer["assignment"]["reason"] == "held"
    assert answer["assignment"]["hold"] == {"title": "Driver", "link": hold.link}


def test_an_install_that_is_not_eligible_is_told_why(client: FlaskClient, world: World) -> None:
    world.put_policy(revoked=frozenset({V2}))
    world.refresh()

    answer = client.post(ROUTE, json=a_body()).json

    assert answer is not None
    assert answer["assignment"]["reason"] == "not_eligible"
    assert answer["assignment"]["detail"] == "revoked"


def test_past_the_lease_the_answer_is_stay(client: FlaskClient, world: World) -> None:
    world.database.is_down = True
    world.advance(LEASE_SECONDS)

    response = client.post(ROUTE, json=a_body())

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["assignment"]["reason"] == "stale_server"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"install_id": "not-a-uuid"}, "install_id"),
        ({"install_id": "0" * 36}, "install_id"),
        ({"install_id": 7}, "install_id"),
        ({"version": "two"}, "version"),
        ({"version": "1!2.0"}, "version"),
        ({"version": "1." + "0" * 64}, "version"),
        ({"version": 2}, "version"),
        ({"channel": 1}, "channel"),
        ({"channel": ""}, "channel"),
        ({"platform": "x" * 65}, "platform"),
        ({"platform": "a\x00b"}, "platform"),
        ({"attributes": {"os_version": 12}}, "attributes[...]"),
        ({"attributes": {"k" * 65: "v"}}, "attributes"),
        ({"attributes": {str(n): "v" for n in range(33)}}, "attributes"),
        ({"enrolments": ["x"] * 17}, "enrolments"),
        ({"self_selected": "yes"}, "self_selected"),
        ({"telemetry": "all"}, "telemetry"),
        ({"state": {"phase": "asleep"}}, "state.phase"),
        ({"state": {"staged_version": "two"}}, "state.staged_version"),
        ({"state": {"failed_versions": ["2.0.0", "two"]}}, "state.failed_versions[1]"),
        ({"state": {"failed_versions": ["1.0"] * 65}}, "state.failed_versions"),
        ({"state": {"timestamp_version": -1}}, "state.timestamp_version"),
        ({"state": {"snapshot_sha256": "A" * 64}}, "state.snapshot_sha256"),
    ],
)
def test_a_bad_field_is_named(client: FlaskClient, fields: dict[str, Any], field: str) -> None:
    response = client.post(ROUTE, json=a_body(**fields))

    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["type"] == "about:blank#bad_field"
    assert response.json["field"] == field


@pytest.mark.parametrize("name", ["install_id", "version", "channel", "platform"])
def test_a_missing_field_is_named(client: FlaskClient, name: str) -> None:
    body = a_body()
    del body[name]

    response = client.post(ROUTE, json=body)

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["field"] == name


@pytest.mark.parametrize(
    ("route", "fields", "status", "code"),
    [
        ("/v1/apps/nope/check-in", {}, 404, "unknown_app"),
        (ROUTE, {"channel": "beta"}, 422, "unknown_channel"),
        (ROUTE, {"platform": "macos-arm64"}, 422, "unknown_platform"),
    ],
)
def test_what_is_not_known_here_has_its_own_code(
    client: FlaskClient, route: str, fields: dict[str, Any], status: int, code: str
) -> None:
    response = client.post(route, json=a_body(**fields))

    assert response.status_code == status
    assert response.json is not None
    assert response.json["type"] == f"about:blank#{code}"


def test_what_is_no_json_is_malformed(client: FlaskClient) -> None:
    response = client.post(ROUTE, data=b"{")

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["type"] == "about:blank#malformed"


def test_over_a_mebibyte_is_too_large(client: FlaskClient) -> None:
    response = client.post(ROUTE, data=b" " * (1024 * 1024 + 1))

    assert response.status_code == 413
    assert response.json is not None
    assert response.json["type"] == "about:blank#too_large"


def test_a_process_that_has_read_nothing_says_when_to_try_again() -> None:
    client = create_app(empty_world().services).test_client()

    response = client.post(ROUTE, json=a_body())

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"


def test_only_post_asks_what_to_run(client: FlaskClient) -> None:
    response = client.get(ROUTE)

    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
