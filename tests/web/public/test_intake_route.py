"""Crash intake over WSGI: keys, answers, and what they say to SDKs and browsers."""

from __future__ import annotations

import json
import logging
import re
from io import BytesIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import update_server
from tests.envelopes import EVENT_ID, a_dsn, a_session, an_envelope, an_event
from tests.public_world import World

DUMP = b"MDMP" + bytes(60)


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


def test_an_envelope_without_an_id_is_answered_without_one(client: FlaskClient, token: str) -> None:
    body = an_envelope(a_session(), event_id=None)

    response = client.post(f"/api/1/envelope/?sentry_key={token}", data=body)

    assert (response.status_code, response.json) == (200, {})


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


def test_the_query_goes_before_the_header_and_both_before_the_envelope(
    client: FlaskClient, token: str
) -> None:
    dsn = an_envelope(a_session(), dsn=a_dsn(token))
    auth = {"X-Sentry-Auth": f"Sentry sentry_key={token}"}

    wrong_query = client.post("/api/1/envelope/?sentry_key=abc", headers=auth, data=dsn)
    wrong_header = client.post(
        "/api/1/envelope/", headers={"X-Sentry-Auth": "Sentry sentry_key=abc"}, data=dsn
    )

    assert (wrong_query.status_code, wrong_header.status_code) == (403, 403)


@pytest.mark.parametrize(
    "path",
    [
        "/api/1/envelope/",
        "/api/1/envelope/?sentry_key=",
        "/api/1/envelope/?sentry_key=nope",
        "/api/2/envelope/?sentry_key={token}",
        "/api/x/envelope/?sentry_key={token}",
        "/api/-1/envelope/?sentry_key={token}",
        f"/api/{'9' * 5_000}/envelope/?sentry_key={{token}}",
        "/api/1/envelope/?" + "a=1&" * 200 + "sentry_key={token}",
        "/api/1/minidump/?sentry_key=nope",
        "/api/1/minidump/nope",
    ],
)
def test_a_wrong_key_is_refused_in_the_words_of_sdks(
    client: FlaskClient, world: World, token: str, path: str
) -> None:
    response = client.post(path.format(token=token), data=an_envelope(a_session()))

    assert response.status_code == 403
    assert response.content_type == "application/problem+json"
    told = json.loads(response.data)
    assert (told["type"], told["causes"]) == ("about:blank#bad_key", [])
    assert told["detail"]
    assert world.taken == []


def test_what_is_no_envelope_is_refused(client: FlaskClient, token: str) -> None:
    response = client.post(f"/api/1/envelope/?sentry_key={token}", data=b"\x00")

    assert response.status_code == 400
    assert json.loads(response.data)["type"] == "about:blank#malformed"


def test_when_nothing_can_be_spooled_senders_are_asked_to_come_again(
    client: FlaskClient, world: World, token: str
) -> None:
    world.spool.full = True

    response = client.post(f"/api/1/envelope/?sentry_key={token}", data=an_envelope(a_session()))

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_a_storm_is_told_what_to_hold_back_and_sessions_are_not_among_it(
    client: FlaskClient, token: str
) -> None:
    path = f"/api/1/envelope/?sentry_key={token}"
    storm = [client.post(path, data=an_envelope(an_event())) for _ in range(20)]
    session = client.post(path, data=an_envelope(a_session()))

    assert {response.status_code for response in (*storm, session)} == {200}
    limits = [response.headers.get("X-Sentry-Rate-Limits") for response in storm]
    assert limits == [None] * 10 + ["60:error;default:key:burst"] * 10
    assert "X-Sentry-Rate-Limits" not in session.headers


def test_several_limits_stand_in_one_header(client: FlaskClient, token: str) -> None:
    path = f"/api/1/envelope/?sentry_key={token}"
    body = an_envelope(*[an_event()] * 10, *[a_session()] * 90)

    for _ in range(4):
        response = client.post(path, data=body)

    told = response.headers["X-Sentry-Rate-Limits"]
    assert told == "60:error;default:key:burst, 60:session:key:burst"


class TestBrowsers:
    @pytest.mark.parametrize("path", ["/api/1/envelope/", "/prefix/api/1/envelope"])
    def test_a_page_may_ask_whether_it_may_report(self, client: FlaskClient, path: str) -> None:
        response = client.options(path)

        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        allowed = response.headers["Access-Control-Allow-Headers"]
        assert allowed == "X-Sentry-Auth, Content-Type, Content-Encoding"

    def test_a_page_may_read_every_answer(self, client: FlaskClient, token: str) -> None:
        path = f"/api/1/envelope/?sentry_key={token}"
        answers = [
            client.post(path, data=an_envelope(a_session())),
            client.post(path, data=b"\x00"),
            client.post("/api/1/envelope/?sentry_key=nope"),
            client.post(path, data=b"x", headers={"Content-Encoding": "lzma"}),
        ]

        assert [answer.status_code for answer in answers] == [200, 400, 403, 400]
        for answer in answers:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            exposed = answer.headers["Access-Control-Expose-Headers"]
            assert exposed == "X-Sentry-Rate-Limits, Retry-After"

    def test_nothing_else_is_open_to_pages(self, client: FlaskClient) -> None:
        assert "Access-Control-Allow-Origin" not in client.get("/healthz").headers


