from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from tests.admin_world import World, a_released_world
from update_server.service.ports import Role
from update_server.web.admin.app import create_app
from update_server.web.admin.openapi import OPERATIONS, document


def test_it_is_served_to_everybody(client: FlaskClient) -> None:
    response = client.get("/v1/admin/openapi.json")

    assert response.status_code == 200
    assert response.json == document()


def test_every_route_is_described(world: World) -> None:
    app = create_app(world.services())
    routes = {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
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


# Schemathesis makes its cases when tests are collected, so the app must be there by then.
_FOLDER = tempfile.TemporaryDirectory(prefix="serinus-fuzzed-")
_WORLD = a_released_world(Path(_FOLDER.name) / "signer", platforms=("linux-x86_64",))
_WORLD.start("2.1.0")
_SECRET = _WORLD.caller(Role.ADMIN, None).secret
SCHEMA = schemathesis.openapi.from_wsgi("/v1/admin/openapi.json", create_app(_WORLD.services()))


@SCHEMA.parametrize()
@settings(max_examples=4, suppress_health_check=list(HealthCheck))
def test_what_the_description_allows_never_fails(case: schemathesis.Case[Any]) -> None:
    if "app" in case.path_parameters:
        case.path_parameters["app"] = "demo"

    response = case.call(headers={"Authorization": f"Bearer {_SECRET}"})

    case.validate_response(response, checks=[not_a_server_error])
