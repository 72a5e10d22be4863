from __future__ import annotations

from pathlib import Path

import pytest

from tests.judging.fleet import NEW, OLD
from tests.judging.world import World, make_workspace, prepare


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose only release is open to all."""
    folder = tmp_path_factory.mktemp("judging")
    (folder / "workspace").mkdir()
    make_workspace(folder / "workspace")
    prepare(folder / "workspace", folder / "opened", World.open_old)
    return folder / "opened"


@pytest.fixture(scope="session")
def published(opened: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a new release that is not open to anybody yet."""
    folder = tmp_path_factory.mktemp("published") / "published"
    prepare(opened, folder, lambda world: world.publish(NEW, "--rollback-to", OLD))
    return folder
