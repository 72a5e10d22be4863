"""Whether the interval holds the truth at all checks at once: row 9."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least
from benchmarks.evidence.replica import intervals, labels_of, vectors_over_time

SEED = 9
RATIOS = (0.77, 1.0, 1.5, 3.0)
CHECKS = 120


def covered(rng: np.random.Generator, *, ratio: float, runs: int, installs: int = 20_000) -> int:
    """Return in how many of *runs* the truth is inside at each of 120 checks.

    One risk set, in which 3 % of the controls crash by the end.
    """
    checks = np.arange(1.0, CHECKS + 1)
    hits = 0
    for _ in range(runs):
        candidate = rng.random(installs) < 0.1
        mean = np.where(candidate, CHECKS / 0.03 / ratio, CHECKS / 0.03)
        crash = rng.exponential(mean)
        labels = labels_of(
            np.zeros(installs, dtype=np.int64), candidate, np.where(crash < CHECKS, crash, np.inf)
        )
        low, high = intervals(vectors_over_time(labels, checks))
        hits += bool(((low <= ratio) & (ratio <= high)).all())
    return hits


def lines(ratio: float, runs: int) -> list[Line]:
    """Return row 9 for one ratio."""
    seed = SEED * 1_000 + int(ratio * 100)
    hits = covered(np.random.default_rng(seed), ratio=ratio, runs=runs)
    name = f"interval at ratio {ratio:g}: truth inside at all {CHECKS} checks"
    return [at_least(name, hits / runs, 0.95, n=runs, seed=seed)]


def jobs() -> list[Job]:
    """Return the jobs of row 9."""
    return [Job(name=f"interval {ratio:g}", run=partial(lines, ratio, 1_000)) for ratio in RATIOS]
