from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin_world import World


@pytest.fixture
def world(released: World, tmp_path: Path) -> World:
    """A world with 2.0.0 completed and 2.1.0 published."""
    return released.fork(tmp_path / "signer")
