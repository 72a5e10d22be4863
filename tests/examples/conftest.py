from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.running import APP, PASSPHRASE, Server, a_server
from tests.examples.example import EXAMPLES, Example, copy_of
from tests.examples.screen import Screen, a_screen

POLICY = ("--policy", str(EXAMPLES / "policy.toml"))


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all: the tests of this folder are a group, and run in one process."""
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "passphrase").write_text(PASSPHRASE)
    Server(folder=workspace, public="", admin="").serinus("init", ".", "--app", APP, *POLICY)
    with a_server(workspace, tmp_path_factory.mktemp("examples") / "updates") as server:
        yield server


@pytest.fixture
def example(server: Server, tmp_path: Path) -> Callable[[str, str], Example]:
    """Make the example in the folder of that name, whose app the server knows from then on."""

    def an_example(name: str, app: str) -> Example:
        made = Example(copy_of(name, tmp_path), app, server, tmp_path / "root")
        if not made.root_json.exists():
            server.serinus("app", "add", "--app", app, *POLICY)
        return made

    return an_example


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    with a_screen(tmp_path / "screen") as screen:
        yield screen
