"""How many installs a verdict takes, asked before there is one: formulas, no simulation.

Counts are **candidate installs** whose outcome is known, unless said otherwise, and the base rate
is the control's probability of the outcome in the same time; there are r controls for each
candidate. Bounds are information bounds: no test with the same guarantee needs fewer on average
(Wald 1945; Lorden 1971). What the engine needs beyond them was measured in simulations with the
engine itself. A question without an answer, such as a harmless release or a ring without
controls, has the answer infinity.

Not here: the fleet's arrivals and soak times, that turn installs into hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, erfc, exp, fsum, inf, isinf, log, log1p, sqrt

from update_server.evidence.numerics import log_binomial
from update_server.evidence.ratio import GRID, log_e_harm

ALPHA = 0.01
"""The chance of ever pausing a harmless release, spent once over all metrics."""
ALPHA_NONINFERIORITY = 0.05
"""The chance of letting a release pass whose ratio is the margin."""

# Measured over base rates of 0.05-2 %, ratios of 1.25-20, 9 and 99 controls per candidate: the
# means were 1.35-1.70 bounds, the largest 90th percentile 3.09.
_MEAN_PER_BOUND = 1.45
_P90_PER_BOUND = 3.3
# Measured over the same base rates at margins 1.25, 1.5 and 2: 1.08-1.18.
_MEAN_PASS_PER_BOUND = 1.3

_QUANTILES = 9
_NODES = 8
# Above this variance the normal distribution replaces the binomial: their tails then differ by
# less than a hundredth.
_LARGE_VARIANCE = 400
_BISECTIONS = 40


def harm_bound(
    base: float,
    ratio: float,
    controls_per_candidate: float,
    alpha: float = ALPHA,
    weight: float = 1.0,
) -> float:
    """Return the fewest candidate installs with which a harmful release can be paused on average.

    log(1 / (alpha w)) / (KL(p1 || pbar) + r KL(p0 || pbar)), with p1 = ratio p0 and pbar the
    probability in both arms together. (1 + r) times as many installs of the fleet take part.

    Args:
        base: p0, the control's probability of the outcome, 0 to 1.
        ratio: How many times as often candidates have it.
        controls_per_candidate: r, from 0 up.
        alpha: The error budget of all metrics together.
        weight: w, this metric's share of it.

    Raises:
        ValueError: *base*, or *ratio* times *base*, is not a probability.
    """
    raised = _raised(base, ratio)
    if ratio <= 1 or controls_per_candidate <= 0:
        return inf
    pooled = (raised + controls_per_candidate * base) / (1 + controls_per_candidate)
    information = _divergence(raised, pooled) + controls_per_candidate * _divergence(base, pooled)
    return _needed(alpha * weight, information)


def rare_harm_bound(base: float, ratio: float, alpha: float = ALPHA, weight: float = 1.0) -> float:
    """Return ``harm_bound`` for rare outcomes and many controls.

    log(1 / (alpha w)) / (p0 (rho log(rho) - rho + 1)): the divergence of Poisson counts.

    Raises:
        ValueError: *base*, or *ratio* times *base*, is not a probability.
    """
    _raised(base, ratio)
    if ratio <= 1:
        return inf
    return _needed(alpha * weight, base * (ratio * log(ratio) - ratio + 1))


def mean_until_pause(bound: float) -> float:
    """Return with how many candidate installs this engine pauses on average, given the bound."""
    return _MEAN_PER_BOUND * bound


def p90_until_pause(bound: float) -> float:
    """Return with how many candidate installs at most 9 of 10 harmful releases are paused."""
    return _P90_PER_BOUND * bound


def installs_to_detect(
    base: float,
    ratio: float,
    controls_per_candidate: float,
    alpha: float = ALPHA,
    weight: float = 1.0,
) -> int | None:
    """Return how many candidate installs a pause at *ratio* takes on average; None if never.

    Raises:
        ValueError: *base*, or *ratio* times *base*, is not a probability.
    """
    mean = mean_until_pause(harm_bound(base, ratio, controls_per_candidate, alpha, weight))
    return None if isinf(mean) else ceil(mean)


def noninferiority_bound(
    base: float, margin: float, controls_per_candidate: float, ratio: float = 1.0
) -> float:
    """Return the fewest candidate installs that show on average that *margin* is not reached.

    log(20) / (p0 (rho + r) KL(rho / (rho + r) || m / (m + r))): an event is a candidate's with
    probability rho / (rho + r), and there are p0 (rho + r) events for each candidate install.

    Args:
        base: p0, the control's probability of the event, 0 to 1; meant to be small.
        margin: m.
        controls_per_candidate: r, from 0 up.
        ratio: rho, the true ratio; at the margin or above no number of installs suffices.

    Raises:
        ValueError: *base*, or *ratio* times *base*, is not a probability.
    """
    _raised(base, ratio)
    if ratio >= margin or controls_per_candidate <= 0:
        return inf
    r = controls_per_candidate
    information = base * (ratio + r) * _divergence(ratio / (ratio + r), margin / (margin + r))
    return _needed(ALPHA_NONINFERIORITY, information)


def mean_until_pass(bound: float) -> float:
    """Return with how many candidate installs a gate passes on average, given the bound."""
    return _MEAN_PASS_PER_BOUND * bound


def silence_bound(
    strata: Iterable[tuple[float, float]],
    bricked_share: float,
    alpha: float = ALPHA,
    weight: float = 1.0,
) -> float:
    """Return the fewest candidate installs with which bricked ones can be noticed on average.

    log(1 / (alpha w)) / sum_s(share_s KL(p_s + b (1 - p_s) || p_s)). The base rates are taken as
    known, as with very many controls; with 9 for each candidate 1.1 to 1.3 times as many are
    needed.

    Args:
        strata: Of each stratum the base rate p_s and its share of the installs; shares sum to 1.
        bricked_share: b, the share of the candidates that never come back, 0 to 1.
        alpha: The error budget of all metrics together.
        weight: w, this metric's share of it.

    Raises:
        ValueError: a base rate or *bricked_share* is not a probability.
    """
    information = 0.0
    for base, share in strata:
        if not (0 < base < 1 and 0 <= bricked_share <= 1):
            raise ValueError(f"a base rate of {base}, or {bricked_share} bricked installs")
        information += share * _divergence(base + bricked_share * (1 - base), base)
    return _needed(alpha * weight, information)


def smallest_ratio(
    base: float,
    installs: int,
    controls_per_candidate: float,
    *,
    alpha: float = ALPHA,
    weight: float = 1.0,
    power: float = 0.8,
) -> float:
    """Return the smallest ratio that is paused with probability *power*; infinity if none is.

    The probability is that of the e-value being large enough once *installs* candidates and r
    times as many controls have been observed. Control events take the medians of nine equally
    likely slices of their distribution; for each the e-value, with the engine's own mixture,
    says from how many candidate events on it suffices, and the binomial distribution how likely
    so many are. The risk set shrinks along the straight path from none to all of the events.
    An e-value that was large enough earlier, and no longer is, is not counted: against the
    simulated table of the design (base rates 0.01-5 %, 100 to 1,000,000 installs, r = 9) the
    result is between 5 % too small and 12 % too large.

    Args:
        base: p0, the control's probability of the event in the time asked about.
        installs: Candidates observed for that time.
        controls_per_candidate: r.
        alpha: The error budget of all metrics together.
        weight: w, this metric's share of it.
        power: The probability asked for, above 0 and below 1.

    Raises:
        ValueError: *base* is not a probability.
    """
    _raised(base, 1.0)
    controls = int(installs * controls_per_candidate)
    if base == 0 or not installs or not controls:
        return inf
    needed = log(1 / (alpha * weight))
    criticals = [
        _critical_events(
            _binomial_quantile((slot + 0.5) / _QUANTILES, controls, base),
            installs,
            controls,
            needed,
        )
        for slot in range(_QUANTILES)
    ]

    def pause_probability(ratio: float) -> float:
        raised = min(ratio * base, 1.0)
        return fsum([1 - _binomial_cdf(k - 1, installs, raised) for k in criticals]) / _QUANTILES

    low, high = 1.0, 1 / base
    if pause_probability(high) < power:
        return inf
    for _ in range(_BISECTIONS):
        middle = sqrt(low * high)
        if pause_probability(middle) < power:
            low = middle
        else:
            high = middle
    return high


def _critical_events(k_control: int, installs: int, controls: int, needed: float) -> int:
    """Return from how many candidate events on the log e-value is *needed*; installs + 1 if never.

    It grows with the candidate's events from the point on where both arms are equally ill.
    """
    low, high = min(k_control * installs // controls, installs), installs + 1
    while low < high:
        middle = (low + high) // 2
        if _log_e_after(middle, k_control, installs, controls) < needed:
            low = middle + 1
        else:
            high = middle
    return low


def _log_e_after(k_candidate: int, k_control: int, installs: int, controls: int) -> float:
    """Return the log e-value after these events, which were spread evenly over the path."""
    events = k_candidate + k_control
    shares = []
    for node in range(_NODES):
        done = (node + 0.5) / _NODES
        candidates_left = installs - done * k_candidate
        shares.append(candidates_left / (candidates_left + controls - done * k_control))
    return log_e_harm(
        [
            k_candidate * log(rho)
            - events * fsum([log1p((rho - 1) * share) for share in shares]) / _NODES
            for rho in GRID
        ]
    )


def _binomial_quantile(level: float, n: int, p: float) -> int:
    """Return the smallest k that a binomial count is at or below with probability *level*."""
    spread = 10 * sqrt(n * p * (1 - p)) + 10
    low, high = max(0, int(n * p - spread)), min(n, int(n * p + spread))
    while low < high:
        middle = (low + high) // 2
        if _binomial_cdf(middle, n, p) < level:
            low = middle + 1
        else:
            high = middle
    return low


def _binomial_cdf(k: int, n: int, p: float) -> float:
    """Return the probability that a binomial count is *k* or less, to about a hundredth."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if p >= 1:
        return 0.0
    variance = n * p * (1 - p)
    if variance > _LARGE_VARIANCE:
        return erfc((n * p - k - 0.5) / sqrt(2 * variance)) / 2
    first = max(0, int(n * p - 12 * sqrt(variance) - 12))
    odds, none = log(p) - log1p(-p), n * log1p(-p)
    return fsum([exp(log_binomial(n, i) + i * odds + none) for i in range(first, k + 1)])


def _raised(base: float, ratio: float) -> float:
    """Return the candidate's probability."""
    raised = base * ratio
    # The product of a probability and its inverse may miss 1 by the last bit.
    if not (0 <= base <= 1 and 0 <= raised <= 1 + 1e-12):
        raise ValueError(f"{ratio} times a base rate of {base} is not a probability")
    return min(raised, 1.0)


def _divergence(a: float, b: float) -> float:
    """Return KL(a || b) of two coins, in nats for each toss."""
    heads = a * log(a / b) if a > 0 else 0.0
    tails = (1 - a) * log1p((b - a) / (1 - b)) if a < 1 else 0.0
    return heads + tails


def _needed(alpha: float, information: float) -> float:
    """Return over how many installs log(1 / *alpha*) nats are gathered."""
    return log(1 / alpha) / information if information > 0 else inf
