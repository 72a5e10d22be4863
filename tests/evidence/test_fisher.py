"""Matured cohorts: the factor of one, and the e-values of many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from update_server.evidence import fisher, ratio
from update_server.evidence.fisher import OMEGAS, OUTCOME_GRID, SHARES

Cohort = tuple[int, int, int]  # k, n_candidate, n_control


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    n_candidate, n_control = draw(st.integers(0, 8)), draw(st.integers(0, 12))
    return draw(st.integers(0, n_candidate + n_control)), n_candidate, n_control


def possible(k: int, n_candidate: int, n_control: int) -> range:
    return range(max(0, k - n_control), min(k, n_candidate) + 1)


def expectation(e: Callable[[int], float], cohort: Cohort, odds_ratio: float = 1.0) -> float:
    """Return the mean of *e* over how many of the outcomes are candidates'."""
    weights = [
        math.comb(cohort[1], i) * math.comb(cohort[2], cohort[0] - i) * odds_ratio**i
        for i in possible(*cohort)
    ]
    values = [weight * e(i) for weight, i in zip(weights, possible(*cohort), strict=True)]
    return math.fsum(values) / math.fsum(weights)


def outcomes_of(cohorts: Sequence[tuple[int, Cohort]]) -> list[float]:
    vector = fisher.empty_outcomes()
    for k_candidate, (k, n_candidate, n_control) in cohorts:
        fisher.add_cohort(
            vector, k_candidate=k_candidate, k=k, n_candidate=n_candidate, n_control=n_control
        )
    return vector


def shares_of(cohorts: Sequence[tuple[int, Cohort]], base_rate: float) -> list[float]:
    vector = fisher.empty_shares()
    for k_candidate, (k, n_candidate, n_control) in cohorts:
        fisher.add_silence_cohort(
            vector,
            k_candidate=k_candidate,
            k=k,
            n_candidate=n_candidate,
            n_control=n_control,
            base_rate=base_rate,
        )
    return vector


# What is proved


@given(cohorts(), st.floats(0.05, 50))
def test_a_factor_is_1_in_expectation_whatever_the_base_rate(cohort: Cohort, omega: float) -> None:
    def e(k_candidate: int) -> float:
        return math.exp(fisher.log_factor(k_candidate, *cohort, omega))

    assert expectation(e, cohort) == pytest.approx(1, abs=1e-9)


@given(cohorts(), st.sampled_from([1.0, 0.8, 0.3]))
def test_a_harmless_release_leaves_the_e_value_at_1_and_a_better_one_lowers_it(
    cohort: Cohort, odds_ratio: float
) -> None:
    def e(k_candidate: int) -> float:
        return math.exp(fisher.log_e_harm_outcomes(outcomes_of([(k_candidate, cohort)])))

    mean = expectation(e, cohort, odds_ratio)

    assert mean <= 1 + 1e-9
    assert mean == pytest.approx(1, abs=1e-9) or odds_ratio < 1


@given(cohorts(), st.sampled_from(ratio.MARGINS))
def test_a_release_at_the_margin_leaves_the_gate_at_1(cohort: Cohort, margin: float) -> None:
    def e(k_candidate: int) -> float:
        vector = outcomes_of([(k_candidate, cohort)])
        return math.exp(fisher.log_e_noninferiority_outcomes(vector, margin))

    assert expectation(e, cohort, margin) == pytest.approx(1, abs=1e-9)
    assert expectation(e, cohort, 2 * margin) <= 1 + 1e-9


@given(cohorts(), st.floats(0.001, 0.9))
def test_silence_of_nobody_bricked_leaves_the_e_value_at_1_for_any_prediction(
    cohort: Cohort, predicted: float
) -> None:
    def e(k_candidate: int) -> float:
        return math.exp(fisher.log_e_silence(shares_of([(k_candidate, cohort)], predicted)))

    assert expectation(e, cohort) == pytest.approx(1, abs=1e-9)


@given(cohorts(), st.floats(0.001, 0.9), st.sampled_from(SHARES[3:7]))
def test_silence_of_the_share_itself_leaves_its_gate_at_1(
    cohort: Cohort, base: float, share: float
) -> None:
    def e(k_candidate: int) -> float:
        vector = shares_of([(k_candidate, cohort)], base)
        return math.exp(fisher.log_e_silence_gate(vector, share))

    odds_ratio = fisher.silence_omega(share, base)

    assert expectation(e, cohort, odds_ratio) == pytest.approx(1, abs=1e-9)


