"""Evidence from matured cohorts: outcomes that are not rare, such as silence.

A **cohort** has n_t candidates and n_c controls that entered together and have waited the same
time; k of them have the outcome, k_t of these candidates. Given k, and if the release changes
nothing, k_t is hypergeometric, whatever the base rate; at an odds ratio omega it has Fisher's
noncentral hypergeometric distribution. The ratio of the two probabilities is an e-value for one
cohort, its expectation exactly 1, and those of successive cohorts multiply. A cohort must close on
its total size or its age, never on its number of candidates or outcomes; that is study.py's.

Three kinds of vectors, all of log factors in nats summed over cohorts, all zeros at first:

- outcomes: one number for each odds ratio of ``OUTCOME_GRID``, ascending;
- exceedance: a list of such vectors, for "above the control's median, q90, q99" of a measurement;
- silence: one number for each share of bricked installs in ``SHARES``, ascending.

Source: safe 2x2 tests (Turner, Ly, Grunwald 2024, arXiv 2106.02693).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log2

from update_server.evidence.numerics import log_binomial, log_sum_exp, weighted_log_sum
from update_server.evidence.ratio import LOG_NUMERATOR_WEIGHTS, MARGINS, NUMERATORS

OMEGAS = tuple(round(2.0 ** (j / 8), 12) for j in range(1, 41))
"""The odds ratios that a harm test mixes: 2^(j/8) up to 32, rounded like ``ratio.GRID``."""

OUTCOME_GRID: tuple[float, ...] = tuple(sorted({*NUMERATORS, *MARGINS, *OMEGAS}))
"""The odds ratios of an outcome's vector: those for harm, the margins, and five of 0.707 to 1."""

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.99)
"""The shares of bricked installs that a test for silence mixes."""

# How many installs' worth of history a stratum's predicted silent share starts with.
HISTORY_WEIGHT = 100
# Beyond these a single install would weigh too much.
_SMALLEST_BASE_RATE = 0.001
_LARGEST_BASE_RATE = 0.9

_HARM_POINTS = tuple(OUTCOME_GRID.index(omega) for omega in OMEGAS)
_HARM_WEIGHTS = tuple(1 / (1 + log2(omega)) for omega in OMEGAS)
_LOG_HARM_WEIGHTS = tuple(log(weight / sum(_HARM_WEIGHTS)) for weight in _HARM_WEIGHTS)
_NUMERATOR_POINTS = tuple(OUTCOME_GRID.index(omega) for omega in NUMERATORS)


def log_factor(k_candidate: int, k: int, n_candidate: int, n_control: int, omega: float) -> float:
    """Return the log likelihood ratio of one cohort, odds ratio *omega* against 1.

    It is k_t log(omega) - log(sum_i P(i) omega^i), P the hypergeometric probability that i of
    the *k* outcomes are candidates'. Where an arm is empty it is 0.

    Args:
        k_candidate: Candidates with the outcome.
        k: Installs with the outcome, in both arms.
        n_candidate: Candidates in the cohort.
        n_control: Controls in the cohort.
        omega: The odds ratio, above 0.

    Raises:
        ValueError: no cohort of this size can have had these outcomes.
    """
    return _log_factors(k_candidate, k, n_candidate, n_control, (omega,))[0]


def empty_outcomes() -> list[float]:
    """Return the vector of no cohort: a zero for each odds ratio of ``OUTCOME_GRID``."""
    return [0.0] * len(OUTCOME_GRID)


def add_cohort(
    vector: list[float], *, k_candidate: int, k: int, n_candidate: int, n_control: int
) -> None:
    """Add one matured cohort to an outcome's *vector*, in place; see ``log_factor``.

    Raises:
        ValueError: no cohort of this size can have had these outcomes.
    """
    _add(vector, _log_factors(k_candidate, k, n_candidate, n_control, OUTCOME_GRID))


def log_e_harm_outcomes(vector: Sequence[float]) -> float:
    """Return the log e-value against "the outcome is not more likely on the candidate".

    It mixes ``OMEGAS`` with weights falling as 1 / (1 + log2(omega)).
    """
    return weighted_log_sum([vector[i] for i in _HARM_POINTS], _LOG_HARM_WEIGHTS)


def log_e_noninferiority_outcomes(vector: Sequence[float], margin: float) -> float:
    """Return the log e-value against "the odds ratio is *margin*": large is good.

    The numerator mixes the same five ratios, with the same weights, as that of first events.

    Raises:
        ValueError: *margin* is none of ``MARGINS``.
    """
    if margin not in MARGINS:
        raise ValueError(f"{margin} is none of the margins {MARGINS}")
    mixture = weighted_log_sum([vector[i] for i in _NUMERATOR_POINTS], LOG_NUMERATOR_WEIGHTS)
    return mixture - vector[OUTCOME_GRID.index(margin)]


