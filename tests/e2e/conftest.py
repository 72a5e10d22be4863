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


@pytest.fixture(scope="package")
def lasting(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with a_server(workspace, tmp_path_factory.mktemp("lasting") / "updates") as server:
        yield server


@pytest.fixture
def server(lasting: Server) -> Server:
    """A server that others used before, and may have killed: tests take a ``new_version``.

    Tests that use it are a group, and run in one process.
    """
    if lasting.process is None:
        lasting.start()
    return lasting
