from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.public_world import HIGH_BUCKET, LOW_BUCKET, NOW, World

ROUTE = "/v1/apps/demo/events"
ID = "0b7f6c1e-0000-4000-8000-00000000000A"


def a_session(**fields: Any) -> dict[str, Any]:
    known = {
        "id": ID,
        "at": "2026-11-22T03:07:00Z",
        "kind": "session",
        "version": "2.1.0",
        "sid": "s1",
        "status": "exited",
        "started": "2026-11-22T03:00:00Z",
        "duration_seconds": 312,
    }
    return {**known, **fields}


def a_crash(**fields: Any) -> dict[str, Any]:
    known = {
        "id": ID,
        "at": "2026-11-22T03:07:00Z",
        "kind": "crash",
        "version": "2.1.0",
        "sid": "s1",
        "exception": {"type": "ValueError", "message": "mail to ann@example.org"},
        "frames": [
            {
                "module": "app.main",
                "function": "run",
                "file": "/home/ann/app/main.py",
                "line": 10,
                "in_app": True,
                "locals": {"password": "hunter2"},
            }
        ],
    }
    return {**known, **fields}


def an_update(**fields: Any) -> dict[str, Any]:
    known = {
        "id": ID,
        "at": "2026-11-22T03:07:00Z",
        "kind": "update",
        "from": "2.0.0",
        "to": "2.1.0",
        "phase": "applied",
    }
    return {**known, **fields}


def a_metric(**fields: Any) -> dict[str, Any]:
    known = {
        "id": ID,
        "at": "2026-11-22T03:07:00Z",
        "kind": "metric",
        "version": "2.1.0",
        "name": "startup_ms",
        "value": 812.0,
    }
    return {**known, **fields}


def a_body(world: World, *events: Any, **fields: Any) -> dict[str, Any]:
    known = {"install_id": LOW_BUCKET, "token": world.check_in().token, "events": list(events)}
    return {**known, **fields}


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


def test_every_kind_is_taken_in(client: FlaskClient, world: World) -> None:
    body = a_body(world, a_session(), a_crash(), an_update(), a_metric())

    response = client.post(ROUTE, json=body)

    assert response.status_code == 202
    assert response.json == {"accepted": 4, "rejected": []}
    assert [event.kind for event in world.taken] == ["session", "crash", "update", "metric"]


def test_what_is_kept_of_each_kind_is_listed_and_nothing_else(
    client: FlaskClient, world: World
) -> None:
    failed = an_update(
        phase="failed",
        error={"category": "disk", "code": "no_space", "path": "/home/ann"},
        downloaded_bytes=1048576,
        delta=True,
        duration_seconds=9,
        hostname="ann-laptop",
    )

    client.post(
        ROUTE, json=a_body(world, a_session(argv=["--token=x"]), a_crash(), failed, a_metric())
    )

    session, crash, update, metric = (event.body for event in world.taken)
    assert session == {
        "sid": "s1",
        "status": "exited",
        "started": "2026-11-22T03:00:00Z",
        "duration_seconds": 312,
    }
    assert crash == {
        "sid": "s1",
        "exception": {"type": "ValueError"},
        "frames": [
            {
                "module": "app.main",
                "function": "run",
                "file": "main.py",
                "line": 10,
                "in_app": True,
            }
        ],
    }
    assert update == {
        "from": "2.0.0",
        "error": {"category": "disk", "code": "no_space"},
        "downloaded_bytes": 1048576,
        "delta": True,
        "duration_seconds": 9,
    }
    assert metric == {"name": "startup_ms", "value": 812.0}


def test_no_secret_of_a_machine_reaches_the_spool(client: FlaskClient, world: World) -> None:
    client.post(ROUTE, json=a_body(world, a_crash(server_name="ann-laptop")))

    spooled = repr(world.taken)
    for secret in ("ann-laptop", "/home", "hunter2", "example.org", LOW_BUCKET):
        assert secret not in spooled


def test_a_windows_path_is_cut_too(client: FlaskClient, world: World) -> None:
    frame = {"file": r"C:\Users\ann\main.py", "function": "f\x00g", "line": -1, "module": ""}
    client.post(ROUTE, json=a_body(world, a_crash(frames=[frame], exception=None)))

    assert world.taken[0].body == {"sid": "s1", "frames": [{"file": "main.py", "function": "fg"}]}


