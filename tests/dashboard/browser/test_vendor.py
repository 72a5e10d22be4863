"""What others made is what they made, and says whose it is."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

VENDOR = Path(__file__).parent / "vendor"


def test_vendored_files_are_those_of_the_lock() -> None:
    locked = tomllib.loads((VENDOR / "vendor.lock").read_text())["file"]

    found = {
        file["path"]: hashlib.sha256((VENDOR / file["path"]).read_bytes()).hexdigest()
        for file in locked
    }
    licences = {name for file in locked for name in file["licence_files"]}
    assert found == {file["path"]: file["sha256"] for file in locked}
    assert {each.name for each in VENDOR.iterdir()} == {*found, *licences, "vendor.lock"}


def test_vendored_files_bear_their_version_and_licence() -> None:
    for file in tomllib.loads((VENDOR / "vendor.lock").read_text())["file"]:
        head = (VENDOR / file["path"]).read_text()[:1_000]

        assert f"v{file['version']}" in head
        assert "Mozilla Public" in head
        assert all((VENDOR / name).stat().st_size > 0 for name in file["licence_files"])
