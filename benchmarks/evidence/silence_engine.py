"""Silence by the real engine: row 10's bricked fleets, and false pauses of whole harmless runs.

Everybody bricked means that candidates check in, download, apply, and are never heard from again:
there is no crash event at all. Installs are counted up to the decision against the control: the
candidates whose outcome was known then.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least, at_most
from benchmarks.evidence.world import Release, World, facts_of, opened, pause
from update_server.evidence.settings import HOUR, Metric
from update_server.evidence.verdicts import Verdict

SEED = 10
HOURS = 60
_MOST_INSTALLS = 100
_NEVER = 0.0
_ALPHA = 0.01


def installs_until_pause(seed: int, release: Release, *, hours: float) -> float:
    """Return candidates with a known outcome at the first decision against the control.

    Infinite where there was none, or where it was about something else than their absence.
    """
    world = World()
    facts = facts_of(
        np.random.default_rng(seed), release, hours=hours, installs=2_000, crash_share=_NEVER
    )
    world.run([opened(), *facts], hours * HOUR, then=pause)
    for record in world.records:
        if record["cause_metric"] in (Metric.SILENCE, Metric.HEALTHY):
            return float(record["candidate"]["installs"])
    return float("inf")


def bricked_lines(runs: int, part: int) -> list[Line]:
    """Return row 10's fully bricked release, for one part of the runs."""
    seed = SEED * 1_000 + 600 + part * 100
    release = Release(bricked=1.0)
    installs = [installs_until_pause(seed + run, release, hours=HOURS) for run in range(runs)]
    name = f"silence (engine), everybody bricked, no crash, part {part + 1}"
    return [
        at_most(
            f"{name}: most installs until the pause",
            max(installs),
            _MOST_INSTALLS,
            n=runs,
            seed=seed,
        ),
    ]


def harmless(seed: int) -> bool:
    """Return whether a harmless release is ever paused, by anything, stop lines included.

    A small fleet at 50 %, for two and a half days.
    """
    world = World()
    facts = facts_of(
        np.random.default_rng(seed),
        Release(),
        hours=HOURS,
        installs=600,
        exposure_bp=5_000,
        crash_share=0.005,
    )
    world.run([opened(0.0, 5_000), *facts], HOURS * HOUR, then=pause)
    return any(record["verdict"] in (Verdict.PAUSE, Verdict.PULL) for record in world.records)


def harmless_lines(runs: int) -> list[Line]:
    """Return how often the whole engine, all metrics together, pauses a harmless release."""
    seed = SEED * 1_000 + 2_000
    share = sum(harmless(seed + run) for run in range(runs)) / runs
    error = 2 * np.sqrt(_ALPHA * (1 - _ALPHA) / runs)
    name = "false pauses of the whole engine, all metrics and stop lines"
    return [at_most(name, share, float(_ALPHA + error), n=runs, seed=seed)]


def some_bricked_lines(runs: int) -> list[Line]:
    """Return how often the whole engine finds 20 % bricked installs within 60 hours."""
    seed = SEED * 1_000 + 900
    release = Release(bricked=0.2)
    installs = [installs_until_pause(seed + run, release, hours=HOURS) for run in range(runs)]
    found = float(np.isfinite(installs).mean())
    return [at_least("silence (engine), 20 % bricked: paused", found, 1.0, n=runs, seed=seed)]


def jobs() -> list[Job]:
    """Return the jobs of silence that the engine itself is driven in."""
    return [
        *(
            Job(name=f"silence, engine, bricked {part}", run=partial(bricked_lines, 25, part))
            for part in range(2)
        ),
        Job(name="silence, engine, 20 % bricked", run=partial(some_bricked_lines, 10)),
        Job(name="engine, harmless", run=partial(harmless_lines, 400)),
    ]
