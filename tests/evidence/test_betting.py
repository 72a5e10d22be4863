from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from update_server.evidence.betting import (
    LAMBDAS,
    add_scored_cohort,
    empty_bets,
    log_e_bets,
)

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def bets_on(
    labels: Sequence[bool], scores: Sequence[float], centre: float, *, harm_is_higher: bool = True
) -> list[float]:
    vector = empty_bets()
    add_scored_cohort(
        vector,
        scores=list(zip(labels, scores, strict=True)),
        centre=centre,
        harm_is_higher=harm_is_higher,
    )
    return vector


@given(SCORES, st.floats(0, 1), st.booleans(), st.data())
def test_a_release_that_changes_nothing_leaves_the_e_value_at_1(
    scores: list[float], centre: float, harm_is_higher: bool, data: st.DataObject
) -> None:
    candidates = data.draw(st.integers(0, len(scores)))
    assignments = [
        [i in chosen for i in range(len(scores))]
        for chosen in itertools.combinations(range(len(scores)), candidates)
    ]

    values = [
        math.exp(log_e_bets(bets_on(labels, scores, centre, harm_is_higher=harm_is_higher)))
        for labels in assignments
    ]

    assert math.fsum(values) / len(values) == pytest.approx(1, abs=1e-9)


@given(SCORES, st.floats(0, 1), st.data())
def test_no_bet_loses_everything(scores: list[float], centre: float, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))

    assert all(math.isfinite(wealth) for wealth in bets_on(labels, scores, centre))


def test_one_bet_is_the_formula() -> None:
    vector = bets_on([True, False], [0.9, 0.2], 0.3)

    # Half are candidates at first; the second label is certain.
    assert vector == [math.log1p(stake * 0.5 * (0.9 - 0.3)) for stake in LAMBDAS]


def test_the_stakes_run_from_a_small_one_to_nearly_all() -> None:
    assert pytest.approx([0.0075, 0.015, 0.03, 0.06, 0.12, 0.24, 0.48, 0.96]) == LAMBDAS


def test_worse_scores_of_candidates_win_in_the_direction_of_harm_only() -> None:
    labels, scores = [True, False] * 30, [0.9, 0.1] * 30

    higher = log_e_bets(bets_on(labels, scores, 0.5, harm_is_higher=True))
    lower = log_e_bets(bets_on(labels, scores, 0.5, harm_is_higher=False))

    assert higher > 3
    assert lower < 0


def test_cohorts_multiply() -> None:
    twice = bets_on([True, False], [0.9, 0.2], 0.3)
    add_scored_cohort(twice, scores=[(True, 0.9), (False, 0.2)], centre=0.3, harm_is_higher=True)

    assert twice == [2 * wealth for wealth in bets_on([True, False], [0.9, 0.2], 0.3)]


@pytest.mark.parametrize(
    ("score", "centre"), [(1.1, 0.5), (-0.1, 0.5), (0.5, 1.1), (0.5, math.nan), (math.nan, 0.5)]
)
def test_an_unclipped_score_is_an_error(score: float, centre: float) -> None:
    with pytest.raises(ValueError, match="scores"):
        bets_on([True], [score], centre)
