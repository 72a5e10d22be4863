"""Whatever is sent: an answer that was meant, never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.public_world import LOW_BUCKET, a_world
from update_server.web.public.app import create_app

WORLD = a_world()
CLIENT = create_app(WORLD.services).test_client()
TOKEN = WORLD.check_in().token
PREFIXES = ("/", "/v1/apps/", "/v1/apps/demo/", "/v1/apps/demo/tuf/", "/v1/apps/demo/targets/")
ROUTES = ("check-in", "events", "enrol", "forget")

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)
_CHECK_IN: dict[str, Any] = {
    "install_id": LOW_BUCKET,
    "version": "2.0.0",
    "channel": "stable",
    "platform": "linux-x86_64",
    "attributes": {"os_version": "12"},
    "state": {"phase": "idle", "failed_versions": ["2.1.0"]},
}
_EVENTS: dict[str, Any] = {
    "install_id": LOW_BUCKET,
    "token": TOKEN,
    "sent_at": "2026-11-22T03:07:00Z",
    "events": [
        {
            "id": LOW_BUCKET,
            "at": "2026-11-22T03:07:00Z",
            "kind": "session",
            "version": "2.1.0",
            "sid": "s",
            "status": "ok",
            "started": "2026-11-22T03:07:00Z",
        },
        {
            "id": LOW_BUCKET,
            "at": "2026-11-22T03:07:00Z",
            "kind": "crash",
            "version": "2.1.0",
            "exception": {"type": "E"},
            "frames": [{"file": "/a/b", "line": 1}],
        },
        {
            "id": LOW_BUCKET,
            "at": "2026-11-22T03:07:00Z",
            "kind": "update",
            "from": None,
            "to": "2.1.0",
            "phase": "failed",
            "error": {"category": "c", "code": "c"},
        },
        {
            "id": LOW_BUCKET,
            "at": "2026-11-22T03:07:00Z",
            "kind": "metric",
            "version": "2.1.0",
            "name": "n",
            "value": 1.5,
        },
    ],
}
_TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "2026-11-22T03:07:00Z",
        "2026-11-22",
    ]
)


@st.composite
def spoiled(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """A good body in which one value, at any depth, is another one or missing."""
    body = json.loads(json.dumps(good))
    holder: Any = body
    key: Any = draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
        holder = holder[key]
        key = draw(
            st.sampled_from(range(len(holder)) if isinstance(holder, list) else sorted(holder))
        )
    if draw(st.booleans()):
        holder[key] = draw(_JSON | _TIMES)
    else:
        del holder[key]
    return body


def check(route: str, data: bytes) -> None:
    response = CLIENT.post(f"/v1/apps/demo/{route}", data=data)

    assert response.status_code < 500, response.data
    if response.status_code >= 300:
        assert response.content_type == "application/problem+json"
        assert json.loads(response.data)["status"] == response.status_code


@pytest.mark.parametrize("route", ROUTES)
@given(st.binary(max_size=300))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"install_id":' + b'{"a":' * 50_000)
@example(b'{"install_id":"\xff"}')
@example(b'{"install_id":"\\ud800"}')
@example(b'{"version":1e999999}')
def test_any_bytes(route: str, data: bytes) -> None:
    check(route, data)


@pytest.mark.parametrize("route", ROUTES)
@given(_JSON)
def test_any_json(route: str, value: Any) -> None:
    check(route, json.dumps(value).encode())


@given(spoiled(_CHECK_IN))
def test_a_check_in_with_one_thing_wrong(body: Any) -> None:
    check("check-in", json.dumps(body).encode())


@given(spoiled(_EVENTS))
def test_events_with_one_thing_wrong(body: Any) -> None:
    check("events", json.dumps(body).encode())


@given(st.text(max_size=40), st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]))
def test_any_path(path: str, method: str) -> None:
    for prefix in (
        "/",
        "/v1/apps/",
        "/v1/apps/demo/",
        "/v1/apps/demo/tuf/",
        "/v1/apps/demo/targets/",
    ):
        response = CLIENT.open(prefix + path, method=method)

        assert response.status_code < 500
        if response.status_code >= 300 and method != "HEAD":
            assert response.content_type == "application/problem+json"


@given(
    st.dictionaries(
        st.sampled_from(["Range", "If-Range", "If-None-Match", "Authorization", "Accept-Encoding"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
    )
)
def test_any_headers_of_a_download(headers: dict[str, str]) -> None:
    name = f"demo/rollout/{'a' * 64}.stable.json"
    if not WORLD.blobs.list("apps/demo/targets/"):
        WORLD.blobs.create(f"apps/demo/targets/{name}", b"0123456789")

    response = CLIENT.get(f"/v1/apps/demo/targets/{name}", headers=headers)

    assert response.status_code in {200, 206, 304, 416}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("check-in", {**_CHECK_IN, "agent": "a\n"}),
        ("check-in", {**_CHECK_IN, "attributes": {"os_version\n": "12"}}),
        ("check-in", {**_CHECK_IN, "state": {"snapshot_sha256": "\n"}}),
    ],
)
def test_a_line_feed_at_the_end_is_a_control_character_too(route: str, body: Any) -> None:
    answer = CLIENT.post(f"/v1/apps/demo/{route}", data=json.dumps(body))

    assert (answer.status_code, answer.json["type"]) == (400, "about:blank#bad_field")  # type: ignore[index]
