"""How much evidence to expect: nats for each candidate install, and when there are enough of them.

Evidence is a random walk whose mean is an information (a Kullback-Leibler divergence). Near its
limit its variance is twice its mean, which gives the chance that it ever got there (Wald 1945;
Siegmund 1985, III.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import erfc, exp, inf, log, log1p, sqrt

from update_server.evidence.fisher import SHARES, silence_omega
from update_server.evidence.ratio import NUMERATORS

MIXTURE_NATS = log(len(SHARES))
"""What it costs not to know the share of bricked installs: a mixture of nine."""

_BISECTIONS = 50
_FAR = 700.0


def of_labels(candidate: float, control: float, controls: float, against: float = 1.0) -> float:
    """Return the nats against "the hazard ratio is *against*", for each candidate install.

    Args:
        candidate: First events of a candidate, expected.
        control: First events of a control, expected.
        controls: Controls for each candidate.
        against: The hazard ratio to be refuted.
    """
    events = candidate + controls * control
    if events <= 0 or controls <= 0:
        return 0.0
    return events * divergence(candidate / events, against / (against + controls))


def of_outcomes(candidate: float, control: float, controls: float) -> float:
    """Return the nats against "both arms are alike", for each candidate whose outcome is known."""
    pooled = (candidate + controls * control) / (1 + controls)
    return divergence(candidate, pooled) + controls * divergence(control, pooled)


def of_gate(candidate: float, control: float, controls: float, omega: float) -> float:
    """Return the nats against "the odds are *omega* times those of control", for each candidate.

    *candidate* and *control* are the true shares with the outcome. As the engine's numerator does,
    it takes odds that are alike or somewhat better, whichever fits; it is negative where *omega*
    is nearer to the truth than they are.
    """
    pooled = (candidate + controls * control) / (1 + controls)
    refuted = _arms(pooled, omega, controls)

    def gain(arms: tuple[float, float]) -> float:
        return _fit(candidate, arms[0], refuted[0]) + controls * _fit(control, arms[1], refuted[1])

    return max(gain(_arms(pooled, odds, controls)) for odds in (NUMERATORS[0], 1.0))


def of_silence(strata: Iterable[tuple[float, float]], share: float, controls: float) -> float:
    """Return the nats against "nobody is bricked" where *share* of the candidates are.

    *strata* are (silent anyway, size), see ``Fleet.silence``.
    """
    return sum(
        size * of_outcomes(base + share * (1 - base), base, controls) for base, size in strata
    )


def of_silence_gate(
    strata: Iterable[tuple[float, float]], bricked: float, share: float, controls: float
) -> float:
    """Return the nats against "*share* of the candidates are bricked" where *bricked* are."""
    nats = 0.0
    for base, size in strata:
        candidate = base + bricked * (1 - base)
        pooled = (candidate + controls * base) / (1 + controls)
        refuted = _arms(pooled, silence_omega(share, base), controls)
        nats += size * (
            _fit(candidate, pooled, refuted[0]) + controls * _fit(base, pooled, refuted[1])
        )
    return nats


def chance(mean: float, needed: float) -> float:
    """Return how likely evidence with this *mean* in the end reached *needed* at some time."""
    if mean <= 0:
        return 0.0
    if mean == inf or needed <= 0:
        return 1.0
    spread = sqrt(2 * mean)
    reached = _normal((mean - needed) / spread)
    # The walks that were there and came back: reflected ones, weighed by exp(needed).
    back = _normal(-(mean + needed) / spread)
    return min(1.0, reached + (exp(needed) * back if needed < _FAR else 0.0))


def divergence(a: float, b: float) -> float:
    """Return KL(a || b) of two coins, in nats for each toss."""
    heads = a * log(a / b) if a > 0 else 0.0
    tails = (1 - a) * log1p((b - a) / (1 - b)) if a < 1 else 0.0
    return heads + tails


def _arms(pooled: float, omega: float, controls: float) -> tuple[float, float]:
    """Return the shares of both arms with an odds ratio of *omega* that make *pooled* together."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        control = (low + high) / 2
        candidate = omega * control / (1 + (omega - 1) * control)
        if (candidate + controls * control) / (1 + controls) < pooled:
            low = control
        else:
            high = control
    return omega * high / (1 + (omega - 1) * high), high


def _fit(truth: float, taken: float, refuted: float) -> float:
    """Return how much better *taken* fits *truth* than *refuted* does, in nats."""
    heads = truth * log(taken / refuted) if truth > 0 else 0.0
    tails = (1 - truth) * (log1p(-taken) - log1p(-refuted)) if truth < 1 else 0.0
    return heads + tails


def _normal(z: float) -> float:
    return erfc(-z / sqrt(2)) / 2
