"""The tests of the engine over again, in numpy and for many runs at once.

Written from the formulas of the design page and not from the engine's code, so that the two can
disagree; ``agreement`` compares them before anything is measured with this one.

Log e-values are in nats. Arrays of runs come first, then events or checks, then the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SLACK = 1e-9

GRID: Floats = np.unique(
    np.round(np.concatenate([2.0 ** (np.arange(-32, 81) / 8), [1, 1.05, 1.1, 1.25, 1.5, 2, 3]]), 12)
)
LOG_GRID: Floats = np.log(GRID)
ONE = int(np.searchsorted(GRID, 1.0))


@dataclass(frozen=True, slots=True)
class Mixture:
    """Normalised log weights over the points ``where`` of a grid."""

    where: slice
    logs: Floats

    def log_mean(self, vectors: Floats) -> Floats:
        """Return the log of the weighted mean of exp over the last axis of whole vectors."""
        return log_sum_exp(vectors[..., self.where] + self.logs)


def _mixture(low: float, high: float, weights: Floats) -> Mixture:
    inside = np.flatnonzero((low - _SLACK <= GRID) & (high + _SLACK >= GRID))
    where = slice(int(inside[0]), int(inside[-1]) + 1)
    return Mixture(where, np.log(weights[where] / weights[where].sum()))


# Below 1/2 these would be negative, where nobody looks.
HARM = _mixture(1.15, 1024.0, 1 / (1 + np.log2(np.maximum(GRID, 1))))
INTERVAL = _mixture(GRID[0], GRID[-1], 1 / (1 + np.log2(GRID) ** 2))
NONINFERIORITY = _mixture(0.7, 1.0, np.exp(-4 * np.abs(LOG_GRID)))

OMEGAS: Floats = np.round(2.0 ** (np.arange(1, 41) / 8), 12)
LOG_OMEGA_WEIGHTS: Floats = np.log((1 / (1 + np.log2(OMEGAS))) / np.sum(1 / (1 + np.log2(OMEGAS))))
SHARES: Floats = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.99])


def log_sum_exp(logs: Floats) -> Floats:
    """Return log(sum(exp)) over the last axis."""
    largest = logs.max(axis=-1, keepdims=True)
    total: Floats = np.log(np.exp(logs - largest).sum(axis=-1)) + largest[..., 0]
    return total


def point_of(ratio: float) -> int:
    """Return where *ratio* stands in ``GRID``."""
    point = int(np.argmin(np.abs(GRID - ratio)))
    if abs(GRID[point] - ratio) > _SLACK:
        raise ValueError(f"{ratio} is not a point of the grid")
    return point


def increments(
    candidate: Bools, n_candidate: Ints, n_control: Ints, points: slice = slice(None)
) -> Floats:
    """Return what each event adds to the vector: one row per event, one column per point."""
    total = n_candidate + n_control
    share = np.where((n_candidate > 0) & (n_control > 0), n_candidate / np.maximum(total, 1), 0.0)
    # An event with an empty arm says nothing.
    label = np.where(share > 0, candidate, 0.0)
    return label[..., None] * LOG_GRID[points] - np.log1p((GRID[points] - 1) * share[..., None])


def vectors_of_counts(k_candidate: Ints, k: Ints, share: float) -> Floats:
    """Return vectors after *k* events, where each risk set has the same *share* of candidates."""
    return k_candidate[..., None] * LOG_GRID - k[..., None] * np.log1p((GRID - 1) * share)


def log_e_harm(vectors: Floats) -> Floats:
    """Return the log e-values against "the hazard ratio is 1, or less"."""
    return HARM.log_mean(vectors) - vectors[..., ONE]


def log_e_noninferiority(vectors: Floats, margin: float) -> Floats:
    """Return the log e-values against "the hazard ratio is *margin*"."""
    return NONINFERIORITY.log_mean(vectors) - vectors[..., point_of(margin)]


def intervals(vectors: Floats) -> tuple[Floats, Floats]:
    """Return lower and upper ends of the 95 % intervals; 0 and infinity beyond the grid."""
    inside = vectors > (INTERVAL.log_mean(vectors) - np.log(20))[..., None]
    first = inside.argmax(axis=-1)
    last = inside.shape[-1] - 1 - inside[..., ::-1].argmax(axis=-1)
    ends = np.concatenate([[0.0], GRID, [np.inf]])
    return ends[first], ends[last + 2]


def hypergeometric(k: Ints, n_candidate: Ints, n_control: Ints, width: int) -> Floats:
    """Return P(i of the k outcomes are candidates'), one column for each i below *width*."""
    i = np.arange(width)
    left, k_, n_t, n_c = (
        k[..., None] - i,
        k[..., None],
        n_candidate[..., None],
        n_control[..., None],
    )
    possible = (i <= n_t) & (left >= 0) & (left <= n_c)

    def choose(n: Ints, m: Ints) -> Floats:
        chosen: Floats = gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
        return chosen

    left = np.clip(left, 0, n_c)
    taken = np.minimum(i, n_t)
    logs = choose(n_t, taken) + choose(n_c, left) - choose(n_t + n_c, k_)
    chances: Floats = np.where(possible, np.exp(logs), 0.0)
    return chances


def fisher(
    k_candidate: Ints, k: Ints, n_candidate: Ints, n_control: Ints, omegas: Floats
) -> Floats:
    """Return the log Fisher factors of cohorts.

    Args:
        k_candidate: Candidates with the outcome, one entry per cohort.
        k: Installs with the outcome.
        n_candidate: Candidates.
        n_control: Controls.
        omegas: Odds ratios: the same for all cohorts (one axis), or one row for each cohort.

    Returns:
        One row per cohort, one column per odds ratio.
    """
    width = int(np.minimum(k, n_candidate).max(initial=0)) + 1
    chances = hypergeometric(k, n_candidate, n_control, width)
    powers = omegas[..., None] ** np.arange(width)
    terms = "ci,wi->cw" if omegas.ndim == 1 else "ci,cwi->cw"
    tilted = np.einsum(terms, chances, powers)
    factors: Floats = k_candidate[..., None] * np.log(omegas) - np.log(tilted)
    return factors


def log_e_outcomes(vectors: Floats) -> Floats:
    """Return the log e-values against "the outcome is not more likely": last axis ``OMEGAS``."""
    return log_sum_exp(vectors + LOG_OMEGA_WEIGHTS)


def silence_omegas(base_rate: Floats) -> Floats:
    """Return the odds ratio for each base rate (rows) and each of ``SHARES`` (columns)."""
    p = base_rate[..., None]
    p1 = p + SHARES * (1 - p)
    omegas: Floats = p1 * (1 - p) / ((1 - p1) * p)
    return omegas


def log_e_silence(vectors: Floats) -> Floats:
    """Return the log e-values against "nobody is bricked": last axis ``SHARES``."""
    log_e: Floats = log_sum_exp(vectors) - np.log(len(SHARES))
    return log_e


@dataclass(frozen=True, slots=True)
class Labels:
    """First events in order of time: when, whose, and how many were at risk before each."""

    at: Floats
    candidate: Bools
    n_candidate: Ints
    n_control: Ints


def labels_of(risk_set: Ints, candidate: Bools, at: Floats) -> Labels:
    """Return the first events of a fleet, each against its own risk set.

    Args:
        risk_set: Of each install; -1 for one that never enters.
        candidate: Its arm.
        at: When it has its first event, infinite when it has none.
    """
    inside = risk_set >= 0
    sets = int(risk_set.max(initial=-1)) + 1
    candidates = np.bincount(risk_set[inside & candidate], minlength=sets)
    controls = np.bincount(risk_set[inside & ~candidate], minlength=sets)
    hit = np.flatnonzero(inside & np.isfinite(at))
    order = hit[np.lexsort((at[hit], risk_set[hit]))]
    key, label = risk_set[order], candidate[order]
    new = np.r_[True, key[1:] != key[:-1]][: len(key)]
    index = np.arange(len(key))
    gone: Ints = np.cumsum(label) - label  # candidates before this event, over all risk sets
    gone = gone - np.maximum.accumulate(np.where(new, gone, 0))
    position = index - np.maximum.accumulate(np.where(new, index, 0))
    by_time = np.argsort(at[order], kind="stable")
    return Labels(
        at[order][by_time],
        label[by_time],
        (candidates[key] - gone)[by_time],
        (controls[key] - (position - gone))[by_time],
    )


def vectors_over_time(labels: Labels, checks: Floats, points: slice = slice(None)) -> Floats:
    """Return the vector at each of the instants *checks*: one row for each."""
    steps = increments(labels.candidate, labels.n_candidate, labels.n_control, points)
    sums = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
    seen: Floats = sums[np.searchsorted(labels.at, checks, side="right")]
    return seen


def log_e_harm_over_time(labels: Labels, checks: Floats) -> Floats:
    """Return the log e-value of harm at each of the instants *checks*."""
    return log_sum_exp(vectors_over_time(labels, checks, HARM.where) + HARM.logs)
