"""Evidence from bounded scores: business metrics, by betting on which arm has the larger ones.

Inside a cohort labels are revealed one by one. Each time, the share of candidates among those not
yet revealed is the fair price of the next label; the bet is on "candidate" for scores above a
centre and on "control" for those below it. The expectation is exactly 1 if the release changes
nothing, for any centre and any order known before the labels are.

A **vector** is a list of 8 floats: log wealth in nats, one for each stake of ``LAMBDAS``.

Source: Waudby-Smith, Ramdas 2024, arXiv 2010.09686.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p

from update_server.evidence.numerics import log_sum_exp

LAMBDAS = tuple(0.06 * 2.0**j for j in range(-3, 5))
"""The stakes, 0.0075 to 0.96: below 1, so that no bet can lose everything."""


def empty_bets() -> list[float]:
    """Return the vector of no cohort: no stake has won or lost."""
    return [0.0] * len(LAMBDAS)


def add_scored_cohort(
    vector: list[float],
    *,
    scores: Sequence[tuple[bool, float]],
    centre: float,
    harm_is_higher: bool,
) -> None:
    """Add one matured cohort to *vector*, in place.

    Args:
        vector: Log wealth so far.
        scores: Of each install whether it is a candidate, and its score from 0 to 1, in an order
            that does not depend on the labels.
        centre: 0 to 1; the control's mean of yesterday.
        harm_is_higher: Whether a higher score is worse.

    Raises:
        ValueError: a score or the centre is not from 0 to 1.
    """
    if not all(0 <= x <= 1 for x in (centre, *(score for _, score in scores))):
        raise ValueError("scores and their centre are from 0 to 1")
    sign = 1 if harm_is_higher else -1
    hidden = len(scores)
    hidden_candidates = sum(candidate for candidate, _ in scores)
    wealth = list(vector)
    for candidate, score in scores:
        gain = sign * (candidate - hidden_candidates / hidden) * (score - centre)
        wealth = [w + log1p(stake * gain) for w, stake in zip(wealth, LAMBDAS, strict=True)]
        hidden -= 1
        hidden_candidates -= candidate
    vector[:] = wealth


def log_e_bets(vector: Sequence[float]) -> float:
    """Return the log e-value against "the release changes no score": all stakes mixed equally."""
    return log_sum_exp(vector) - log(len(LAMBDAS))
