"""The gates of promotion: how often one opens that should not, and how soon one that should."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.delay import divergence
from benchmarks.evidence.line import Job, Line, at_most
from benchmarks.evidence.replica import (
    LOG_GRID,
    NONINFERIORITY,
    Floats,
    Ints,
    fisher,
    log_e_noninferiority,
    log_sum_exp,
    vectors_of_counts,
)

SEED = 7
LIMIT = 0.05
LOG_20 = np.log(20)
MARGINS = (1.25, 1.5, 2.0, 3.0)
SHARES_OF_CONTROLS = (1, 9, 99)  # controls for each candidate at 50, 10 and 1 %
BASE_RATES = (0.0005, 0.005, 0.02)
# Exposure at which each margin's gate stands: what a cohort of 20 candidates holds of controls.
_EXPOSURES = {1.25: 0.5, 1.5: 0.5, 2.0: 0.1, 3.0: 0.01}
_UNHEALTHY = 0.05
_HORIZON = 8  # times what a pass takes: a false one comes early or never


def pass_bound(p: float, margin: float, controls: int) -> float:
    """Return the candidate installs that a pass at a true ratio of 1 takes at least, on average."""
    share, shifted = 1 / (1 + controls), margin / (margin + controls)
    return float(LOG_20 / (p * (1 + controls) * divergence(share, shifted)))


def false_passes(rng: np.random.Generator, *, margin: float, controls: int, runs: int) -> int:
    """Return how many of *runs* ever pass although candidates crash *margin* times as often.

    Only a control's crash raises the e-value: it is largest just before each candidate's.
    """
    events = int(_HORIZON * pass_bound(1.0, margin, controls) * margin) + 20
    of_candidate = margin / (margin + controls)
    before = rng.geometric(of_candidate, (runs, events)) - 1
    k_candidate = np.broadcast_to(np.arange(events), before.shape)
    passed = np.zeros(runs, dtype=np.bool_)
    for block in np.array_split(np.arange(events), max(1, events // 50)):
        if block[0]:
            before[:, block[0]] += before[:, block[0] - 1]
        before[:, block] = np.cumsum(before[:, block], axis=1)
        vectors = vectors_of_counts(
            k_candidate[:, block], k_candidate[:, block] + before[:, block], 1 / (1 + controls)
        )
        passed |= (log_e_noninferiority(vectors, margin) >= LOG_20).any(axis=1)
    return int(passed.sum())


def installs_until_pass(
    rng: np.random.Generator, *, p: float, margin: float, controls: int, runs: int
) -> Floats:
    """Return candidate installs until a pass at a true ratio of 1, one outcome each.

    Looked at 400 times in the span of the bound: the answer is up to 0.25 % of that too large.
    """
    block = max(1, int(pass_bound(p, margin, controls) / 400))
    installs = np.full(runs, np.inf)
    k_candidate: Ints = np.zeros(runs, dtype=np.int64)
    k_control: Ints = np.zeros(runs, dtype=np.int64)
    for look in range(1, 8_000):
        k_candidate += rng.binomial(block, p, runs)
        k_control += rng.binomial(block * controls, p, runs)
        vectors = vectors_of_counts(k_candidate, k_candidate + k_control, 1 / (1 + controls))
        passed = log_e_noninferiority(vectors, margin) >= LOG_20
        installs[np.isinf(installs) & passed] = look * block
        if np.isfinite(installs).all():
            break
    return installs


def unhealthy_passes(rng: np.random.Generator, *, margin: float, runs: int) -> int:
    """Return how many of *runs* pass the gate of healthy launches at an odds ratio of *margin*."""
    exposure = _EXPOSURES[margin]
    size = round(20 / min(exposure, 1 - exposure))
    odds = margin * _UNHEALTHY / (1 - _UNHEALTHY)
    worse = odds / (1 + odds)
    points = np.exp(np.r_[LOG_GRID[NONINFERIORITY.where], np.log(margin)])
    sums = np.zeros((runs, len(points)))
    passed = np.zeros(runs, dtype=np.bool_)
    controls = round((1 - exposure) / exposure)
    cohorts = int(5 * pass_bound(_UNHEALTHY, margin, controls) / (size * exposure)) + 20
    for _ in range(cohorts):
        n_candidate = rng.binomial(size, exposure, runs)
        k_candidate = rng.binomial(n_candidate, worse)
        k = k_candidate + rng.binomial(size - n_candidate, _UNHEALTHY)
        sums += fisher(k_candidate, k, n_candidate, size - n_candidate, points)
        log_e = log_sum_exp(sums[:, :-1] + NONINFERIORITY.logs) - sums[:, -1]
        passed |= log_e >= LOG_20
    return int(passed.sum())


def false_pass_lines(margin: float, runs: int) -> list[Line]:
    """Return row 7 for one margin: crashes in three rings, and first healthy launches."""
    lines = []
    for controls in SHARES_OF_CONTROLS:
        seed = SEED * 1_000 + int(margin * 100) + 1_000 * controls
        hits = false_passes(
            np.random.default_rng(seed), margin=margin, controls=controls, runs=runs
        )
        name = f"false promotions by crashes, truth at margin {margin:g}, r={controls}"
        lines.append(at_most(name, hits / runs, LIMIT, n=runs, seed=seed))
    seed = SEED * 1_000 + 500 + int(margin * 100)
    hits = unhealthy_passes(np.random.default_rng(seed), margin=margin, runs=runs)
    name = f"false promotions by healthy launches, truth at odds ratio {margin:g}"
    return [*lines, at_most(name, hits / runs, LIMIT, n=runs, seed=seed)]


def pass_lines(margin: float, runs: int) -> list[Line]:
    """Return row 8 for one margin."""
    lines = []
    for index, p in enumerate(BASE_RATES):
        seed = SEED * 1_000 + 800_000 + int(margin * 100) + index
        installs = installs_until_pass(
            np.random.default_rng(seed), p=p, margin=margin, controls=9, runs=runs
        )
        bound = pass_bound(p, margin, 9)
        name = f"installs to pass, no harm, margin {margin:g}, p={p:g}: mean over bound"
        lines.append(
            at_most(
                f"{name} ({bound:,.0f})", float(installs.mean() / bound), 1.4, n=runs, seed=seed
            )
        )
    return lines


def jobs() -> list[Job]:
    """Return the jobs of rows 7 and 8, but for silence."""
    return [
        *(
            Job(name=f"false promotions {margin:g}", run=partial(false_pass_lines, margin, 4_000))
            for margin in MARGINS
        ),
        *(
            Job(name=f"installs to pass {margin:g}", run=partial(pass_lines, margin, 1_000))
            for margin in MARGINS
        ),
    ]
