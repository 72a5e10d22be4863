"""What others made is what they made, and says whose it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

VENDOR = Path(__file__).parent / "vendor"
LICENCES = {"axe.LICENSE", "axe.LICENSE-3RD-PARTY.txt"}


def locked() -> list[list[str]]:
    """Return file, name, version, licence and SHA-256 of each row."""
    rows = (VENDOR / "vendor.lock").read_text().splitlines()
    return [row.split() for row in rows if not row.startswith("#")]


def test_vendored_files_are_those_of_the_lock() -> None:
    found = {
        file: hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() for file, *_ in locked()
    }

    assert found == {file: sha256 for file, *_, sha256 in locked()}
    assert {each.name for each in VENDOR.iterdir()} == {*found, *LICENCES, "vendor.lock"}


def test_vendored_files_bear_their_version_and_licence() -> None:
    for file, _, version, licence, _ in locked():
        head = (VENDOR / file).read_text()[:1_000]

        assert f"v{version}" in head
        assert (licence, "Mozilla Public\n * License, v. 2.0" in head) == ("MPL-2.0", True)