@given(cohorts())
def test_the_average_over_outcomes_of_the_same_installs_leaves_the_e_value_at_1(
    cohort: Cohort,
) -> None:
    # The second outcome is not to have the first; the third nobody has.
    k, n_candidate, n_control = cohort
    opposite = (n_candidate + n_control - k, n_candidate, n_control)
    nobody = (0, n_candidate, n_control)

    def e(k_candidate: int) -> float:
        drawn = [(k_candidate, cohort), (n_candidate - k_candidate, opposite), (0, nobody)]
        return math.exp(fisher.log_e_exceedance([outcomes_of([one]) for one in drawn]))

    assert expectation(e, cohort) == pytest.approx(1, abs=1e-9)


# What it computes


@pytest.mark.parametrize("seed", range(200))
def test_a_random_cohort_has_the_factor_of_scipy(seed: int) -> None:
    random = Random(seed)
    n_candidate, n_control = random.randint(1, 60), random.randint(1, 300)
    k = random.randint(0, n_candidate + n_control)
    k_candidate = random.choice(possible(k, n_candidate, n_control))
    omega = 2 ** random.uniform(-1, 5)
    among = possible(k, n_candidate, n_control)
    weights = stats.hypergeom.logpmf(list(among), n_candidate + n_control, n_candidate, k)
    total = special.logsumexp(
        [w + i * math.log(omega) for w, i in zip(weights, among, strict=True)]
    )

    factor = fisher.log_factor(k_candidate, k, n_candidate, n_control, omega)

    assert factor == pytest.approx(k_candidate * math.log(omega) - total, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_the_factor_is_a_ratio_of_the_two_hypergeometric_probabilities(seed: int) -> None:
    random = Random(seed)
    n_candidate, n_control, k = random.randint(1, 20), random.randint(1, 90), random.randint(1, 20)
    k = min(k, n_candidate + n_control)
    k_candidate = random.choice(possible(k, n_candidate, n_control))
    omega = 2 ** random.uniform(-1, 3)
    size = (n_candidate + n_control, n_candidate, k)
    skewed = stats.nchypergeom_fisher.pmf(k_candidate, *size, omega)
    fair = stats.hypergeom.pmf(k_candidate, *size)

    factor = fisher.log_factor(k_candidate, k, n_candidate, n_control, omega)

    # Its noncentral probabilities are good to about 1e-10 of their sum.
    assert math.exp(factor) * fair == pytest.approx(skewed, rel=1e-6, abs=1e-9)


@given(st.booleans(), st.integers(1, 1_000), st.integers(1, 1_000), st.sampled_from(OMEGAS))
def test_a_cohort_with_one_outcome_is_a_first_event(
    candidate: bool, n_candidate: int, n_control: int, omega: float
) -> None:
    vector = ratio.empty_vector()
    ratio.add_event(vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control)

    factor = fisher.log_factor(int(candidate), 1, n_candidate, n_control, omega)

    assert factor == pytest.approx(vector[ratio.index_of(omega)], abs=1e-9)


@given(cohorts(), st.data())
def test_the_odds_ratio_of_1_is_exactly_no_evidence(cohort: Cohort, data: st.DataObject) -> None:
    k_candidate = data.draw(st.sampled_from(possible(*cohort)))

    assert fisher.log_factor(k_candidate, *cohort, 1.0) == 0.0


@given(st.lists(cohorts(), max_size=8), st.data())
def test_the_order_of_cohorts_does_not_matter(several: list[Cohort], data: st.DataObject) -> None:
    drawn = [(data.draw(st.sampled_from(possible(*cohort))), cohort) for cohort in several]

    vectors = outcomes_of(drawn), outcomes_of(drawn[::-1])

    assert vectors[0] == pytest.approx(vectors[1], abs=1e-9)


def test_the_e_value_for_harm_mixes_the_forty_odds_ratios() -> None:
    vector = outcomes_of([(7, (20, 20, 180)), (3, (15, 20, 180))])
    weights = [1 / (1 + math.log2(omega)) for omega in OMEGAS]
    logs = [
        fisher.log_factor(7, 20, 20, 180, omega) + fisher.log_factor(3, 15, 20, 180, omega)
        for omega in OMEGAS
    ]

    log_e = fisher.log_e_harm_outcomes(vector)

    assert len(OMEGAS) == 40
    assert log_e == pytest.approx(
        special.logsumexp(logs, b=[weight / sum(weights) for weight in weights]), abs=1e-9
    )


def test_the_gate_sets_five_ratios_against_its_margin() -> None:
    vector = outcomes_of([(2, (20, 20, 180))])
    weights = [math.exp(4 * math.log(u)) for u in ratio.NUMERATORS]
    logs = [fisher.log_factor(2, 20, 20, 180, u) for u in ratio.NUMERATORS]

    log_e = fisher.log_e_noninferiority_outcomes(vector, 1.25)

    assert len(ratio.NUMERATORS) == 5
    assert log_e == pytest.approx(
        special.logsumexp(logs, b=[weight / sum(weights) for weight in weights])
        - fisher.log_factor(2, 20, 20, 180, 1.25),
        abs=1e-9,
    )


def test_the_gate_has_no_other_margins() -> None:
    with pytest.raises(ValueError, match="margins"):
        fisher.log_e_noninferiority_outcomes(fisher.empty_outcomes(), 4.0)


@pytest.mark.parametrize(
    "cohort", [(3, 3, 5, 0), (0, 4, 0, 9), (0, 0, 5, 9), (5, 14, 5, 9), (0, 0, 0, 0)]
)
def test_a_cohort_in_which_nothing_was_drawn_says_nothing(
    cohort: tuple[int, int, int, int],
) -> None:
    k_candidate, k, n_candidate, n_control = cohort

    assert outcomes_of([(k_candidate, (k, n_candidate, n_control))]) == [0.0] * len(OUTCOME_GRID)


@pytest.mark.parametrize("cohort", [(6, 7, 5, 9), (-1, 3, 5, 9), (0, 10, 5, 9), (3, 2, 5, 9)])
def test_an_impossible_cohort_is_an_error(cohort: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        fisher.log_factor(*cohort, 2.0)


@given(st.floats(0.001, 0.9), st.sampled_from(SHARES))
def test_the_odds_ratio_of_silence_is_that_of_the_silent_shares(base: float, share: float) -> None:
    silent = base + share * (1 - base)

    omega = fisher.silence_omega(share, base)

    assert omega == pytest.approx(silent * (1 - base) / ((1 - silent) * base), rel=1e-9)


def test_strata_with_different_base_rates_add_into_one_vector() -> None:
    several = shares_of([(4, (22, 20, 180))], 0.1)
    fisher.add_silence_cohort(
        several, k_candidate=1, k=3, n_candidate=20, n_control=180, base_rate=0.02
    )

    expected = [
        fisher.log_factor(4, 22, 20, 180, fisher.silence_omega(share, 0.1))
        + fisher.log_factor(1, 3, 20, 180, fisher.silence_omega(share, 0.02))
        for share in SHARES
    ]

    assert several == pytest.approx(expected, abs=1e-12)


def test_a_gate_is_the_log_likelihood_turned_round() -> None:
    vector = [float(i) for i in range(len(SHARES))]

    assert fisher.log_e_silence_gate(vector, 0.01) == -3.0


def test_a_gate_is_at_one_of_the_shares() -> None:
    with pytest.raises(ValueError, match="tuple"):
        fisher.log_e_silence_gate(fisher.empty_shares(), 0.03)


def test_the_best_share_is_the_likeliest_and_without_evidence_the_smallest() -> None:
    everybody = shares_of([(20, (38, 20, 180))], 0.1)

    assert fisher.best_share(everybody) == 0.99
    assert fisher.best_share(fisher.empty_shares()) == 0.001


def test_the_base_rate_starts_at_history_and_ends_at_the_controls() -> None:
    assert fisher.base_rate(0.1, 0, 0) == pytest.approx(0.1)
    assert fisher.base_rate(0.1, 30, 100) == pytest.approx(0.2)
    assert fisher.base_rate(0.1, 300_000, 1_000_000) == pytest.approx(0.3, abs=1e-3)


def test_the_base_rate_is_kept_off_its_ends() -> None:
    assert fisher.base_rate(0.0, 0, 500) == 0.001
    assert fisher.base_rate(1.0, 500, 500) == 0.9