@pytest.mark.parametrize(
    ("module", "kept"),
    [
        ("/home/ann/app/lib/libnotes.so", "libnotes.so"),
        (r" C:\Users\ann\notes.dll", "notes.dll"),
        ("file:///home/ann/notes.js", "notes.js"),
        ("~/notes", "notes"),
        (r"\\ann-laptop\share\notes.dll", "notes.dll"),
        ("example.org/notes/store", "example.org/notes/store"),
        ("notes.store", "notes.store"),
    ],
)
def test_a_module_that_is_a_path_is_cut_too(
    client: FlaskClient, world: World, module: str, kept: str
) -> None:
    frames = [{"function": "f", "module": module}]
    client.post(ROUTE, json=a_body(world, a_crash(frames=frames)))

    assert world.taken[0].body["frames"] == [{"module": kept, "function": "f"}]


def test_a_crash_is_cut_but_never_lost_for_its_size(client: FlaskClient, world: World) -> None:
    frames = [{"function": "f"}] * 300
    exception = {"type": "E" * 1_000}

    response = client.post(ROUTE, json=a_body(world, a_crash(frames=frames, exception=exception)))

    assert response.json == {"accepted": 1, "rejected": []}
    body = world.taken[0].body
    assert len(body["frames"]) == 64
    assert body["exception"] == {"type": "E" * 256}


def test_the_version_of_an_update_is_the_one_it_leads_to(client: FlaskClient, world: World) -> None:
    client.post(ROUTE, json=a_body(world, an_update(**{"from": None, "to": "2.1.0-rc.1"})))

    assert world.taken[0].version == "2.1.0rc1"
    assert world.taken[0].body == {}


def test_an_events_id_is_the_same_in_capitals(client: FlaskClient, world: World) -> None:
    client.post(ROUTE, json=a_body(world, a_session()))

    assert world.taken[0].id == ID.lower()


def test_the_source_of_an_event_beats_that_of_its_request(
    client: FlaskClient, world: World
) -> None:
    body = a_body(world, a_session(source="launch", cause="reboot"), a_metric(), source="sdk")

    client.post(ROUTE, json=body)

    assert [event.source for event in world.taken] == ["launch", "sdk"]
    assert world.taken[0].body["cause"] == "reboot"


def test_a_cause_that_no_agent_tells_is_not_kept(client: FlaskClient, world: World) -> None:
    client.post(ROUTE, json=a_body(world, a_session(cause="password=hunter2")))

    assert "cause" not in world.taken[0].body


def test_a_name_does_not_hold_what_names_a_person(client: FlaskClient, world: World) -> None:
    frame = {"module": "notes", "function": "open_of_bob@example.org"}
    crash = a_crash(exception={"type": "Error: password=hunter2"}, frames=[frame])

    client.post(ROUTE, json=a_body(world, crash))

    body = world.taken[0].body
    assert body["exception"]["type"] == "Error: password=<secret>"
    assert body["frames"][0]["function"] == "<email>"


def test_a_wrong_clock_is_corrected(client: FlaskClient, world: World) -> None:
    event = a_session(at="2001-01-01T00:00:00Z")

    client.post(ROUTE, json=a_body(world, event, sent_at="2001-01-01T02:00:00+01:00"))

    assert world.taken[0].at == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (1, "bad_field", "body"),
        (None, "bad_field", "body"),
        ({}, "unknown_kind", "kind"),
        (a_session(kind="reboot"), "unknown_kind", "kind"),
        (a_session(kind="forget"), "unknown_kind", "kind"),
        (a_session(at="2026-10-22T03:06:59Z"), "too_old", None),
        (a_session(at="yesterday"), "bad_field", "at"),
        (a_session(at="2026-11-22T03:07:00"), "bad_field", "at"),
        (a_session(id="1"), "bad_field", "id"),
        (a_session(status="fine"), "bad_field", "status"),
        (a_session(version="two"), "bad_field", "version"),
        (a_session(version=None), "bad_field", "version"),
        (a_session(sid=""), "bad_field", "sid"),
        (a_session(duration_seconds=-1), "bad_field", "duration_seconds"),
        (a_session(duration_seconds=1.5), "bad_field", "duration_seconds"),
        (a_session(started="0001-01-01T00:00:00+05:00"), "bad_field", "started"),
        (a_session(source="phone"), "bad_field", "source"),
        (a_crash(frames=[1]), "bad_field", "frames[0]"),
        (a_crash(exception={}), "bad_field", "exception.type"),
        (an_update(phase="exploded"), "bad_field", "phase"),
        (an_update(phase="failed"), "bad_field", "error"),
        (an_update(phase="rolled_back"), "bad_field", "error"),
        (an_update(error={"category": "disk"}), "bad_field", "error.code"),
        (an_update(**{"from": "two"}), "bad_field", "from"),
        (an_update(to="two"), "bad_field", "to"),
        (a_metric(name="Startup"), "bad_field", "name"),
        (a_metric(value="fast"), "bad_field", "value"),
        (without(a_metric(), "value"), "bad_field", "value"),
        (a_crash(exception={"type": "E", "message": "m" * 20_000}), "too_large", None),
    ],
)
def test_a_bad_event_is_refused_by_index_and_its_neighbours_are_taken(
    client: FlaskClient, world: World, event: Any, code: str, field: str | None
) -> None:
    response = client.post(ROUTE, json=a_body(world, a_session(), event, a_metric()))

    assert response.status_code == 202
    assert response.json is not None
    rejected = {"index": 1, "code": code} | ({"field": field} if field else {})
    assert response.json == {"accepted": 2, "rejected": [rejected]}
    assert [taken.kind for taken in world.taken] == ["session", "metric"]


