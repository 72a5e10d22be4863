"""Evidence that failures are above a stated ceiling, or crashes below a stated floor.

For what has no counterpart in the control arm: the steps of an installation, the stop lines of a
ring that is not randomized, and releases under which hardly anything ever crashes. These tests
compare with a number that somebody stated, not with the other arm, and assume that installs fail
independently. So they pause or help a promotion; they never pull.
"""

from __future__ import annotations

from math import inf, log, log1p

from update_server.evidence.numerics import log_sum_exp

_LARGEST_RATE = 0.95

# a / q and their weights: never crashing has half of the bet, since that is the usual case.
_FLOOR_ALTERNATIVES = ((0.0, 1 / 2), (1 / 8, 1 / 6), (1 / 4, 1 / 6), (1 / 2, 1 / 6))


def log_e_above(k: int, n: int, ceiling: float) -> float:
    """Return the log e-value against "an install fails with probability *ceiling* or less".

    The alternatives are the ceiling times sqrt(2), 2, 2 sqrt(2) and so on below 0.95, and 0.95,
    with equal weights. Valid for every true probability up to the ceiling, for larger ones make
    each factor larger in expectation.

    Args:
        k: Installs that failed.
        n: Installs that tried; their number must not depend on who will fail.
        ceiling: A probability above 0 and below 0.95.

    Raises:
        ValueError: *ceiling* is out of range, or *k* is.
    """
    if not 0 < ceiling < _LARGEST_RATE:
        raise ValueError(f"a ceiling of {ceiling} is not between 0 and {_LARGEST_RATE}")
    _check(k, n)
    rates = []
    rate = ceiling * 2**0.5
    while rate < _LARGEST_RATE:
        rates.append(rate)
        rate = ceiling * 2 ** ((len(rates) + 1) / 2)
    rates.append(_LARGEST_RATE)
    return log_sum_exp([_log_ratio(k, n, rate, ceiling) for rate in rates]) - log(len(rates))


def log_e_floor(k: int, n: int, rate_a_day: float = 0.001) -> float:
    """Return the log e-value against "*rate_a_day* of the installs crash in a day": large is good.

    It replaces a margin where control hardly ever crashes. Without a crash, log 20 is reached at
    about 3,330 installs; 2,995 = log 20 / -log(1 - 0.001) is the least that any test needs.

    Args:
        k: Candidates that crashed within 24 hours.
        n: Candidates observed for 24 hours that *reported a session on the candidate version*:
            dead telemetry is not health.
        rate_a_day: The floor, a probability above 0 and below 1.

    Raises:
        ValueError: *rate_a_day* is out of range, or *k* is.
    """
    if not 0 < rate_a_day < 1:
        raise ValueError(f"a rate of {rate_a_day} is not between 0 and 1")
    _check(k, n)
    return log_sum_exp(
        [
            log(weight) + _log_ratio(k, n, fraction * rate_a_day, rate_a_day)
            for fraction, weight in _FLOOR_ALTERNATIVES
        ]
    )


def _log_ratio(k: int, n: int, rate: float, null: float) -> float:
    """Return the log likelihood ratio of k failures of n, *rate* against *null*."""
    if rate == 0:
        # A single failure refutes "never".
        return -inf if k else -n * log1p(-null)
    return k * log(rate / null) + (n - k) * (log1p(-rate) - log1p(-null))


def _check(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} failures of {n} installs")