def log_e_exceedance(vectors: Sequence[Sequence[float]]) -> float:
    """Return the log of the average of the harm e-values of outcomes of the *same* cohorts.

    The average is an e-value since they reveal the same installs' labels at the same moment;
    for metrics that do so at different moments it would not be (Choe, Ramdas 2024, 2402.09698).

    Raises:
        ValueError: there is none.
    """
    return log_sum_exp([log_e_harm_outcomes(vector) for vector in vectors]) - log(len(vectors))


def empty_shares() -> list[float]:
    """Return the vector of no cohort: a zero for each share of ``SHARES``."""
    return [0.0] * len(SHARES)


def silence_omega(share: float, base_rate: float) -> float:
    """Return the odds ratio of silence when *share* of the candidates are bricked.

    With p the base rate, p1 = p + b (1 - p) of the candidates are silent, and the odds ratio is
    p1 (1 - p) / ((1 - p1) p), where 1 - p1 = (1 - b) (1 - p).

    Args:
        share: b, 0 to below 1.
        base_rate: p, the share that is silent anyway, above 0 and below 1.
    """
    return (base_rate + share * (1 - base_rate)) / ((1 - share) * base_rate)


def add_silence_cohort(
    vector: list[float],
    *,
    k_candidate: int,
    k: int,
    n_candidate: int,
    n_control: int,
    base_rate: float,
) -> None:
    """Add one matured cohort to the *vector* of silence, in place, whatever its stratum.

    Args:
        vector: Of all strata together.
        k_candidate: Silent candidates.
        k: Silent installs, in both arms.
        n_candidate: Candidates in the cohort.
        n_control: Controls in the cohort.
        base_rate: ``base_rate()`` of the cohort's stratum, known before the cohort matured.

    Raises:
        ValueError: no cohort of this size can have had these outcomes.
    """
    omegas = [silence_omega(share, base_rate) for share in SHARES]
    _add(vector, _log_factors(k_candidate, k, n_candidate, n_control, omegas))


def log_e_silence(vector: Sequence[float]) -> float:
    """Return the log e-value against "nobody is bricked": all shares mixed with equal weights."""
    return log_sum_exp(vector) - log(len(SHARES))


def log_e_silence_gate(vector: Sequence[float], share: float) -> float:
    """Return the log e-value against "*share* of the candidates are bricked": large is good.

    A share and not an odds ratio: at a base rate of 10 %, odds 2 times as high would let 9 %
    bricked installs pass.

    Raises:
        ValueError: *share* is none of ``SHARES``.
    """
    return -vector[SHARES.index(share)]


def best_share(vector: Sequence[float]) -> float:
    """Return the share of ``SHARES`` with the largest likelihood; of equals, the smallest."""
    return SHARES[max(range(len(SHARES)), key=lambda i: vector[i])]


def base_rate(history: float, silent_controls: int, controls: int) -> float:
    """Return the predicted silent share of a stratum, from 0.001 to 0.9.

    Any prediction made before the cohort matured keeps the expectation at 1; a good one makes
    the test fast.

    Args:
        history: The stratum's silent share in the 14 days before; weighs as much as 100 installs.
        silent_controls: Silent controls of the cohorts scored so far.
        controls: Controls of the cohorts scored so far.
    """
    predicted = (HISTORY_WEIGHT * history + silent_controls) / (HISTORY_WEIGHT + controls)
    return min(max(predicted, _SMALLEST_BASE_RATE), _LARGEST_BASE_RATE)


def _log_factors(
    k_candidate: int, k: int, n_candidate: int, n_control: int, omegas: Sequence[float]
) -> list[float]:
    if not (0 <= k_candidate <= n_candidate and 0 <= k - k_candidate <= n_control):
        raise ValueError(
            f"{k_candidate} of {k} outcomes among {n_candidate} candidates and {n_control} controls"
        )
    possible = range(max(0, k - n_control), min(k, n_candidate) + 1)
    if len(possible) == 1:
        # One arm is empty, or nobody or everybody has the outcome: nothing was drawn.
        return [0.0] * len(omegas)
    ways = [log_binomial(n_candidate, i) + log_binomial(n_control, k - i) for i in possible]
    # Vandermonde: this is log C(n_t + n_c, k). As a sum of the same terms it makes the factor of
    # omega = 1 exactly 1, and what lgamma rounds in all of them cancels.
    total = log_sum_exp(ways)
    factors = []
    for omega in omegas:
        odds = log(omega)
        tilted = log_sum_exp([way + i * odds for way, i in zip(ways, possible, strict=True)])
        factors.append(k_candidate * odds - (tilted - total))
    return factors


def _add(vector: list[float], factors: Sequence[float]) -> None:
    vector[:] = [sum_so_far + factor for sum_so_far, factor in zip(vector, factors, strict=True)]
