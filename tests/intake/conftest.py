from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.intake.fleet import Fleet, a_fleet
from tests.intake.node import NodeMissingError, sdk_folder


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server for all: tests that use it are a group, and look only at what they add."""
    with a_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def node() -> Path:
    """Where Node finds its SDK."""
    try:
        return sdk_folder()
    except NodeMissingError as error:
        pytest.skip(str(error))
