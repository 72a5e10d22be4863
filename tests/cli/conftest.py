from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cli_world import (
    Cli,
    a_short_folder,
    an_outsider,
    cheap_keys,
    copy_of,
    init,
    serving_admin,
)
from tests.lazy_routes import lazy_routes
from update_server.cli import api


@pytest.fixture(scope="session", autouse=True)
def _cheap() -> Iterator[None]:
    with cheap_keys(), lazy_routes():
        yield


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is not waited for, but where that is tested."""
    monkeypatch.setattr(api, "_START_SECONDS", 0.0)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A workspace as `serinus init` leaves it; tests take copies."""
    cli = an_outsider(tmp_path_factory.mktemp("ws"))
    init(cli)
    return cli


@pytest.fixture(scope="session")
def pristine_released(pristine: Cli, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The same, after two releases; tests take copies."""
    cli = copy_of(pristine, tmp_path_factory.mktemp("rel"))
    with serving_admin(cli):
        cli.publish("1.0.0")
        cli.start("1.0.0", "all")
        cli.publish("1.1.0", "--rollback-to", "1.0.0")
        cli.start("1.1.0")
    return cli


@pytest.fixture
def outsider(tmp_path: Path) -> Cli:
    """The command line in a folder that is no workspace."""
    return an_outsider(tmp_path)


@pytest.fixture
def workspace(pristine: Cli) -> Iterator[Cli]:
    """A workspace without a server."""
    with a_short_folder() as folder:
        yield copy_of(pristine, folder / "w")


@pytest.fixture
def cli(workspace: Cli) -> Iterator[Cli]:
    """A workspace with a server behind it."""
    with serving_admin(workspace):
        yield workspace


@pytest.fixture
def released(pristine_released: Cli) -> Iterator[Cli]:
    """An app whose 1.0.0 was for everybody, and whose 1.1.0 is at its first ring."""
    with a_short_folder() as folder:
        cli = copy_of(pristine_released, folder / "w")
        with serving_admin(cli):
            yield cli
