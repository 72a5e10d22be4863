"""Small fleets and short ladders, so that a rehearsal takes no longer than a test may."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from rollout.model import Step
from update_server.evidence.settings import DAY, STANDARD, Gate, Settings
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.outcome import Outcome
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.world import Limits, run

A_DAY = 86_400

STEPS = (
    Step(ring="internal", soak_seconds=A_DAY),
    Step(ring="10%", exposure_bp=1_000, soak_seconds=A_DAY),
    Step(ring="all", exposure_bp=5_000, soak_seconds=A_DAY),
    Step(ring="all", exposure_bp=10_000),
)
LENIENT = replace(STANDARD, gates=(Gate(up_to_bp=10_000, margin=3.0, silence=0.1),))


def a_plan(*, steps: tuple[Step, ...] = STEPS, **settings: Any) -> Plan:
    """Return a plan that lets a sound release through within days; *settings* are changes."""
    return Plan(steps=steps, settings=replace(LENIENT, **settings))


def a_fleet(**changes: Any) -> Fleet:
    """Return 1,500 installs, of which 3 % crash on a day."""
    usual: dict[str, Any] = {"installs": 1_500, "crash_a_day": 0.03, "internal": 10}
    return Fleet(**(usual | changes))


def rehearsed(
    harm: Harm,
    *,
    seed: int = 1,
    plan: Plan | None = None,
    fleet: Fleet | None = None,
    **limits: float,
) -> Outcome:
    """Return one virtual rollout of a release with *harm*."""
    return run(
        plan or a_plan(),
        fleet or a_fleet(),
        harm,
        draws=random.Random(seed),
        limits=Limits(**{"horizon_seconds": 20 * DAY, **limits}),
    )


__all__ = ["STEPS", "Settings", "a_fleet", "a_plan", "rehearsed"]
