"""Lost contacts of one arm: how soon they are noticed, and how often for nothing. Row 12."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least, at_most
from benchmarks.evidence.replica import log_sum_exp

SEED = 12
ENTRANTS = 20_000
THETAS = np.round(2.0 ** (np.r_[-32:0, 1:33] / 16), 12)
_WEIGHTS = 1 / (1 + np.abs(np.r_[-32:0, 1:33]) / 4)
LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
LOG_1000 = np.log(1_000)
_STEP = 20  # entrants between two looks
_SUSPENDED = 0.95
_ALLOWED = 0.001


def suspended(rng: np.random.Generator, *, exposure: float, lost: float, runs: int) -> int:
    """Return how many of *runs* are suspended within 20,000 entrants.

    Args:
        rng: Where its random numbers come from.
        exposure: The design's share of candidates.
        lost: The share of the candidates' contacts that never arrive.
        runs: How many stages.
    """
    arriving = exposure * (1 - lost) / (exposure * (1 - lost) + 1 - exposure)
    candidates = np.zeros(runs, dtype=np.int64)
    found = np.zeros(runs, dtype=np.bool_)
    cost = np.log1p((THETAS - 1) * exposure)
    for entrants in range(_STEP, ENTRANTS + 1, _STEP):
        candidates += rng.binomial(_STEP, arriving, runs)
        vectors = candidates[:, None] * np.log(THETAS) - entrants * cost
        found |= log_sum_exp(vectors + LOG_WEIGHTS) >= LOG_1000
    return int(found.sum())


def lost_lines(exposure: float, lost: float, runs: int) -> list[Line]:
    """Return row 12 for one loss."""
    seed = SEED * 1_000 + int(exposure * 100)
    found = suspended(np.random.default_rng(seed), exposure=exposure, lost=lost, runs=runs)
    name = f"sample ratio, {lost:.0%} of the candidates' contacts lost at f={exposure:g}: suspended"
    return [at_least(name, found / runs, _SUSPENDED, n=runs, seed=seed)]


def sound_lines(exposure: float, runs: int) -> list[Line]:
    """Return row 12 where nothing is lost: 0.1 % may be suspended, and the error of measuring."""
    seed = SEED * 1_000 + 500 + int(exposure * 100)
    found = suspended(np.random.default_rng(seed), exposure=exposure, lost=0.0, runs=runs)
    error = 2 * np.sqrt(_ALLOWED / runs)
    name = f"sample ratio, nothing lost at f={exposure:g}: suspended"
    return [at_most(name, found / runs, float(_ALLOWED + error), n=runs, seed=seed)]


def jobs() -> list[Job]:
    """Return the jobs of row 12."""
    return [
        Job(name="sample ratio, 20 % lost", run=partial(lost_lines, 0.1, 0.2, 400)),
        Job(name="sample ratio, 10 % lost", run=partial(lost_lines, 0.5, 0.1, 400)),
        Job(name="sample ratio, none lost, 10 %", run=partial(sound_lines, 0.1, 5_000)),
        Job(name="sample ratio, none lost, 50 %", run=partial(sound_lines, 0.5, 5_000)),
    ]
