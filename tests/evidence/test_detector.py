from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.evidence.detector import (
    ALARM,
    RATIOS,
    advance,
    empty_detector,
    false_reports,
    value,
)


def advanced(*checks: tuple[int, float]) -> list[float]:
    detector = empty_detector()
    for events, expected in checks:
        advance(detector, events=events, expected=expected)
    return detector


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.1, 5)), max_size=4), st.floats(0.01, 3))
def test_without_a_change_a_check_adds_one_on_average(
    checks: list[tuple[int, float]], expected: float
) -> None:
    # So on average a false alarm takes ALARM checks or more (optional stopping).
    before = advanced(*checks)
    mean = 0.0
    for events in range(200):  # 16 times the rate is 48 events: far into its tail
        after = list(before)
        advance(after, events=events, expected=expected)
        log_probability = events * math.log(expected) - expected - math.lgamma(events + 1)
        mean += math.exp(log_probability) * value(after)

    assert mean == pytest.approx(value(before) + 1, rel=1e-9)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5)), max_size=6))
def test_the_value_is_the_recursion(checks: list[tuple[int, float]]) -> None:
    sums = [0.0] * len(RATIOS)
    for events, expected in checks:
        sums = [
            (total + 1) * rho**events * math.exp(-(rho - 1) * expected)
            for total, rho in zip(sums, RATIOS, strict=True)
        ]

    assert value(advanced(*checks)) == pytest.approx(sum(sums) / len(sums), rel=1e-9, abs=1e-12)


def test_a_quiet_day_forgets_what_came_before() -> None:
    detector = advanced((3, 1.0), (0, 2_000.0))

    assert value(detector) == 0.0


def test_twice_the_rate_raises_the_alarm() -> None:
    assert value(advanced(*[(10, 10.0)] * 20)) < ALARM
    assert value(advanced(*[(20, 10.0)] * 20)) > ALARM


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 5)), min_size=1, max_size=6))
def test_so_many_events_less_and_there_is_no_alarm(checks: list[tuple[int, float]]) -> None:
    detector = advanced(*checks)
    false = false_reports(detector)

    events, expected = checks[-1]
    if value(detector) < ALARM:
        assert false == 0
    elif false <= events:
        # Those of the last check divide all sums by their ratios: it is exact.
        assert value(advanced(*checks[:-1], (events - false, expected))) < ALARM
        assert value(advanced(*checks[:-1], (events - false + 1, expected))) >= ALARM
    else:
        assert value(advanced(*checks[:-1], (0, expected))) >= ALARM


def test_no_number_of_events_is_too_large() -> None:
    assert 1e300 < value(advanced((100_000, 1.0))) < math.inf


@pytest.mark.parametrize("check", [(-1, 1.0), (1, -1.0)])
def test_a_negative_count_is_an_error(check: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        advanced(check)


def test_a_sum_of_next_to_nothing_is_no_alarm() -> None:
    assert false_reports([1e-20] * len(RATIOS)) == 0
