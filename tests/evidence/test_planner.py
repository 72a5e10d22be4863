"""What the planner foretells, against what was simulated with the engine itself.

The numbers are those of the design: candidate installs until a pause, as bound, mean and 90th
percentile, and the smallest ratio that is paused with a probability of 80 %.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from update_server.evidence import planner

# Base rate, ratio, controls for each candidate; bound, mean, 90th percentile (4,000 runs).
DELAYS = [
    (0.0005, 1.5, 9, 95_984, 131_986, 241_600),
    (0.0005, 1.5, 99, 86_069, 119_002, 216_534),
    (0.0005, 2, 9, 27_241, 37_170, 68_100),
    (0.0005, 2, 99, 24_139, 33_555, 61_506),
    (0.005, 1.25, 9, 35_463, 51_559, 93_378),
    (0.005, 1.25, 99, 32_011, 46_635, 83_304),
    (0.005, 1.5, 9, 9_548, 13_517, 24_184),
    (0.005, 1.5, 99, 8_562, 11_959, 21_736),
    (0.005, 2, 9, 2_708, 3_734, 6_885),
    (0.005, 2, 99, 2_400, 3_382, 6_280),
    (0.005, 5, 9, 273, 372, 715),
    (0.005, 5, 99, 230, 329, 620),
    (0.005, 20, 9, 31, 44, 81),
    (0.005, 20, 99, 23, 35, 67),
    (0.02, 1.5, 9, 2_345, 3_355, 5_971),
    (0.02, 1.5, 99, 2_103, 3_003, 5_320),
    (0.02, 2, 9, 663, 916, 1_683),
    (0.02, 2, 99, 588, 825, 1_520),
    (0.02, 5, 9, 66, 93, 172),
    (0.02, 5, 99, 56, 81, 151),
    (0.02, 20, 9, 7.0, 11, 19),
    (0.02, 20, 99, 5.3, 9.0, 16),
]
# Base rate, margin; bound, mean installs to pass at a true ratio of 1, 9 controls each.
PASSES = [
    (0.005, 1.25, 25_193, 29_674),
    (0.005, 1.5, 7_268, 8_096),
    (0.005, 2, 2_305, 2_498),
    (0.02, 1.25, 6_298, 7_292),
    (0.02, 1.5, 1_817, 2_032),
    (0.02, 2, 576, 628),
    (0.0005, 1.25, 251_927, 294_437),
    (0.0005, 1.5, 72_680, 81_040),
    (0.0005, 2, 23_048, 25_170),
]
SILENT_STRATA = [(0.02, 0.4), (0.1, 0.4), (0.4, 0.2)]
SILENCE = [(1.0, 1.7), (0.2, 24), (0.05, 237), (0.02, 1_211), (0.01, 4_413)]

INSTALLS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000)
SMALLEST = {
    0.0001: (440, 154, 50, 22, 9.1, 4.8, 2.77, 1.51),
    0.0005: (95, 38, 14, 7.1, 3.9, 2.44, 1.74, 1.22),
    0.005: (15, 7.0, 3.8, 2.46, 1.73, 1.40, 1.22, 1.11),
    0.02: (6.2, 3.5, 2.23, 1.66, 1.35, 1.20, 1.13, 1.10),
    0.05: (3.9, 2.51, 1.72, 1.40, 1.22, 1.15, 1.11, 1.09),
}


@pytest.mark.parametrize(("base", "ratio", "controls", "bound", "mean", "p90"), DELAYS)
def test_the_delay_of_a_pause_is_foretold(
    base: float, ratio: float, controls: int, bound: float, mean: float, p90: float
) -> None:
    ours = planner.harm_bound(base, ratio, controls)

    assert ours == pytest.approx(bound, rel=0.01)
    assert planner.mean_until_pause(ours) == pytest.approx(mean, rel=0.16)
    assert planner.p90_until_pause(ours) >= p90


@pytest.mark.parametrize(("base", "margin", "bound", "mean"), PASSES)
def test_the_installs_that_pass_a_gate_are_foretold(
    base: float, margin: float, bound: float, mean: float
) -> None:
    ours = planner.noninferiority_bound(base, margin, 9)

    assert ours == pytest.approx(bound, rel=0.001)
    assert mean <= planner.mean_until_pass(ours) <= 1.25 * mean


@pytest.mark.parametrize(("bricked", "bound"), SILENCE)
def test_the_bound_for_bricked_installs_is_that_of_the_design(bricked: float, bound: float) -> None:
    assert planner.silence_bound(SILENT_STRATA, bricked) == pytest.approx(bound, rel=0.02)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("base", "installs", "expected"),
    [
        (base, installs, expected)
        for base, row in SMALLEST.items()
        for installs, expected in zip(INSTALLS, row, strict=True)
    ],
)
def test_the_smallest_ratio_is_that_of_the_simulated_table(
    base: float, installs: int, expected: float
) -> None:
    assert planner.smallest_ratio(base, installs, 9) == pytest.approx(expected, rel=0.12)


def test_a_rare_event_with_many_controls_has_the_bound_of_poisson_counts() -> None:
    exact = planner.harm_bound(1e-6, 3, 100_000)

    assert planner.rare_harm_bound(1e-6, 3) == pytest.approx(exact, rel=1e-3)


def test_a_metric_with_less_weight_takes_longer() -> None:
    whole = planner.harm_bound(0.005, 2, 9)
    part = planner.harm_bound(0.005, 2, 9, weight=0.3)

    assert part / whole == pytest.approx(1 + math.log(1 / 0.3) / math.log(100))
    assert planner.smallest_ratio(0.005, 1_000, 9, weight=0.3) > planner.smallest_ratio(
        0.005, 1_000, 9
    )


def test_a_harmless_release_is_never_paused() -> None:
    assert planner.harm_bound(0.005, 1, 9) == math.inf
    assert planner.rare_harm_bound(0.005, 0.5) == math.inf
    assert planner.silence_bound(SILENT_STRATA, 0) == math.inf
    assert planner.installs_to_detect(0.005, 1, 9) is None


def test_without_controls_or_events_there_is_no_verdict() -> None:
    assert planner.harm_bound(0.005, 2, 0) == math.inf
    assert planner.harm_bound(0, 2, 9) == math.inf
    assert planner.noninferiority_bound(0.005, 2, 0) == math.inf
    assert planner.noninferiority_bound(0, 2, 9) == math.inf
    assert planner.smallest_ratio(0, 1_000, 9) == math.inf
    assert planner.smallest_ratio(0.005, 0, 9) == math.inf
    assert planner.smallest_ratio(0.005, 1_000, 0) == math.inf


def test_a_ratio_at_the_margin_never_passes() -> None:
    assert planner.noninferiority_bound(0.005, 2, 9, ratio=2) == math.inf


def test_too_few_installs_find_not_even_certain_failure() -> None:
    assert planner.smallest_ratio(0.01, 1, 9) == math.inf


def test_a_rate_that_cannot_double_is_found_at_no_ratio() -> None:
    assert planner.smallest_ratio(1.0, 1_000, 9) == math.inf


def test_installs_to_detect_are_whole_and_average() -> None:
    installs = planner.installs_to_detect(0.005, 2, 9)

    assert installs == math.ceil(1.45 * planner.harm_bound(0.005, 2, 9))


def test_everybody_failing_has_a_bound() -> None:
    assert planner.harm_bound(0.1, 10, 9) == pytest.approx(
        math.log(100) / (math.log(1 / 0.19) + 9 * planner._divergence(0.1, 0.19))
    )


@pytest.mark.parametrize(("base", "ratio"), [(0.6, 2), (-0.1, 2), (1.1, 0.5)])
def test_a_probability_is_not_above_1(base: float, ratio: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        planner.harm_bound(base, ratio, 9)
    with pytest.raises(ValueError, match="probability"):
        planner.rare_harm_bound(base, ratio)
    with pytest.raises(ValueError, match="probability"):
        planner.noninferiority_bound(base, 3, 9, ratio)


def test_a_smallest_ratio_needs_a_base_rate_that_is_a_probability() -> None:
    with pytest.raises(ValueError, match="probability"):
        planner.smallest_ratio(1.5, 1_000, 9)


@pytest.mark.parametrize(("base", "bricked"), [(0.0, 0.1), (1.0, 0.1), (0.1, 1.1)])
def test_silence_needs_shares_between_0_and_1(base: float, bricked: float) -> None:
    with pytest.raises(ValueError, match="base rate"):
        planner.silence_bound([(base, 1.0)], bricked)


@given(st.integers(1, 1_000_000), st.floats(1e-6, 0.999999), st.floats(0.01, 0.99))
def test_a_quantile_is_the_smallest_count_that_is_likely_enough(
    n: int, p: float, level: float
) -> None:
    k = planner._binomial_quantile(level, n, p)

    assert stats.binom.cdf(k, n, p) >= level - 0.01
    assert stats.binom.cdf(k - 1, n, p) < level + 0.01


@given(st.integers(1, 1_000_000), st.floats(1e-6, 0.999999), st.floats(-3, 3))
def test_a_binomial_probability_is_right_to_a_hundredth(n: int, p: float, z: float) -> None:
    k = int(n * p + z * math.sqrt(n * p * (1 - p)))

    assert planner._binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=0.01)


def test_a_count_with_certain_failure_is_all() -> None:
    assert planner._binomial_cdf(-1, 10, 0.5) == 0
    assert planner._binomial_cdf(9, 10, 1.0) == 0
    assert planner._binomial_cdf(10, 10, 1.0) == 1
