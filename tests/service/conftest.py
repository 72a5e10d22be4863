from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin_world import World, a_released_world


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A released world that no test may change."""
    return a_released_world(tmp_path_factory.mktemp("world") / "signer")


@pytest.fixture
def released(prepared: World, tmp_path: Path) -> World:
    """A world with 2.0.0 completed and 2.1.0 published."""
    return prepared.fork(tmp_path / "signer")
