"""Silence: installs that do not come back. Rows 7, 8 and 10, but for those of the real engine.

Three strata, 40, 40 and 20 % of the installs, with 2, 10 and 40 % silent anyway, and cohorts of
20 candidates and 180 controls. What is silent anyway is predicted from a history that is right
("history known") or from the default of 10 % everywhere ("history unknown").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least, at_most, report
from benchmarks.evidence.replica import (
    SHARES,
    Floats,
    fisher,
    log_e_silence,
    silence_omegas,
)

SEED = 10
CANDIDATES = 20
CONTROLS = 180
STRATA: Floats = np.array([0.4, 0.4, 0.2])
BASE_RATES: Floats = np.array([0.02, 0.1, 0.4])
UNKNOWN: Floats = np.array([0.1, 0.1, 0.1])
LOG_100 = np.log(100)
LOG_20 = np.log(20)
_HISTORY_WEIGHT = 100
# What the design page states for a bricked share: the information bound; installs to pass a gate.
BOUNDS = {1.0: 1.7, 0.2: 24.0, 0.05: 237.0, 0.02: 1_211.0, 0.01: 4_413.0}
GATES = {0.1: 116.0, 0.05: 326.0, 0.02: 1_330.0, 0.01: 3_440.0}


def cohorts(
    rng: np.random.Generator, *, bricked: float, history: Floats, runs: int
) -> Iterator[Floats]:
    """Yield the summed log factors of all runs (rows) and ``SHARES`` after each cohort."""
    silent, controls = np.zeros((runs, 3)), np.zeros((runs, 3))
    sums = np.zeros((runs, len(SHARES)))
    each = np.arange(runs)
    while True:
        stratum = rng.choice(3, runs, p=STRATA)
        p = BASE_RATES[stratum]
        k_candidate = rng.binomial(CANDIDATES, p + bricked * (1 - p))
        k_control = rng.binomial(CONTROLS, p)
        seen = _HISTORY_WEIGHT + controls[each, stratum]
        predicted = (_HISTORY_WEIGHT * history[stratum] + silent[each, stratum]) / seen
        sums = sums + fisher(
            k_candidate,
            k_candidate + k_control,
            np.full(runs, CANDIDATES),
            np.full(runs, CONTROLS),
            silence_omegas(np.clip(predicted, 0.001, 0.9)),
        )
        # Only after it was scored does a cohort say what to expect of the next.
        silent[each, stratum] += k_control
        controls[each, stratum] += CONTROLS
        yield sums


def installs_until(
    rng: np.random.Generator,
    *,
    bricked: float,
    history: Floats,
    gate: float | None,
    horizon: int,
    runs: int,
) -> Floats:
    """Return candidate installs until the pause, or with *gate* until that gate opens.

    Infinite where neither came within *horizon* candidate installs.
    """
    installs = np.full(runs, np.inf)
    steps = cohorts(rng, bricked=bricked, history=history, runs=runs)
    for seen in range(CANDIDATES, horizon + 1, CANDIDATES):
        sums = next(steps)
        if gate is None:
            reached = log_e_silence(sums) >= LOG_100
        else:
            reached = -sums[:, int(np.argmin(np.abs(SHARES - gate)))] >= LOG_20
        installs[np.isinf(installs) & reached] = seen
        if np.isfinite(installs).all():
            break
    return installs


def false_pause_lines(history: Floats, name: str, runs: int) -> list[Line]:
    """Return row 10's false pauses, within 10,000 candidate installs."""
    seed = SEED * 1_000 + int(1_000 * history[0])
    installs = installs_until(
        np.random.default_rng(seed),
        bricked=0.0,
        history=history,
        gate=None,
        horizon=10_000,
        runs=runs,
    )
    share = float(np.isfinite(installs).mean())
    return [at_most(f"silence, nobody bricked, {name}: paused", share, 0.01, n=runs, seed=seed)]


def pause_lines(bricked: float, runs: int) -> list[Line]:
    """Return how many candidate installs a pause takes; the limits are row 10's."""
    seed = SEED * 1_000 + 200 + int(100 * bricked)
    installs = installs_until(
        np.random.default_rng(seed),
        bricked=bricked,
        history=BASE_RATES,
        gate=None,
        horizon=int(16 * BOUNDS[bricked]) + 40,
        runs=runs,
    )
    found = np.isfinite(installs)
    bound = BOUNDS[bricked]
    name = f"silence, {bricked:.0%} bricked"
    mean = float(installs[found].mean())
    if bricked == 0.05:
        return [
            at_most(f"{name}: mean installs until the pause", mean, 2 * bound, n=runs, seed=seed),
            at_least(f"{name}: paused", float(found.mean()), 0.999, n=runs, seed=seed),
        ]
    return [
        report(f"{name}: mean installs until the pause", mean, n=runs, seed=seed),
        report(f"{name}: paused", float(found.mean()), n=runs, seed=seed),
    ]


def gate_lines(share: float, runs: int, passing_runs: int) -> list[Line]:
    """Return rows 7 and 8 for the gate of one share: false passes, and installs to pass."""
    seed = SEED * 1_000 + 500 + int(100 * share)
    stated = GATES[share]
    lines = []
    for index, (name, history) in enumerate((("known", BASE_RATES), ("unknown", UNKNOWN))):
        false = installs_until(
            np.random.default_rng([seed, index]),
            bricked=share,
            history=history,
            gate=share,
            horizon=int(4 * stated),
            runs=runs,
        )
        lines.append(
            at_most(
                f"false promotions by silence, {share:.0%} bricked, history {name}",
                float(np.isfinite(false).mean()),
                0.05,
                n=runs,
                seed=seed,
            )
        )
    passing = installs_until(
        np.random.default_rng([seed, 2]),
        bricked=0.0,
        history=BASE_RATES,
        gate=share,
        horizon=int(20 * stated),
        runs=passing_runs,
    )
    lines.append(
        at_most(
            f"installs to pass, nobody bricked, silence gate {share:.0%}: mean over that stated"
            f" ({stated:,.0f})",
            float(passing.mean() / stated),
            1.4,
            n=passing_runs,
            seed=seed,
        )
    )
    return lines


def jobs() -> list[Job]:
    """Return the jobs of silence that the replica measures."""
    return [
        *(
            Job(name=f"silence, false pauses, {name}", run=partial(false_pause_lines, h, name, n))
            for name, h, n in (
                ("history known", BASE_RATES, 1_000),
                ("history unknown", UNKNOWN, 1_000),
            )
        ),
        *(Job(name=f"silence, {b:.0%} bricked", run=partial(pause_lines, b, 200)) for b in BOUNDS),
        *(
            Job(name=f"silence, gate {b:.0%}", run=partial(gate_lines, b, 4_000, 300))
            for b in GATES
        ),
    ]
