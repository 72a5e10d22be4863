from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from update_server.evidence import numerics
from update_server.evidence.numerics import (
    log_binomial,
    log_sum_exp,
    math_sha256,
    weighted_log_sum,
)

LOGS = st.lists(st.floats(-700, 700), min_size=1, max_size=30)


@given(LOGS)
def test_the_log_of_a_sum_is_that_of_scipy(logs: list[float]) -> None:
    assert log_sum_exp(logs) == pytest.approx(special.logsumexp(logs), rel=1e-12, abs=1e-12)


@given(LOGS)
def test_the_order_of_the_terms_does_not_show(logs: list[float]) -> None:
    shuffled = sorted(logs)

    assert log_sum_exp(shuffled) == log_sum_exp(logs) == log_sum_exp(shuffled[::-1])


def test_e_values_beyond_any_double_are_summed() -> None:
    assert log_sum_exp([5_000.0, 5_000.0]) == pytest.approx(5_000 + math.log(2), abs=1e-12)
    assert log_sum_exp([-5_000.0, -5_000.0]) == pytest.approx(-5_000 + math.log(2), abs=1e-12)


def test_zeros_sum_to_zero() -> None:
    assert log_sum_exp([-math.inf, -math.inf]) == -math.inf
    assert log_sum_exp([-math.inf, 3.0]) == 3.0


def test_no_term_has_no_sum() -> None:
    with pytest.raises(ValueError, match="empty"):
        log_sum_exp([])


def test_a_point_without_weight_does_not_drown_the_others() -> None:
    logs, log_weights = [9_000.0, 1.0, 2.0], [-math.inf, math.log(0.5), math.log(0.5)]

    mean = weighted_log_sum(logs, log_weights)

    assert mean == pytest.approx(math.log((math.e + math.e**2) / 2), abs=1e-12)


def test_each_point_needs_its_weight() -> None:
    with pytest.raises(ValueError, match="zip"):
        weighted_log_sum([1.0, 2.0], [0.0])


@given(st.integers(0, 60), st.data())
def test_a_log_binomial_is_that_of_whole_numbers(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))

    assert log_binomial(n, k) == pytest.approx(math.log(math.comb(n, k)), rel=1e-12, abs=1e-11)


def test_the_fingerprint_is_a_sha256_of_all_results() -> None:
    assert len(bytes.fromhex(math_sha256())) == hashlib.sha256().digest_size
    assert math_sha256() == math_sha256.__wrapped__()


@pytest.mark.parametrize("name", ["log", "log1p", "exp", "lgamma"])
def test_a_last_bit_in_any_function_changes_the_fingerprint(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = math_sha256()
    function = getattr(math, name)

    def another_library(x: float) -> float:
        result: float = function(x)
        return math.nextafter(result, math.inf) if 3 < x < 3.1 else result

    monkeypatch.setattr(numerics, name, another_library)

    assert math_sha256.__wrapped__() != ours
