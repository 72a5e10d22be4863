"""A folder of spools, one of them, and their reader."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from update_server.spool import FileSpool, FileSpoolReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def reader(folder: Path) -> FileSpoolReader:
    return FileSpoolReader(folder)


@pytest.fixture
def spool(folder: Path) -> Iterator[FileSpool]:
    spool = FileSpool(folder, "one")
    yield spool
    spool.close()