def test_a_number_beyond_all_bounds_is_no_metric(client: FlaskClient, world: World) -> None:
    event = json.dumps(a_metric()).replace("812.0", "1e999")
    body = json.dumps(a_body(world)).replace("[]", f"[{event}]")

    response = client.post(ROUTE, data=body)

    assert response.json == {
        "accepted": 0,
        "rejected": [{"index": 0, "code": "bad_field", "field": "value"}],
    }


def test_500_events_are_taken_and_501_are_not(client: FlaskClient, world: World) -> None:
    assert client.post(ROUTE, json=a_body(world, *[a_metric()] * 500)).status_code == 202

    response = client.post(ROUTE, json=a_body(world, *[a_metric()] * 501))

    assert response.status_code == 413
    assert response.json is not None
    assert (response.json["limit"], response.json["unit"]) == (500, "events")
    assert len(world.taken) == 500


def test_over_a_mebibyte_is_too_large(client: FlaskClient, world: World) -> None:
    body = json.dumps(a_body(world)).encode()

    response = client.post(ROUTE, data=body + b" " * (1024 * 1024 + 1 - len(body)))

    assert response.status_code == 413


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"install_id": "x"}, "install_id"),
        ({"token": ""}, "token"),
        ({"events": {}}, "events"),
        ({"sent_at": "now"}, "sent_at"),
        ({"source": "phone"}, "source"),
    ],
)
def test_a_bad_field_of_the_request_refuses_all(
    client: FlaskClient, world: World, fields: dict[str, Any], field: str
) -> None:
    response = client.post(ROUTE, json=a_body(world, a_session(), **fields))

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["field"] == field
    assert world.taken == []


def test_a_foreign_token_refuses_all(client: FlaskClient, world: World) -> None:
    token = world.check_in(HIGH_BUCKET).token

    response = client.post(ROUTE, json=a_body(world, a_session(), token=token))

    assert response.status_code == 403
    assert response.json is not None
    assert response.json["type"] == "about:blank#bad_token"
    assert response.json["field"] == "token"
    assert world.taken == []


@pytest.mark.parametrize("token", [None, "", "A" * 58, "none", "srn_admin"])
def test_a_rollback_that_is_told_without_a_token_of_ours_is_not_counted(
    client: FlaskClient, world: World, token: str | None
) -> None:
    error = {"category": "start", "code": "crashed"}
    body = a_body(world, an_update(phase="rolled_back", error=error), token=token)

    for sent in (body, without(body, "token")):
        response = client.post(ROUTE, json=sent)
        assert response.status_code in {400, 403}
    assert world.taken == []
    assert client.post(ROUTE, json=body | {"token": world.check_in().token}).status_code == 202


def test_an_expired_token_refuses_all(client: FlaskClient, world: World) -> None:
    body = a_body(world, a_session())
    world.advance(timedelta(days=121).total_seconds())

    response = client.post(ROUTE, json=body)

    assert response.status_code == 403
    assert response.json is not None
    assert response.json["type"] == "about:blank#expired_token"


def test_a_full_disk_is_never_an_acknowledgement(client: FlaskClient, world: World) -> None:
    body = a_body(world, a_session())
    world.spool.full = True

    response = client.post(ROUTE, json=body)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"


def test_an_unknown_app_is_named(client: FlaskClient, world: World) -> None:
    assert client.post("/v1/apps/nope/events", json=a_body(world)).status_code == 404
