"""The way around Flask and the plain view must give the same answer, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.public_world import HIGH_BUCKET, LOW_BUCKET, World, a_world
from update_server.web.public.app import create_app

CHECK_IN = {
    "install_id": LOW_BUCKET,
    "version": "2.0.0",
    "channel": "stable",
    "platform": "linux-x86_64",
}


def both(world: World, route: str, data: bytes, **kwargs: Any) -> list[tuple[int, Any, bytes]]:
    """Return what the fast way and the plain way answer: status, headers, body."""
    answers = []
    for fast_path in (True, False):
        client = create_app(world.services, fast_path=fast_path).test_client()
        response = client.post(route, data=data, **kwargs)
        answers.append((response.status_code, sorted(response.headers), response.data))
    return answers


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/apps/demo/check-in", CHECK_IN),
        ("/v1/apps/demo/check-in", {**CHECK_IN, "install_id": HIGH_BUCKET}),
        ("/v1/apps/demo/check-in", {**CHECK_IN, "version": None}),
        ("/v1/apps/demo/check-in", {**CHECK_IN, "channel": "beta"}),
        ("/v1/apps/demo/check-in", {}),
        ("/v1/apps/nope/check-in", CHECK_IN),
        ("/v1/apps/n%C3%A4h/check-in", CHECK_IN),
        ("/v1/apps/a%2Fb/check-in", CHECK_IN),
        ("/v1/apps//check-in", CHECK_IN),
        ("/v1/apps/demo/events", {"install_id": LOW_BUCKET, "token": "x", "events": []}),
        ("/v1/apps/demo/events", {}),
        ("/v1/apps/demo/other", {}),
    ],
)
def test_both_ways_answer_the_same(route: str, body: dict[str, Any]) -> None:
    fast, plain = both(a_world(), route, json.dumps(body).encode())

    assert fast == plain


def test_both_ways_take_events_in_alike() -> None:
    world = a_world()
    event = {
        "id": LOW_BUCKET,
        "at": "2026-11-22T03:07:00Z",
        "kind": "update",
        "from": None,
        "to": "2.1.0",
        "phase": "healthy",
    }
    body = {"install_id": LOW_BUCKET, "token": world.check_in().token, "events": [event, {}]}

    fast, plain = both(world, "/v1/apps/demo/events", json.dumps(body).encode())

    assert fast == plain
    assert fast[0] == 202
    assert world.taken[0] == world.taken[1]


def test_both_ways_fail_alike(caplog: pytest.LogCaptureFixture) -> None:
    world = a_world()
    world.services.check_ins._spool = None  # type: ignore[assignment]

    fast, plain = both(world, "/v1/apps/demo/check-in", json.dumps(CHECK_IN).encode())

    assert fast == plain
    assert fast[0] == 500
    assert len(caplog.records) == 2


def test_both_ways_bound_the_body_alike() -> None:
    fast, plain = both(a_world(), "/v1/apps/demo/check-in", b" " * (1024 * 1024 + 1))

    assert fast == plain
    assert fast[0] == 413


_WORLD = a_world()


@pytest.mark.no_cover
@given(st.binary(max_size=200))
def test_both_ways_answer_the_same_to_anything(data: bytes) -> None:
    fast, plain = both(_WORLD, "/v1/apps/demo/check-in", data)

    assert fast == plain


def test_the_fast_way_never_enters_flask() -> None:
    world = a_world()
    app = create_app(world.services)
    entered: list[bool] = []
    app.before_request(lambda: entered.append(True))
    client = app.test_client()

    assert client.post("/v1/apps/demo/check-in", json=CHECK_IN).status_code == 200
    assert entered == []
    client.get("/healthz")
    assert entered == [True]
