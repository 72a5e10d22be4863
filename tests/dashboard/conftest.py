from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin_world import World, a_registered_world
from tests.dashboard.visitors import Visitors


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with an app that no test may change."""
    return a_registered_world(tmp_path_factory.mktemp("registered") / "signer")


@pytest.fixture
def visitors(registered: World, tmp_path: Path) -> Visitors:
    """People who sign in to the pages of a world with an app."""
    return Visitors(registered.fork(tmp_path / "signer"))
