"""Deltas from `serinus release publish` to an armed version, with real processes and HTTP."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.install import Install
from tests.e2e.running import LINUX, Server, a_server

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-deltas")]

_dice = random.Random(8)
_DATA = _dice.randbytes(300_000)


def write_tree(folder: Path, version: str) -> Path:
    """Write a program with data of which the next version has nearly all."""
    tree = folder / f"tree-{version}"
    tree.mkdir()
    program = tree / "notes"
    program.write_text(f"#!/bin/sh\necho notes {version}\n")
    program.chmod(0o755)
    (tree / "data").write_bytes(_DATA[:100_000] + version.encode() * 20 + _DATA[100_000:])
    return tree


def publish(server: Server, version: str, *more: str) -> dict[str, Any]:
    tree = write_tree(server.folder, version)
    artifact = f"{LINUX}={tree}"
    published = server.serinus(
        "release", "publish", version, "--artifact", artifact, "--entry", "notes", *more
    )
    server.start_rollout(version)
    server.serinus(
        "rollout", "promote", version, "--ring", "all", "--override", "--reason", "a test", "--yes"
    )
    server.wait_until_told(lambda told: told["version"] == version, "0.9.0")
    return published


@dataclass(frozen=True)
class Fleet:
    """A server with 1.1.0 and a delta to it, and an install that has 1.0.0."""

    server: Server
    install: Install
    delta: str
    payload: str

    def spoil(self, name: str) -> None:
        """Change one byte of the stored file of that name, as a bad disk does."""
        files = self.server.folder / "server" / "files" / "apps"
        (path,) = files.rglob(f"*.{name}")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.unlink()
        path.write_bytes(data)

    def repair(self, name: str) -> None:
        """Undo ``spoil``."""
        self.spoil(name)


@pytest.fixture(scope="module")
def fleet(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("deltas")
    with a_server(workspace, folder / "updates") as server:
        publish(server, "1.0.0")
        install = Install.empty(server, folder / "install")
        install.update()
        install.confirm()
        install.update()
        publish(server, "1.1.0", "--rollback-to", "1.0.0", "--delta-from", "1.0.0")
        (platform,) = server.serinus("release", "show", "1.1.0")["platforms"]
        (delta,) = platform["deltas"]
        payload = platform["artifact"]
        yield Fleet(
            server=server,
            install=install,
            delta=Path(delta["path"]).name,
            payload=Path(payload["path"]).name,
        )


def test_an_install_takes_the_delta_that_was_published(fleet: Fleet, tmp_path: Path) -> None:
    status = fleet.install.again(tmp_path / "install").update()

    taken = status["last_update"]
    assert status["pending"]["version"] == "1.1.0"
    assert taken["delta"] is True
    assert taken["received_bytes"] < taken["full_bytes"] / 10


def test_a_spoilt_delta_is_made_up_for_by_the_payload_in_the_same_visit(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.spoil(fleet.delta)

    status = fleet.install.again(tmp_path / "install").update()

    fleet.repair(fleet.delta)
    assert status["pending"]["version"] == "1.1.0"
    assert status["last_update"]["delta"] is False
    assert status["last_update"]["received_bytes"] > status["last_update"]["full_bytes"]


def test_with_a_spoilt_payload_the_delta_works_and_nothing_else(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.spoil(fleet.payload)

    with_base = fleet.install.again(tmp_path / "install").update()
    without = Install.empty(fleet.server, tmp_path / "empty").update()

    fleet.repair(fleet.payload)
    assert with_base["pending"]["version"] == "1.1.0"
    assert without["pending"] is None
    assert without["error"]["code"] == "hash_mismatch"
