"""False pauses with seven metrics that depend on each other, and promotes chosen from all of them.

The proof is for one metric at a time and for promotes fixed beforehand. Here the hour of a promote
is picked from everything that was seen, in one half of the runs when it looks good and in the
other when it looks bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.evidence.false_pauses import SEED, line_of
from benchmarks.evidence.fleet import Fleet, a_fleet, hourly_cohorts, until
from benchmarks.evidence.line import Job, Line
from benchmarks.evidence.replica import (
    HARM,
    LOG_OMEGA_WEIGHTS,
    OMEGAS,
    Bools,
    Floats,
    fisher,
    labels_of,
    log_sum_exp,
    vectors_over_time,
)

WEIGHTS: Floats = np.array([0.30, 0.10, 0.05, 0.15, 0.20, 0.05, 0.05])
EVENTS = 3  # crash, crash loop, a new signature; then healthy launch, silence, start-up, memory
_RAMP = (0.01, 0.1, 0.5)
_LONGEST = 72  # hours in a stage
_SHORTEST = 24
_WINDOW = 24.0
_COHORT = 20  # installs in the smaller arm


@dataclass(slots=True)
class _Run:
    """What is kept from stage to stage: vectors of each metric, and who has had its event."""

    events: Floats
    outcomes: Floats
    had: Bools  # one row for each metric


def _stage(
    rng: np.random.Generator, fleet: Fleet, bucket: Floats, exposure: float, run: _Run
) -> tuple[Floats, list[Floats], Floats]:
    """Return log e-values and vectors at each hour of a stage, and when each has its event."""
    installs = len(bucket)
    candidate = bucket < exposure
    checks = np.arange(1.0, _LONGEST + 1)
    entry = rng.exponential(1 / fleet.sessions)
    cohort = hourly_cohorts(entry, _LONGEST)
    crash = until(entry + rng.exponential(1 / fleet.crashes), _LONGEST)
    loop = until(np.where(rng.random(installs) < 0.4, crash + 0.3, np.inf), _LONGEST)
    signature = np.where(bucket * 1e4 % 1 < 0.3, crash, np.inf)  # three tenths have it
    times = [crash, loop, signature]
    vectors = [
        run.events[metric]
        + vectors_over_time(
            labels_of(np.where(run.had[metric], -1, cohort), candidate, times[metric]),
            checks,
            HARM.where,
        )
        for metric in range(EVENTS)
    ]
    # The crash-prone launch badly, the rarely used stay away, and slow starts go with big heaps.
    frailty = fleet.crashes / fleet.sessions
    slow = rng.random(installs)
    bad = [
        rng.random(installs) < 1 - np.exp(-5 * frailty),
        rng.random(installs) < np.exp(-_WINDOW * fleet.sessions),
        slow < 0.1,
        slow + rng.normal(0, 0.05, installs) < 0.15,
    ]
    due = until(entry + _WINDOW, _LONGEST)
    size = int(np.ceil(_COHORT / min(exposure, 1 - exposure)))
    for metric, outcome in enumerate(bad):
        awaited = np.where(run.had[EVENTS + metric], np.inf, due)
        times.append(np.where(outcome, awaited, np.inf))
        vectors.append(run.outcomes[metric] + _scored(awaited, candidate, outcome, size, checks))
    logs = [
        log_sum_exp(vector + (HARM.logs if metric < EVENTS else LOG_OMEGA_WEIGHTS))
        for metric, vector in enumerate(vectors)
    ]
    return np.stack(logs, axis=1), vectors, np.stack(times)


def _scored(due: Floats, candidate: Bools, bad: Bools, size: int, checks: Floats) -> Floats:
    """Return the summed factors of the cohorts that have matured at each check."""
    order = np.argsort(due)[: np.isfinite(due).sum()]
    cohorts = len(order) // size
    if not cohorts:
        return np.zeros((len(checks), len(OMEGAS)))
    order = order[: cohorts * size].reshape(cohorts, size)
    n_candidate = candidate[order].sum(axis=1)
    factors = fisher(
        (candidate & bad)[order].sum(axis=1),
        bad[order].sum(axis=1),
        n_candidate,
        size - n_candidate,
        OMEGAS,
    )
    sums = np.concatenate([np.zeros((1, len(OMEGAS))), np.cumsum(factors, axis=0)])
    seen: Floats = sums[np.searchsorted(due[order[:, -1]], checks, side="right")]
    return seen


def pauses(rng: np.random.Generator, *, promote_the_bad: bool, installs: int = 5_000) -> bool:
    """Return whether a harmless release is paused by any metric on its way through the rings."""
    fleet = a_fleet(rng, installs=installs, crash_share=0.005)
    bucket = rng.random(installs)
    run = _Run(
        np.zeros((EVENTS, len(HARM.logs))),
        np.zeros((len(WEIGHTS) - EVENTS, len(OMEGAS))),
        np.zeros((len(WEIGHTS), installs), dtype=np.bool_),
    )
    for exposure in _RAMP:
        logs, vectors, times = _stage(rng, fleet, bucket, exposure, run)
        looks: Bools = np.where(promote_the_bad, logs.sum(axis=1) > 0, (logs < 0).all(axis=1))
        looks[: _SHORTEST - 1] = False
        promoted = int(looks.argmax()) if looks.any() and exposure < _RAMP[-1] else _LONGEST - 1
        if (logs[: promoted + 1] + np.log(WEIGHTS) >= np.log(100)).any():
            return True
        run.events = np.stack([vector[promoted] for vector in vectors[:EVENTS]])
        run.outcomes = np.stack([vector[promoted] for vector in vectors[EVENTS:]])
        run.had |= times <= promoted + 1
    return False


def lines(runs: int) -> list[Line]:
    """Return row 2's seven metrics."""
    seed = SEED * 1_000 + 203
    rng = np.random.default_rng(seed)
    hits = sum(pauses(rng, promote_the_bad=run % 2 == 1) for run in range(runs))
    return [line_of("seven dependent metrics, promotes chosen from all", hits, runs, seed)]


def jobs() -> list[Job]:
    """Return the job of the seven metrics."""
    return [Job(name="false pauses, seven metrics", run=partial(lines, 2_000))]
