from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.admin_world import World, a_released_world
from update_server.service.ports import Role
from update_server.web.admin.app import create_app

Ask = Callable[..., TestResponse]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A released world that no test may change."""
    return a_released_world(tmp_path_factory.mktemp("world") / "signer")


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    """A world with 2.0.0 completed and 2.1.0 published."""
    return prepared.fork(tmp_path / "signer")


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.services()).test_client()


@pytest.fixture
def ask(world: World, client: FlaskClient) -> Ask:
    """Send a request with a token of a role: ``ask("GET", "/v1/…", role=Role.ADMIN)``."""

    def send(
        method: str,
        path: str,
        *,
        role: Role = Role.OPERATOR,
        app: str | None = "demo",
        headers: dict[str, str] | None = None,
        **more: object,
    ) -> TestResponse:
        secret = world.caller(role, app).secret
        sent = {"Authorization": f"Bearer {secret}", **(headers or {})}
        return client.open(path, method=method, headers=sent, **more)  # type: ignore[arg-type]

    return send
