from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.admin_world import World
from tests.service.clinic import OPEN, Clinic, a_clinic, sicken
from update_server.evidence.settings import May


@pytest.fixture
def world(released: World, tmp_path: Path) -> World:
    """A world with 2.0.0 completed and 2.1.0 published."""
    return released.fork(tmp_path / "signer")


@pytest.fixture(scope="session")
def paused_once(released: World, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic whose release was paused; no test may change it."""
    terms = replace(OPEN, automatic=frozenset({May.PAUSE}))
    clinic = a_clinic(released.fork(tmp_path_factory.mktemp("paused") / "signer"), terms=terms)
    sicken(clinic)
    clinic.round()
    clinic.world.advance(700)
    clinic.round()  # the study is told of the pause
    return clinic


@pytest.fixture
def clinic(paused_once: Clinic, tmp_path: Path) -> Clinic:
    """A clinic whose release was paused."""
    return paused_once.fork(tmp_path / "clinic")
