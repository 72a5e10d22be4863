from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Server, a_server, init


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    init(folder)
    return folder


@pytest.fixture
def server(workspace: Path, tmp_path: Path) -> Iterator[Server]:
    with a_server(workspace, tmp_path / "updates") as server:
        yield server