class TestPrefixes:
    @pytest.mark.parametrize("prefix", ["", "/a", "/a/b/c", "/api", "/api/2/envelope", "/v1/apps"])
    def test_any_path_may_stand_before_it(
        self, client: FlaskClient, token: str, prefix: str
    ) -> None:
        path = f"{prefix}/api/1/envelope/?sentry_key={token}"

        assert client.post(path, data=an_envelope(a_session())).status_code == 200

    @pytest.mark.parametrize(
        "path", ["/a/api/x/envelope/", f"/{'a' * 300}/api/1/envelope/", "/a/api/1/envelope/b/c"]
    )
    def test_other_paths_are_none_of_intakes(self, client: FlaskClient, path: str) -> None:
        assert client.post(path).status_code in {404, 405}

    def test_a_file_may_be_called_as_intake_is(self, client: FlaskClient) -> None:
        path = "/v1/apps/demo/targets/api/1/envelope"

        assert client.get(path).status_code == 404
        assert client.post(path + "?sentry_key=nope").status_code == 403


class TestForms:
    @pytest.mark.parametrize(
        "path", ["/api/1/minidump/?sentry_key={token}", "/a/api/1/minidump/{token}"]
    )
    def test_a_crash_handler_is_told_the_reports_id(
        self, client: FlaskClient, world: World, token: str, path: str
    ) -> None:
        form = {"upload_file_minidump": (BytesIO(DUMP), "a.dmp"), "_version": "2.0.0"}

        response = client.post(path.format(token=token), data=form)

        assert response.status_code == 200
        assert response.mimetype == "text/plain"
        (event,) = world.taken
        assert (event.kind, event.version) == ("minidump", "2.0.0")
        assert event.id.startswith(response.text)
        assert len(response.text) == 32

    def test_electrons_own_version_is_not_the_apps(
        self, client: FlaskClient, world: World, token: str
    ) -> None:
        form = {
            "upload_file_minidump": (BytesIO(DUMP), "a.dmp"),
            "ver": "2.1.0",
            "prod": "Electron",
        }

        client.post(f"/api/1/minidump/{token}?product=Electron&version=2.1.0", data=form)

        assert world.taken[0].quarantine == "unknown_version"

    def test_a_key_may_have_the_handlers_own_query_behind_it(
        self, client: FlaskClient, world: World, token: str
    ) -> None:
        path = f"/api/1/minidump/?sentry_key={token}?product=x&version=2.0.0"

        assert client.post(path, data=DUMP).status_code == 200
        assert world.taken[0].version == "2.0.0"

    @pytest.mark.parametrize("body", [b"", b"x" * 100, b"--a\r\n", b"--a--\r\n"])
    def test_what_is_no_form_is_refused(
        self, client: FlaskClient, world: World, token: str, body: bytes
    ) -> None:
        assert client.post(f"/api/1/minidump/{token}", data=body).status_code == 400
        assert world.taken == []


def test_nothing_that_answers_knows_429() -> None:
    """Only what sends to other people's servers may meet it."""
    root = Path(update_server.__file__).parent
    files = [file for part in ("web", "service") for file in (root / part).rglob("*.py")]

    assert len(files) > 50
    for file in files:
        code = re.sub(r"#.*", "", file.read_text())
        raised = re.search(r"raise TooManyFailuresError", code)
        assert not raised or file.name == "lock_out.py", file  # people who sign in, and no SDK
        code = re.sub(r"error=service.TooManyFailuresError,\s+status=429", "", code)
        assert not re.search(r"\b429\b|TOO_MANY_REQUESTS|TooManyRequests", code), file


def test_neither_keys_nor_tokens_get_into_the_log(
    client: FlaskClient,
    world: World,
    token: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(world.spool, "events", broken)
    auth = {"X-Sentry-Auth": f"Sentry sentry_key={token}"}
    paths = (
        f"/api/1/envelope/?sentry_key={token}",
        f"/api/1/minidump/{token}?guid=somebody&version=2.0.0",
        "/api/1/envelope/",
    )
    answers = [
        client.post(path, headers=auth, data=data)
        for path in paths
        for data in (an_envelope(a_session()), DUMP, b"")
    ]

    assert 500 in {answer.status_code for answer in answers}
    assert "a mistake of ours" in caplog.text
    for secret in (token, "somebody", "sentry_key"):
        assert secret not in caplog.text
