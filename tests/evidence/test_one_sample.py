from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from update_server.evidence.one_sample import log_e_above, log_e_floor

CEILINGS = (0.005, 0.02, 0.1, 0.3, 0.7)


def expectation(log_e: Callable[[int], float], n: int, rate: float) -> float:
    return math.fsum(float(stats.binom.pmf(k, n, rate)) * math.exp(log_e(k)) for k in range(n + 1))


@given(st.integers(0, 60), st.sampled_from(CEILINGS))
def test_failures_at_the_ceiling_leave_the_e_value_at_1(n: int, ceiling: float) -> None:
    mean = expectation(lambda k: log_e_above(k, n, ceiling), n, ceiling)

    assert mean == pytest.approx(1, abs=1e-9)


@given(st.integers(0, 60), st.sampled_from(CEILINGS), st.floats(0.01, 1))
def test_fewer_failures_than_the_ceiling_lower_the_e_value(
    n: int, ceiling: float, fraction: float
) -> None:
    mean = expectation(lambda k: log_e_above(k, n, ceiling), n, fraction * ceiling)

    assert mean <= 1 + 1e-9


@given(st.integers(0, 200), st.sampled_from(CEILINGS), st.data())
def test_the_e_value_mixes_binomial_likelihoods(
    n: int, ceiling: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, n))
    rates = [ceiling * 2 ** (j / 2) for j in range(1, 40) if ceiling * 2 ** (j / 2) < 0.95]
    logs = [
        stats.binom.logpmf(k, n, rate) - stats.binom.logpmf(k, n, ceiling)
        for rate in [*rates, 0.95]
    ]

    log_e = log_e_above(k, n, ceiling)

    assert log_e == pytest.approx(special.logsumexp(logs) - math.log(len(logs)), abs=1e-7)


@pytest.mark.parametrize("ceiling", [0.0, 0.95, 1.0, -0.1])
def test_a_ceiling_leaves_room_above_and_below(ceiling: float) -> None:
    with pytest.raises(ValueError, match="ceiling"):
        log_e_above(1, 2, ceiling)


@given(st.integers(0, 60), st.sampled_from([0.001, 0.1, 0.5]))
def test_crashes_at_the_floor_leave_its_e_value_at_1(n: int, rate: float) -> None:
    assert expectation(lambda k: log_e_floor(k, n, rate), n, rate) == pytest.approx(1, abs=1e-9)


@given(st.integers(0, 60), st.floats(1, 2))
def test_more_crashes_than_the_floor_lower_its_e_value(n: int, factor: float) -> None:
    mean = expectation(lambda k: log_e_floor(k, n, 0.4), n, 0.4 * factor)

    assert mean <= 1 + 1e-9


def test_about_3330_installs_without_a_crash_are_below_one_crash_in_1000_a_day() -> None:
    needed = math.log(20)

    first = next(n for n in range(10_000) if log_e_floor(0, n) >= needed)

    assert first == pytest.approx(3_330, abs=5)
    assert first > 2_995 > needed / -math.log1p(-0.001) - 1


def test_a_crash_takes_half_of_the_bet() -> None:
    assert log_e_floor(1, 3_400) < log_e_floor(0, 3_400) - math.log(2)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_floor_is_between_never_and_always(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        log_e_floor(0, 1, rate)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2)])
def test_more_failures_than_installs_are_an_error(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="failures"):
        log_e_above(k, n, 0.1)
    with pytest.raises(ValueError, match="failures"):
        log_e_floor(k, n)
