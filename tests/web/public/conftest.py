from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.public_world import World, a_world
from update_server.web.public.app import create_app


@pytest.fixture
def world() -> World:
    return a_world()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.services).test_client()
