"""Releases for pages to be about: played out once, and forked for each test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.model import Step
from tests.admin_world import APP, a_released_world
from tests.service.clinic import OPEN, Clinic, a_clinic
from update_server.evidence.settings import May, Settings

FLEET = range(900)
LADDER = (
    Step(ring="10%", exposure_bp=1_000, soak_seconds=60),
    Step(ring="half", exposure_bp=5_000, soak_seconds=60),
    Step(ring="all", exposure_bp=10_000, approvals=2),
)
PAUSES = replace(OPEN, automatic=frozenset({May.PAUSE}))


def rolling(folder: Path, *, terms: Settings = PAUSES, **policy: Any) -> Clinic:
    """Return a release that a tenth of the fleet was offered, a moment ago."""
    clinic = a_clinic(a_released_world(folder), terms=terms, ladder=LADDER, **policy)
    clinic.check_in(FLEET)
    clinic.world.advance(60)
    clinic.round()
    return clinic


def paused(clinic: Clinic) -> Clinic:
    """Return *clinic* after many candidates crashed, and the server paused its release."""
    candidates, controls = clinic.candidates(FLEET), clinic.controls(FLEET)
    for n in range(4):
        clinic.crash(candidates[6 * n : 6 * n + 6])
        clinic.crash(controls[n : n + 1])
        clinic.world.advance(700)
        clinic.check_in(FLEET[:50])
        clinic.round()
    return clinic


def path_of(clinic: Clinic) -> str:
    """Return the path of the release page."""
    return f"/apps/{APP}/rollouts/{clinic.rollout.id}"
