"""Crash intake over WSGI: keys, answers, and what they say to SDKs and browsers."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.envelopes import EVENT_ID, a_dsn, a_session, an_envelope, an_event
from tests.public_world import World


@pytest.fixture
def token(world: World) -> str:
    return world.check_in().token


def test_an_envelope_is_in_the_spool_and_its_sender_told_the_events_id(
    client: FlaskClient, world: World, token: str
) -> None:
    body = an_envelope(an_event(), a_session())

    response = client.post(f"/api/1/envelope/?sentry_key={token}", data=body)

    assert (response.status_code, response.json) == (200, {"id": EVENT_ID})
    assert [event.kind for event in world.taken] == ["crash", "session"]


def test_the_key_may_stand_in_the_query_in_a_header_or_in_the_envelope(
    client: FlaskClient, world: World, token: str
) -> None:
    auth = {"X-Sentry-Auth": f"Sentry sentry_key={token}, sentry_version=7"}
    dsn = an_envelope(a_session(), dsn=a_dsn(token))

    answers = [
        client.post(f"/api/1/envelope/?sentry_key={token.lower()}", data=an_envelope(a_session())),
        client.post("/api/1/envelope", headers=auth, data=an_envelope(a_session())),
        client.post("/proxied/here/api/1/envelope/", data=dsn),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(world.taken) == 3
