"""An alarm without a control group: events against the previous release's rate.

For releases without holdback. The e-detector restarts its bet with every check, so that it finds a
change whenever it comes; without one it alarms at most once in 10,000 checks on average. A
historical rate has no randomization behind it: the alarm advises or pauses, and never pulls.

A **detector** is a list of 6 floats, log(1 + S) for each ratio of ``RATIOS``: sums that start at 0
and are never below it.

Source: Shin, Ramdas, Rinaldo 2023, arXiv 2203.03532.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import exp, expm1, fsum, log, log1p

RATIOS = (1.5, 2.0, 3.0, 4.0, 8.0, 16.0)
"""The ratios of the rate to that of before that the detector bets on, with equal weights."""

ALARM = 10_000
"""The value at which to alarm: the mean number of checks until a false alarm is this or more."""

# The largest double is exp(709.8).
_LARGEST_LOG = 700.0


def empty_detector() -> list[float]:
    """Return the detector before its first check."""
    return [0.0] * len(RATIOS)


def advance(detector: list[float], *, events: int, expected: float) -> None:
    """Take one check into *detector*, in place: S <- (S + 1) rho^k exp(-(rho - 1) mu).

    Args:
        detector: Changed in place.
        events: k, first events since the last check.
        expected: mu, how many there would be if nothing had changed: installs at risk times the
            previous release's rate for that hour of the week.

    Raises:
        ValueError: one of them is negative.
    """
    if events < 0 or expected < 0:
        raise ValueError(f"{events} events where {expected} were expected")
    detector[:] = [
        _log_one_plus_exp(d + events * log(rho) - (rho - 1) * expected)
        for d, rho in zip(detector, RATIOS, strict=True)
    ]


def value(detector: Sequence[float]) -> float:
    """Return the value to hold against ``ALARM``; what exceeds about 1e304 is shown as that."""
    return fsum([expm1(min(d, _LARGEST_LOG)) for d in detector]) / len(RATIOS)


def false_reports(detector: Sequence[float]) -> int:
    """Return how many of the last events must be false for there to be no alarm; 0: there is none.

    Each of them divides every sum by its ratio, or by less where it is not among the last.
    """
    most = int(max(detector) / log(RATIOS[0])) + 1
    return bisect_left(range(most), 1, key=lambda m: _value_without(detector, m) < ALARM)


def _value_without(detector: Sequence[float], events: int) -> float:
    sums = [
        exp(min(d + log(-expm1(-d)) - events * log(rho), _LARGEST_LOG))
        for d, rho in zip(detector, RATIOS, strict=True)
        if d > 0
    ]
    return fsum(sums) / len(RATIOS)


def _log_one_plus_exp(x: float) -> float:
    return x + log1p(exp(-x)) if x > 0 else log1p(exp(x))
