from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.releases import clinics
from tests.dashboard.visitors import Visitors
from tests.service.clinic import Clinic


@pytest.fixture(scope="session")
def rolling_once(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A release on its way; no test may change it."""
    return clinics.rolling(tmp_path_factory.mktemp("rolling") / "signer")


@pytest.fixture(scope="session")
def paused_once(rolling_once: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """The same, paused by the server; no test may change it."""
    return clinics.paused(rolling_once.fork(tmp_path_factory.mktemp("paused") / "signer"))


@pytest.fixture
def rolling(rolling_once: Clinic, tmp_path: Path) -> Clinic:
    """A release on its way."""
    return rolling_once.fork(tmp_path / "signer")


@pytest.fixture
def paused(paused_once: Clinic, tmp_path: Path) -> Clinic:
    """A release that the server paused: two people resume it."""
    return paused_once.fork(tmp_path / "signer")


@pytest.fixture
def going(rolling: Clinic) -> Visitors:
    """Who looks at the release on its way."""
    return Visitors(rolling.world)


@pytest.fixture
def visitors(paused: Clinic) -> Visitors:
    """Who looks at the paused release."""
    return Visitors(paused.world)
