from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin_world import World, a_registered_world, a_released_world
from tests.dashboard.visitors import Visitors


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with an app that no test may change."""
    return a_registered_world(tmp_path_factory.mktemp("registered") / "signer")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with 2.0.0 completed and 2.1.0 published that no test may change."""
    return a_released_world(tmp_path_factory.mktemp("released") / "signer")


@pytest.fixture
def world(registered: World, tmp_path: Path) -> World:
    """A world with an app."""
    return registered.fork(tmp_path / "signer")


@pytest.fixture
def visitors(world: World) -> Visitors:
    """People who sign in to its pages."""
    return Visitors(world)
