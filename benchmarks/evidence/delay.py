"""How long harm takes to be found: candidate installs until the pause, and hours with strata."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.evidence.fleet import a_fleet, strata, until
from benchmarks.evidence.line import Job, Line, at_least, at_most
from benchmarks.evidence.replica import (
    HARM,
    Floats,
    Ints,
    labels_of,
    log_e_harm_over_time,
    log_sum_exp,
    vectors_of_counts,
)

SEED = 4
LOG_100 = np.log(100)
CELLS = (
    (0.0005, 1.5),
    (0.0005, 2.0),
    (0.005, 1.25),
    (0.005, 1.5),
    (0.005, 2.0),
    (0.005, 5.0),
    (0.005, 20.0),
    (0.02, 1.25),
    (0.02, 1.5),
    (0.02, 2.0),
    (0.02, 5.0),
    (0.02, 20.0),
)
_FEW = 10  # installs: below this bound a single install more or less shows
_HORIZON_HOURS = 72


def divergence(a: float, b: float) -> float:
    """Return the Kullback-Leibler divergence of two coins, in nats."""
    return float(a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b)))


def harm_bound(p: float, ratio: float, controls: int) -> float:
    """Return the candidate installs below which no test with alpha 1 % gets, on average."""
    worse = ratio * p
    pooled = (worse + controls * p) / (1 + controls)
    return float(LOG_100 / (divergence(worse, pooled) + controls * divergence(p, pooled)))


def installs_until_pause(
    rng: np.random.Generator, *, p: float, ratio: float, controls: int, runs: int
) -> tuple[Floats, Floats]:
    """Return candidate installs until the pause, by the mixture and by the known ratio.

    One candidate and *controls* controls at a time show whether they crash, each on its own.
    Only a candidate's crash can raise the e-value above what it was, so that only those are
    looked at; controls of the same step come first. Infinite where the run never paused.
    """
    share = 1 / (1 + controls)
    events = int(40 + 12 * harm_bound(p, ratio, controls) * ratio * p)
    mixture, known = np.full(runs, np.inf), np.full(runs, np.inf)
    gain, loss = np.log(ratio), np.log1p((ratio - 1) * share)
    installs: Ints = np.zeros(runs, dtype=np.int64)
    k_control: Ints = np.zeros(runs, dtype=np.int64)
    for k in range(1, events + 1):
        steps = rng.geometric(ratio * p, runs)
        installs += steps
        k_control += rng.binomial(steps * controls, p)
        of_known = k * gain - (k + k_control) * loss
        known = np.where(np.isinf(known) & (of_known >= LOG_100), installs, known)
        open_runs = np.flatnonzero(np.isinf(mixture))
        if not len(open_runs) and not np.isinf(known).any():
            break
        vectors = vectors_of_counts(np.full(len(open_runs), k), k + k_control[open_runs], share)
        crossed = open_runs[log_sum_exp(vectors[:, HARM.where] + HARM.logs) >= LOG_100]
        mixture[crossed] = installs[crossed]
    return mixture, known


def cell(p: float, ratio: float, controls: int, runs: int) -> list[Line]:
    """Return what row 4 promises of one base rate, ratio and ring."""
    seed = SEED * 1_000 + CELLS.index((p, ratio)) * 100 + controls
    installs, known = installs_until_pause(
        np.random.default_rng(seed), p=p, ratio=ratio, controls=controls, runs=runs
    )
    bound = harm_bound(p, ratio, controls)
    name = f"delay p={p:g} ratio={ratio:g} r={controls}"
    return [
        at_most(
            f"{name}: mean installs over bound ({bound:,.4g})",
            float(installs.mean() / bound),
            1.8 if bound < _FEW else 1.6,
            n=runs,
            seed=seed,
        ),
        at_most(
            f"{name}: mean installs over those of the known ratio",
            float(installs.mean() / known.mean()),
            1.45,
            n=runs,
            seed=seed,
        ),
        at_most(
            f"{name}: 90th percentile over bound",
            float(np.quantile(installs, 0.9) / bound),
            3.3,
            n=runs,
            seed=seed,
        ),
        at_least(f"{name}: paused", float(np.isfinite(installs).mean()), 0.999, n=runs, seed=seed),
    ]


def hours_until_pause(
    rng: np.random.Generator, *, p: float, ratio: float, by_stratum: bool, runs: int
) -> Floats:
    """Return the hours until the pause, all having entered at 0; 72 where there was none."""
    checks = np.arange(1.0, _HORIZON_HOURS + 1)
    hours = np.full(runs, float(_HORIZON_HOURS))
    for run in range(runs):
        fleet = a_fleet(rng, installs=20_000, crash_share=p, ratio=ratio, all_at_once=True)
        stratum = strata(rng, fleet)
        labels = labels_of(
            stratum if by_stratum else np.zeros_like(stratum),
            fleet.candidate,
            until(fleet.crash, _HORIZON_HOURS),
        )
        crossed = log_e_harm_over_time(labels, checks) >= LOG_100
        if crossed.any():
            hours[run] = checks[crossed.argmax()]
    return hours


def strata_cell(p: float, limit: float, runs: int) -> list[Line]:
    """Return what row 5 promises: the mean hours until a doubling is paused, with strata."""
    seed = SEED * 1_000 + 900 + int(1_000 * p)
    hours = hours_until_pause(
        np.random.default_rng(seed), p=p, ratio=2.0, by_stratum=True, runs=runs
    )
    name = f"delay with history strata p={p:g} ratio=2: mean hours until the pause"
    return [at_most(name, float(hours.mean()), limit, n=runs, seed=seed)]


def jobs() -> list[Job]:
    """Return the jobs of rows 4 and 5."""
    cells = [
        Job(
            name=f"delay p={p:g} ratio={ratio:g} r={controls}",
            run=partial(cell, p, ratio, controls, 1_000),
        )
        for p, ratio in CELLS
        for controls in (9, 99)
    ]
    return [
        *cells,
        Job(name="delay with strata, p=0.02", run=partial(strata_cell, 0.02, 11.0, 300)),
        Job(name="delay with strata, p=0.005", run=partial(strata_cell, 0.005, 17.0, 300)),
    ]
