from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotImplemented as NotImplementedHttpError

from update_server.service import errors as service
from update_server.service import ports
from update_server.web import errors
from update_server.web.errors import TABLE, problem_for, register_error_handlers


def body_of(error: Exception) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(problem_for(error).body())
    return body


@pytest.fixture
def app() -> Flask:
    app = Flask("test", static_folder=None)
    register_error_handlers(app)

    @app.get("/fails")
    def fails() -> str:
        raise RuntimeError("secret at /var/lib/serinus/pepper")

    @app.get("/found/")
    def found() -> str:
        return "here"

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_a_problem_has_the_members_of_the_standard() -> None:
    assert body_of(service.UnknownAppError("demo")) == {
        "type": "about:blank#unknown_app",
        "title": "Unknown app",
        "status": 404,
        "detail": "no app 'demo' is registered here",
        "app": "demo",
    }


def test_a_bad_field_names_itself() -> None:
    assert body_of(errors.BadFieldError("state.phase", "is missing"))["field"] == "state.phase"


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    for index, row in enumerate(TABLE):
        earlier = [r.error for r in TABLE[:index] if issubclass(row.error, r.error)]
        assert earlier == []


def test_no_member_of_an_error_can_replace_one_of_the_standard() -> None:
    error = ports.SignerRefusedError("not_signed", "no", {"status": 200, "rollout": "ro_1"})

    body = body_of(error)

    assert (body["status"], body["rollout"]) == (409, "ro_1")


def test_what_people_name_is_named_with_what_lists_such() -> None:
    problem = problem_for(ports.NotFoundError("group", "crew"))

    assert problem.detail == "there is no group 'crew'"
    assert problem.data == {"hint": "serinus group list"}


def test_what_a_port_lacks_is_named_by_its_kind_but_not_by_its_key() -> None:
    problem = problem_for(ports.NotFoundError("blob", "/var/lib/x"))

    assert (problem.status, problem.code) == (404, "unknown_blob")
    assert b"/var/lib" not in problem.body()


def test_an_outage_tells_nothing_of_what_is_inside() -> None:
    problem = problem_for(ports.UnavailableError("connection to 10.0.0.7 refused"))

    assert problem.status == 503
    assert b"10.0.0.7" not in problem.body()
    assert problem.headers["Retry-After"] == "2"


def test_a_missing_approval_is_not_a_conflict() -> None:
    assert problem_for(ports.SignerRefusedError("approvals_missing", "one more")).status == 403
    assert problem_for(ports.SignerRefusedError("above_ceiling", "no")).status == 409


def test_an_unknown_error_says_nothing_and_is_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/fails")

    assert response.status_code == 500
    assert response.json is not None
    assert response.json["type"] == "about:blank#internal"
    assert b"pepper" not in response.data
    assert "pepper" in caplog.text


def test_an_unknown_route_is_a_problem_document(client: FlaskClient) -> None:
    response = client.get("/nowhere")

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    response = client.post("/fails")

    assert response.status_code == 405
    assert response.content_type == "application/problem+json"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/found", "/found/"])
def test_no_answer_is_a_redirect_to_a_tidier_path(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_doubled_slashes_lead_nowhere(client: FlaskClient) -> None:
    assert client.get("//found/").status_code == 404


def test_the_answer_to_head_has_no_body(client: FlaskClient) -> None:
    response = client.head("/nowhere")

    assert (response.status_code, response.data) == (404, b"")


def test_other_errors_of_http_keep_their_status() -> None:
    problem = problem_for(NotImplementedHttpError())

    assert (problem.status, problem.code) == (501, "not_implemented")


def test_an_upload_at_the_wrong_offset_says_the_right_one() -> None:
    assert body_of(ports.OffsetMismatchError(42))["offset"] == 42
