"""What the description says is so, and what it allows never fails.

``SERINUS_FULL=1`` tries 12 requests for each operation, else a sample.
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

from tests.public_world import a_world
from update_server.web.public.app import create_app
from update_server.web.public.openapi import document

REQUESTS = 12 if os.environ.get("SERINUS_FULL") == "1" else 5


def test_it_is_served(client: FlaskClient) -> None:
    response = client.get("/v1/openapi.json")

    assert response.status_code == 200
    assert response.json == document()


def test_every_route_is_described() -> None:
    rules = create_app(a_world().services).url_map.iter_rules()
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in rules}

    assert routes == set(document()["paths"])


def test_every_reference_leads_somewhere() -> None:
    text = repr(document())

    wanted = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert wanted
    assert wanted <= set(document()["components"]["schemas"])


@pytest.fixture
def description(request: pytest.FixtureRequest) -> BaseSchema:
    request.node._nodeid = request.node.nodeid  # schemathesis looks there, pytest 9.2 does not
    return from_wsgi("/v1/openapi.json", create_app(a_world().services))


# Schemathesis makes the cases of a fixture when the test runs, not in every worker that collects.
@pytest.mark.no_cover
@pytest.mark.timeout(300)
@from_fixture("description").parametrize()
@settings(max_examples=REQUESTS, suppress_health_check=list(HealthCheck))
def test_what_the_description_allows_never_fails(case: schemathesis.Case[Any]) -> None:
    response = case.call()

    case.validate_response(response, checks=[not_a_server_error])
