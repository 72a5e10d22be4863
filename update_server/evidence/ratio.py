"""Evidence from the labels of first events: a bet on the hazard ratio, candidate over control.

Each install yields one event per metric, and only its label is asked for: candidate or control?
If the release changes nothing, the label is a draw without replacement from its risk set, so the
event is a candidate's with probability n_t / (n_t + n_c), whatever the rate, the hour or the ramp.
For a hazard ratio rho that probability is rho n_t / (rho n_t + n_c). The log likelihoods of all
ratios of ``GRID`` are kept; mixtures of them against one of them are e-values: under that one
their expectation is 1, and by Ville's inequality they ever reach 1/alpha with probability alpha
at most, however often one looks.

A **vector** is a list of 118 floats in nats, one for each point of ``GRID`` in ascending order:
d[rho] = ll[rho] - ll[1], the log likelihood less that of "no difference". Only differences ever
matter, and centred no large numbers cancel.

Sources: the safe logrank test (ter Schure, Perez-Ortiz, Ly, Grunwald 2024, arXiv 2011.06931);
rapid regression detection (Lindon, Sanden, Shirikian 2022, arXiv 2205.14762). Which events count,
and with which risk set, is study.py's.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from math import exp, inf, log, log1p, log2

from update_server.evidence.numerics import weighted_log_sum

MARGINS = (1.25, 1.5, 2.0, 3.0)
"""How much worse a candidate may be at most to leave a ring, widest ring first."""

# Powers of 2^(1/8) from 1/16 to 1,024, and round numbers that people choose as margins. Rounded,
# so that the grid is the same whatever the C library's pow.
GRID: tuple[float, ...] = tuple(
    sorted(
        {round(2.0 ** (j / 8), 12) for j in range(-32, 81)} | {1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0}
    )
)

# Range ends are compared with this slack: they must not depend on the last bit.
_SLACK = 1e-9
_SMALLEST_HARM = 1.15
_SMALLEST_BENEFIT = 0.7
_LOG_20 = log(20)

_LOGS = tuple(log(ratio) for ratio in GRID)
_EXCESS = tuple(ratio - 1 for ratio in GRID)


class _Mixture:
    """Weights over a stretch of the grid, normalised to a sum of 1."""

    def __init__(self, low: float, high: float, weight: Callable[[float], float]) -> None:
        chosen = [i for i, rho in enumerate(GRID) if low - _SLACK <= rho <= high + _SLACK]
        weights = [weight(GRID[i]) for i in chosen]
        total = sum(weights)
        self.stretch = slice(chosen[0], chosen[-1] + 1)
        self.weights = tuple(w / total for w in weights)
        self.logs = tuple(log(w) for w in self.weights)

    def log_mean(self, vector: Sequence[float]) -> float:
        """Return the logarithm of the weighted mean of exp(*vector*) over the stretch."""
        return weighted_log_sum(vector[self.stretch], self.logs)


def _harm_above(tolerated: float) -> _Mixture:
    return _Mixture(
        _SMALLEST_HARM * tolerated, GRID[-1], lambda rho: 1 / (1 + log2(rho / tolerated))
    )


_HARM = _harm_above(1.0)
_INTERVAL = _Mixture(GRID[0], GRID[-1], lambda rho: 1 / (1 + log2(rho) ** 2))
_NONINFERIORITY = _Mixture(_SMALLEST_BENEFIT, 1.0, lambda rho: exp(-4 * abs(log(rho))))

NUMERATORS = GRID[_NONINFERIORITY.stretch]
"""The five ratios, 0.707 to 1, that a non-inferiority test sets against its margin."""
LOG_NUMERATOR_WEIGHTS = _NONINFERIORITY.logs
"""Their weights as logarithms, in the same order."""


def _sha256(values: Sequence[float]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(values)}d", *values)).hexdigest()


GRID_SHA256 = _sha256(GRID)
"""SHA-256, in hex, of the grid as little-endian doubles."""
# Rounded like the grid: a C library's last bit of log2 must not look like other weights.
WEIGHTS_SHA256 = _sha256(
    [
        round(weight, 12)
        for mixture in (_HARM, _INTERVAL, _NONINFERIORITY)
        for weight in mixture.weights
    ]
)
"""SHA-256, in hex, of the weights for harm, interval and non-inferiority, to 12 decimals each."""


def empty_vector() -> list[float]:
    """Return the vector of no event: 118 zeros, an e-value of 1."""
    return [0.0] * len(GRID)


def add_event(vector: list[float], *, candidate: bool, n_candidate: int, n_control: int) -> bool:
    """Add one event to *vector*, and return whether it said anything.

    It says nothing, and nothing is done, when an arm is empty: its label was certain.

    Args:
        vector: Changed in place.
        candidate: The label: whether the install with the event is a candidate.
        n_candidate: Candidates at risk in its risk set just before the event, itself included.
        n_control: Controls, likewise.

    Raises:
        ValueError: a count is negative.
    """
    if not n_candidate or not n_control:
        return False
    _check(n_candidate, n_control, candidate, not candidate)
    share = n_candidate / (n_candidate + n_control)
    # x log(rho) - log1p((rho - 1) n_t / (n_t + n_c)): at rho = 1 exactly 0.
    if candidate:
        vector[:] = [
            d + gain - log1p(excess * share)
            for d, gain, excess in zip(vector, _LOGS, _EXCESS, strict=True)
        ]
    else:
        vector[:] = [d - log1p(excess * share) for d, excess in zip(vector, _EXCESS, strict=True)]
    return True


def add_events(vector: list[float], events: Iterable[tuple[bool, int, int]]) -> None:
    """Add *events* (candidate, n_candidate, n_control) in turn, as ``add_event`` does.

    A way that multiplies factors and takes one logarithm of many was measured to save a fifth,
    and would not give the same bits.

    Raises:
        ValueError: as in ``add_event``; the events before that one have been added.
    """
    for candidate, n_candidate, n_control in events:
        add_event(vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control)


def add_aggregate(
    vector: list[float], *, k_candidate: int, k_control: int, n_candidate: int, n_control: int
) -> bool:
    """Add events of one risk set as counts, and return whether they said anything.

    The risk set is taken as it was before the first of them. That is valid for the harm test
    with nothing tolerated only: at a ratio of 1, draws without replacement are smaller in convex
    order than draws with it (Hoeffding 1963). Where promotion reads the vector, or a tick has
    fewer than 1,000 events, add them one by one.

    Args:
        vector: Changed in place.
        k_candidate: Events of candidates.
        k_control: Events of controls.
        n_candidate: Candidates at risk before the first event.
        n_control: Controls at risk before the first event.

    Raises:
        ValueError: a count is negative, or an arm has more events than installs.
    """
    if not n_candidate or not n_control:
        return False
    _check(n_candidate, n_control, k_candidate, k_control)
    share = n_candidate / (n_candidate + n_control)
    events = k_candidate + k_control
    vector[:] = [
        d + k_candidate * gain - events * log1p(excess * share)
        for d, gain, excess in zip(vector, _LOGS, _EXCESS, strict=True)
    ]
    return True


def log_e_harm(vector: Sequence[float], *, tolerated: float = 1.0) -> float:
    """Return the log e-value against "the hazard ratio is *tolerated*, or less".

    The numerator mixes all ratios from 1.15 times *tolerated* up to 1,024, with weights falling
    as 1 / (1 + log2(rho / tolerated)). This is the running value: the decision is the first
    crossing, and latches.

    Raises:
        ValueError: *tolerated* is not a point of the grid, or leaves nothing above it.
    """
    if tolerated == 1.0:
        return _HARM.log_mean(vector)
    point = index_of(tolerated)
    if _SMALLEST_HARM * tolerated > GRID[-1]:
        raise ValueError(f"no point of the grid is above a tolerated ratio of {tolerated}")
    return _harm_above(tolerated).log_mean(vector) - vector[point]


def interval(vector: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval of the hazard ratio that holds at all times at once.

    It is the ratios whose e-value is below 20, and one point of the grid outward at each end,
    since truth may lie between two points; 0 and infinity stand beyond the grid's ends. The log
    likelihood is concave in log(rho), so those ratios are neighbours.
    """
    limit = _INTERVAL.log_mean(vector) - _LOG_20
    inside = [i for i, d in enumerate(vector) if d > limit]
    low, high = inside[0] - 1, inside[-1] + 1
    return (GRID[low] if low >= 0 else 0.0), (GRID[high] if high < len(GRID) else inf)


