"""What the description says is so, and what it allows never fails.

``SERINUS_FULL=1`` tries 3 requests for each operation, else a sample.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_wsgi
from schemathesis.pytest import from_fixture
from schemathesis.schemas import BaseSchema

from tests.admin_world import World, a_released_world
from update_server.service.ports import Role
from update_server.web.admin.app import create_app
from update_server.web.admin.openapi import OPERATIONS, document

REQUESTS = 3 if os.environ.get("SERINUS_FULL") == "1" else 1


def test_it_is_served_to_everybody(client: FlaskClient) -> None:
    response = client.get("/v1/admin/openapi.json")

    assert response.status_code == 200
    assert response.json == document()


def test_every_route_is_described(world: World) -> None:
    app = create_app(world.services())
    routes = {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("dashboard.")  # pages, for people
        for method in (rule.methods or set()) - {"OPTIONS"}
        # Flask answers HEAD wherever it answers GET.
        if not (method == "HEAD" and "GET" in (rule.methods or set()))
    }

    described = {(operation.path, operation.method) for operation in OPERATIONS}
    assert routes == described | {("/v1/admin/openapi.json", "get")}


def test_every_reference_leads_somewhere() -> None:
    text = repr(document())

    wanted = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert wanted
    assert wanted <= set(document()["components"]["schemas"])


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world that strangers may change."""
    world = a_released_world(
        tmp_path_factory.mktemp("fuzzed") / "signer", platforms=("linux-x86_64",)
    )
    world.start("2.1.0")
    return world


@pytest.fixture
def description(fuzzed: World, request: pytest.FixtureRequest) -> BaseSchema:
    request.node._nodeid = request.node.nodeid  # schemathesis looks there, pytest 9.2 does not
    return from_wsgi("/v1/admin/openapi.json", create_app(fuzzed.services()))


# Schemathesis makes the cases of a fixture when the test runs, not in every worker that collects.
@pytest.mark.no_cover
@pytest.mark.timeout(300)
@from_fixture("description").parametrize()
@settings(max_examples=REQUESTS, suppress_health_check=list(HealthCheck))
def test_what_the_description_allows_never_fails(
    case: schemathesis.Case[Any], fuzzed: World
) -> None:
    if "app" in case.path_parameters:
        case.path_parameters["app"] = "demo"
    secret = fuzzed.caller(Role.ADMIN, None).secret

    response = case.call(headers={"Authorization": f"Bearer {secret}"})

    case.validate_response(response, checks=[not_a_server_error])
