"""Whatever is sent: an answer that was meant, never a 500, and nothing of our inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from tests.admin_world import a_released_world
from update_server.service.ports import Role
from update_server.web.admin.app import create_app

A = "/v1/admin/apps/demo"

Server = tuple[FlaskClient, dict[str, str], str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The app, an admin's headers and a rollout's ID."""
    folder = tmp_path_factory.mktemp("hostile") / "signer"
    world = a_released_world(folder, platforms=("linux-x86_64",))
    rollout = world.start("2.1.0")
    secret = world.caller(Role.ADMIN, None).secret
    client = create_app(world.services()).test_client()
    return client, {"Authorization": f"Bearer {secret}"}, rollout.id


GOOD: dict[str, dict[str, Any]] = {
    "/v1/admin/apps": {"app": "demo", "channels": ["stable"], "platforms": ["linux-x86_64"]},
    f"{A}/signing": {"metadata": {"root": "{}"}, "base": {"root": 1}},
    f"{A}/rollouts": {
        "version": "2.1.0",
        "channel": "stable",
        "ladder": [{"ring": "all", "exposure_bp": 100, "soak_seconds": 1, "approvals": 0}],
        "terms": {
            "alpha": 0.01,
            "weights": {"crash": 0.3},
            "measured": [{"name": "startup_ms", "weight": 0.05, "test": "betting"}],
            "gates": [{"up_to_bp": 10_000, "margin": 2, "silence": 0.05}],
            "automatic": ["pause"],
            "windows": [{"weekdays": [0], "from_hour": 9, "to_hour": 17}],
        },
        "start_ring": "all",
        "reason": "r",
    },
    f"{A}/rollouts/ROLLOUT/promote": {"reason": "r", "ring": "all", "override": False},
    f"{A}/rollouts/ROLLOUT/pull": {"reason": "r", "replacement": "1.0.0"},
    f"{A}/holds": {
        "channel": "stable",
        "title": "t",
        "link": "https://status.example.org/h",
        "audience": {"os_version": ["<13"], "custom": {"edition": ["pro"]}},
        "reason": "r",
    },
    f"{A}/rollouts/ROLLOUT/resume": {"reason": "r", "waive": ["0" * 16], "waive_seconds": 9},
    f"{A}/rollouts/ROLLOUT/evidence/strike": {"network": "203.0.113.7", "reason": "r"},
    f"{A}/waivers": {
        "channel": "stable",
        "version": "2.1.0",
        "signature": "0" * 16,
        "expires_at": "2026-11-23T03:07:00Z",
        "reason": "r",
    },
    f"{A}/groups": {"name": "staff"},
    f"{A}/enrolments": {"group": "staff", "uses": 1, "expires_in_seconds": 60},
    "/v1/admin/operators": {"name": "n", "role": "viewer", "identity": "a@b", "password": "p" * 12},
    "/v1/admin/tokens": {"name": "n", "role": "viewer", "app": None, "expires_in_seconds": 9},
}

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A good request in which one value, at any depth, is another one or missing."""
    route = draw(st.sampled_from(sorted(GOOD)))
    body = json.loads(json.dumps(GOOD[route]))
    holder: Any = body
    key: Any = draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
        holder = holder[key]
        keys = range(len(holder)) if isinstance(holder, list) else sorted(holder)
        key = draw(st.sampled_from(keys))
    if draw(st.booleans()):
        holder[key] = draw(_JSON)
    else:
        del holder[key]
    return route, body


def check(server: Server, route: str, data: bytes) -> None:
    client, headers, rollout = server

    response = client.post(route.replace("ROLLOUT", rollout), data=data, headers=headers)

    assert response.status_code < 500, response.data
    if response.status_code >= 300:
        assert response.content_type == "application/problem+json"
        problem = json.loads(response.data)
        assert problem["status"] == response.status_code
        assert "/signer" not in problem["detail"]


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=200))
@example(f"{A}/groups", b"")
@example(f"{A}/signing", b"[" * 100_000)
@example(f"{A}/signing", b'{"metadata":{"root":' + b'{"a":' * 50_000)
@example(f"{A}/holds", b'{"title":"\xff"}')
@example(f"{A}/holds", b'{"title":"\\ud800"}')
@example(f"{A}/enrolments", b'{"group":"staff","uses":1e999}')
def test_any_bytes(server: Server, route: str, data: bytes) -> None:
    check(server, route, data)


@given(st.sampled_from(sorted(GOOD)), _JSON)
def test_any_json(server: Server, route: str, value: Any) -> None:
    check(server, route, json.dumps(value).encode())


@given(spoiled())
def test_a_good_request_with_one_thing_wrong(server: Server, request_: tuple[str, Any]) -> None:
    route, body = request_
    check(server, route, json.dumps(body).encode())


@given(st.text(max_size=40), st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]))
def test_any_path(server: Server, path: str, method: str) -> None:
    client, headers, rollout = server
    for prefix in ("/", "/v1/admin/", f"{A}/", f"{A}/blobs/", f"{A}/rollouts/{rollout}/"):
        response = client.open(prefix + path, method=method, headers=headers)

        assert response.status_code < 500
        if response.status_code >= 300 and method != "HEAD":
            # A bearer token opens no page, and says so in one; all of the API answers in JSON.
            pages = {"text/html; charset=utf-8"} if prefix == "/" else set()
            assert response.content_type in {"application/problem+json"} | pages


@given(
    st.dictionaries(
        st.sampled_from(
            ["Authorization", "If-Match", "Idempotency-Key", "Upload-Offset", "Upload-Length"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
    )
)
def test_any_headers(server: Server, headers: dict[str, str]) -> None:
    client, token, rollout = server
    for method, path in (
        ("PUT", f"{A}/blobs/{'0' * 64}"),
        ("POST", f"{A}/rollouts/{rollout}/promote"),
        ("GET", "/metrics"),
    ):
        response = client.open(path, method=method, headers={**token, **headers})

        assert response.status_code < 500


_QUERIES = (
    "limit",
    "cursor",
    "channel",
    "version",
    "install_id",
    "platform",
    "locale",
    "attribute.x",
)


@given(st.dictionaries(st.sampled_from(_QUERIES), st.text(max_size=30)))
def test_any_query(server: Server, query: dict[str, str]) -> None:
    client, token, _ = server
    for path in ("groups", "audit", "policy", "explain", "releases/2.0.0", "versions"):
        response = client.get(f"{A}/{path}", query_string=query, headers=token)

        assert response.status_code < 500
