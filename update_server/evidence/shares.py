"""The share of one arm's installs that had an event, with an interval that holds at all times.

Bet on k of n with every share at once, each alike: against the share p the stake becomes
B(k+1, n-k+1) / (p^k (1-p)^(n-k)). The interval holds the p against which it never reached 20, so
by Ville's inequality it misses the true share with probability 5 % at most, however often one
looks (Robbins 1970), if installs fail independently and alike. It is shown, and no verdict rests
on it: those compare the arms.
"""

from __future__ import annotations

from math import lgamma, log, log1p

_LOG_20 = log(20)
_HALVINGS = 60


def share_interval(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which *k* of *n* were seen; all shares if n is 0.

    Raises:
        ValueError: *k* is no part of *n*.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} installs")
    if not n:
        return 0.0, 1.0
    mixture = lgamma(k + 1) + lgamma(n - k + 1) - lgamma(n + 2)

    def is_refuted(p: float) -> bool:
        told = k * log(p) if k else 0.0
        told += (n - k) * log1p(-p) if k < n else 0.0
        return mixture - told >= _LOG_20

    seen = k / n
    low, out = seen, 0.0
    if k:
        for _ in range(_HALVINGS):
            middle = (low + out) / 2
            low, out = (low, middle) if is_refuted(middle) else (middle, out)
    high, out_above = seen, 1.0
    if k < n:
        for _ in range(_HALVINGS):
            middle = (high + out_above) / 2
            high, out_above = (high, middle) if is_refuted(middle) else (middle, out_above)
    # Outward: the last points that were refuted.
    return (out if k else 0.0), (out_above if k < n else 1.0)
