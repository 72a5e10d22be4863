from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin_world import World, a_released_world
from tests.dashboard.visitors import Visitors


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A released world that no test may change."""
    return a_released_world(tmp_path_factory.mktemp("released") / "signer")


@pytest.fixture
def world(released: World, tmp_path: Path) -> World:
    """A world with 2.0.0 completed and 2.1.0 published."""
    return released.fork(tmp_path / "signer")


@pytest.fixture
def visitors(world: World) -> Visitors:
    """People who are signed in to it."""
    return Visitors(world)
