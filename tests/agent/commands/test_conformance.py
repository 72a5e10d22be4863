"""The adapter for the TUF conformance suite, on a small repository of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from client_agent.cli import main
from tests.agent.signed_world import BASE, SignedWorld
from tests.agent.web_server import WebServer

PATH = "demo/releases/stable/linux-x86_64/2.1.0/demo-2.1.0.srn"


class Suite:
    """Calls the adapter as the suite does."""

    def __init__(self, world: SignedWorld, server: WebServer, folder: Path) -> None:
        self.world = world
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self.url = f"{server.url}{BASE}"
        self.root = folder / "initial_root.json"
        self.root.write_bytes(world.root_metadata)
        self.metadata.mkdir()
        self.targets.mkdir()

    def __call__(self, *words: str) -> int:
        return main(["tuf-conformance", "--metadata-dir", str(self.metadata), *words])

    def init(self) -> int:
        return self("init", str(self.root))

    def refresh(self) -> int:
        return self("--metadata-url", f"{self.url}/tuf", "refresh")

    def download(self, *names: str) -> int:
        wanted = [word for name in names for word in ("--target-name", name)]
        places = ["--target-base-url", f"{self.url}/targets", "--target-dir", str(self.targets)]
        return self("--metadata-url", f"{self.url}/tuf", *wanted, *places, "download")


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    world = SignedWorld(datetime.now(UTC).replace(microsecond=0))
    world.add_release("2.1.0")
    world.set_rollout()
    world.commit()
    with WebServer() as server:
        world.serve(server)
        yield Suite(world, server, tmp_path)


def test_only_metadata_ends_in_json(suite: Suite) -> None:
    assert suite.init() == 0
    assert suite.refresh() == 0

    names = sorted(path.name for path in suite.metadata.iterdir() if path.suffix == ".json")
    assert names == ["root.json", "snapshot.json", "targets.json", "timestamp.json"]


def test_a_target_is_verified_and_stored_once(suite: Suite) -> None:
    suite.init()

    assert suite.download(PATH) == 0
    assert suite.download(PATH) == 0

    (stored,) = suite.targets.iterdir()
    assert stored.read_bytes() == b"payload"


def test_a_target_that_does_not_verify_is_refused(suite: Suite) -> None:
    suite.init()
    (name,) = [name for name in suite.world.files if name.endswith(".srn")]
    suite.world.files[name] = b"poisons"

    assert suite.download(PATH) == 1
    assert list(suite.targets.iterdir()) == []


@pytest.mark.parametrize("name", ["demo/none.srn", "nowhere"])
def test_a_name_that_is_no_target_is_refused(suite: Suite, name: str) -> None:
    suite.init()

    assert suite.download(name) == 1


def test_a_target_that_is_not_there_is_refused(suite: Suite) -> None:
    suite.init()
    suite.world.files = {k: v for k, v in suite.world.files.items() if not k.endswith(".srn")}

    assert suite.download(PATH) == 1


def test_without_a_trusted_root_nothing_is_refreshed(suite: Suite) -> None:
    assert suite.refresh() == 1


def test_the_floor_counts_here_as_in_an_agent(suite: Suite) -> None:
    suite.init()
    old = dict(suite.world.files)
    suite.world.publish()
    suite.refresh()
    for path in suite.metadata.glob("*.json"):
        path.unlink()
    suite.world.files = old

    assert suite.refresh() == 1
