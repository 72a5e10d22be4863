"""Whatever is reported: an answer that was meant, never a 5xx, and never a 429."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.envelopes import a_dsn, a_dump, a_session, an_envelope, an_event, an_item
from tests.public_world import World, a_world
from update_server.web.public.app import create_app

WORLD: World = a_world()
CLIENT = create_app(WORLD.services).test_client()
TOKEN = WORLD.check_in().token
ENVELOPES = f"/api/1/envelope/?sentry_key={TOKEN}"
DUMPS = f"/api/1/minidump/?sentry_key={TOKEN}"

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=8,
)
_TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-11-22T03:07:00Z",
        "1970-01-01",
        "0",
        0,
        -1,
        2**63,
        1e308,
        253_402_300_799,
    ]
)


def check(path: str, data: bytes, **headers: str) -> None:
    response = CLIENT.post(path, data=data, headers=headers)

    assert response.status_code in {200, 400, 403, 413}, response.data
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    if response.status_code != 200:
        assert response.content_type == "application/problem+json"
        assert json.loads(response.data)["causes"] == []


@pytest.mark.parametrize("path", [ENVELOPES, DUMPS, "/api/1/envelope/", "/api/1/minidump/x"])
@given(st.binary(max_size=300))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b'{"dsn":"https://\\ud800@h/1"}')
def test_any_bytes(path: str, data: bytes) -> None:
    check(path, data)


@given(_JSON, st.sampled_from(["event", "session", "sessions", "client_report", "attachment"]))
def test_any_json_in_any_item(value: Any, kind: str) -> None:
    check(ENVELOPES, an_envelope(an_item(kind, value), event_id=value, dsn=value))


@st.composite
def an_odd_item(draw: st.DrawFn) -> bytes:
    """A good item in which some fields are something else."""
    odd = st.dictionaries(
        st.sampled_from(
            (
                *("timestamp", "started", "duration", "errors", "sid", "did", "status", "attrs"),
                *("event_id", "release", "user", "exception", "level", "platform", "tags"),
            )
        ),
        _TIMES | _JSON,
        max_size=4,
    )
    fields = draw(odd)
    return an_event(**fields) if draw(st.booleans()) else a_session(**fields)


@given(st.lists(an_odd_item(), max_size=4), _TIMES | _JSON)
def test_reports_with_something_wrong(items: list[bytes], sent_at: Any) -> None:
    check(ENVELOPES, an_envelope(*items, a_dump(), sent_at=sent_at, dsn=a_dsn(TOKEN)))


@given(st.text(max_size=80), st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_query_and_any_header(query: str, header: str) -> None:
    plain = "".join(each for each in header if each.isprintable())

    check(
        f"/api/1/envelope/?{query}",
        an_envelope(a_session()),
        **{"X-Sentry-Auth": plain, "Content-Type": plain, "Content-Encoding": plain[:5]},
    )


@given(st.text(max_size=40), st.sampled_from(["POST", "OPTIONS", "GET", "PUT"]))
def test_any_path(path: str, method: str) -> None:
    for prefix in ("/api/", "/api/1/", "/api/1/minidump/", "/x/api/1/envelope/"):
        response = CLIENT.open(prefix + path, method=method)

        assert response.status_code < 500
        assert response.status_code != 429