def log_e_noninferiority(vector: Sequence[float], margin: float) -> float:
    """Return the log e-value against "the hazard ratio is *margin*": large is good.

    It assumes that the hazard ratio is common to all risk sets; the harm test does not.

    Args:
        vector: Built from single events, not from aggregates.
        margin: A point of the grid above 1; ``MARGINS`` are.

    Raises:
        ValueError: *margin* is not a point of the grid above 1.
    """
    point = index_of(margin)
    if margin <= 1:
        raise ValueError(f"a margin of {margin} is not above 1")
    return _NONINFERIORITY.log_mean(vector) - vector[point]


def estimate(vector: Sequence[float]) -> float:
    """Return the point of the grid with the largest likelihood; of equals, the nearest to 1."""
    best = max(range(len(GRID)), key=lambda i: (vector[i], -abs(_LOGS[i])))
    return GRID[best]


def index_of(ratio: float) -> int:
    """Return where *ratio* stands in the grid, and so in every vector.

    Raises:
        ValueError: it is not a point of the grid.
    """
    if ratio not in GRID:
        raise ValueError(f"{ratio} is not a point of the grid")
    return GRID.index(ratio)


def _check(n_candidate: int, n_control: int, k_candidate: int, k_control: int) -> None:
    if not (0 <= k_candidate <= n_candidate and 0 <= k_control <= n_control):
        raise ValueError(
            f"{k_candidate} and {k_control} events in a risk set of {n_candidate} and {n_control}"
        )
