"""Sample-ratio mismatch: do entrants fall into the arms as they were assigned?

A bucket decides the arm before anything happens, so that each entrant is a candidate with the
design share's probability. Where that fails something loses or duplicates the contacts of one arm,
and no other number can be trusted. One process for each stage, over its entrants.

A **vector** is a list of 64 floats: log likelihood ratios in nats, one for each odds of
``THETAS`` against 1.

It cannot see small losses fast: 5 % of the candidates' contacts lost at a share of 10 % take
84,000 entrants (median), and no test needs less than 58,000.

Source: multinomial counts (Lindon, Malek 2022, arXiv 2011.03567).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p

from update_server.evidence.numerics import weighted_log_sum

_STEPS = range(1, 33)

THETAS = tuple(
    round(2.0 ** (sign * j / 16), 12)
    for sign, steps in ((-1, reversed(_STEPS)), (1, _STEPS))
    for j in steps
)
"""How many times the design's odds an entrant may have of being a candidate: 1/4 to 4 without 1."""

LOG_SUSPEND = log(1_000)
"""The log e-value at which to stop judging: a sound stage ever gets there 1 time in 1,000."""

_WEIGHTS = tuple(1 / (1 + j / 4) for steps in (reversed(_STEPS), _STEPS) for j in steps)
_LOG_WEIGHTS = tuple(log(weight / sum(_WEIGHTS)) for weight in _WEIGHTS)
_LOGS = tuple(log(theta) for theta in THETAS)


def empty_srm() -> list[float]:
    """Return the vector of no entrant."""
    return [0.0] * len(THETAS)


def add_entrant(vector: list[float], *, candidate: bool, share: float) -> None:
    """Add one entrant to *vector*, in place; see ``add_entrants``."""
    add_entrants(vector, candidates=int(candidate), controls=int(not candidate), share=share)


def add_entrants(vector: list[float], *, candidates: int, controls: int, share: float) -> None:
    """Add entrants to *vector*, in place; their order does not matter.

    Args:
        vector: Changed in place.
        candidates: How many of them are candidates.
        controls: How many are controls.
        share: The design's share of candidates, 0 to 1: exposure_bp / 10,000.

    Raises:
        ValueError: *share* is out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} is not between 0 and 1")
    entrants = candidates + controls
    vector[:] = [
        ll + candidates * gain - entrants * log1p((theta - 1) * share)
        for ll, gain, theta in zip(vector, _LOGS, THETAS, strict=True)
    ]


def log_e_srm(vector: Sequence[float]) -> float:
    """Return the log e-value against "each entrant is a candidate with the design's share"."""
    return weighted_log_sum(vector, _LOG_WEIGHTS)
