from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from update_server.evidence.srm import (
    LOG_SUSPEND,
    THETAS,
    add_entrant,
    add_entrants,
    empty_srm,
    log_e_srm,
)


def vector_of(candidates: int, controls: int, share: float) -> list[float]:
    vector = empty_srm()
    add_entrants(vector, candidates=candidates, controls=controls, share=share)
    return vector


@given(st.integers(0, 60), st.sampled_from([0.01, 0.1, 0.5, 0.98]))
def test_entrants_as_designed_leave_the_e_value_at_1(entrants: int, share: float) -> None:
    mean = math.fsum(
        float(stats.binom.pmf(k, entrants, share))
        * math.exp(log_e_srm(vector_of(k, entrants - k, share)))
        for k in range(entrants + 1)
    )

    assert mean == pytest.approx(1, abs=1e-9)


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0.01, 0.1, 0.5]))
def test_entrants_one_by_one_are_entrants_at_once(arms: list[bool], share: float) -> None:
    one_by_one = empty_srm()
    for candidate in arms:
        add_entrant(one_by_one, candidate=candidate, share=share)

    at_once = vector_of(arms.count(True), arms.count(False), share)

    assert one_by_one == pytest.approx(at_once, abs=1e-9)


def test_the_e_value_mixes_shares_on_both_sides_of_the_design() -> None:
    thetas = [2 ** (sign * j / 16) for j in range(1, 33) for sign in (-1, 1)]
    weights = [1 / (1 + j / 4) for j in range(1, 33) for _ in (-1, 1)]
    logs = [30 * math.log(theta) - 400 * math.log(theta * 0.1 + 0.9) for theta in thetas]

    log_e = log_e_srm(vector_of(30, 370, 0.1))

    assert sorted(THETAS) == list(THETAS)
    assert pytest.approx(sorted(thetas), abs=1e-12) == THETAS
    assert log_e == pytest.approx(
        special.logsumexp(logs, b=[weight / sum(weights) for weight in weights]), abs=1e-9
    )


@pytest.mark.parametrize("candidates", [700, 1_300])
def test_lost_and_doubled_candidates_suspend_the_judgement(candidates: int) -> None:
    assert log_e_srm(vector_of(candidates, 9_000, 0.1)) > LOG_SUSPEND


def test_a_stage_as_designed_is_not_suspended() -> None:
    assert log_e_srm(vector_of(1_000, 9_000, 0.1)) < 0


def test_a_ring_without_controls_says_nothing_until_one_shows_up() -> None:
    assert log_e_srm(vector_of(50, 0, 1.0)) == pytest.approx(0, abs=1e-12)
    assert log_e_srm(vector_of(50, 20, 1.0)) > LOG_SUSPEND


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        vector_of(1, 1, share)
