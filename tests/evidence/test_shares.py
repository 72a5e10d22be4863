"""The interval of a share: what is claimed of it, by complete enumeration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from update_server.evidence.shares import share_interval


def test_of_nobody_every_share_is_possible() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)


def test_none_and_all_reach_the_ends() -> None:
    assert share_interval(0, 100)[0] == 0.0
    assert share_interval(100, 100)[1] == 1.0


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_more_than_there_are_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="of"):
        share_interval(k, n)


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_the_share_seen_is_inside_and_the_ends_are_where_the_bet_reaches_20(a: int, b: int) -> None:
    k, n = min(a, b), max(a, b)

    low, high = share_interval(k, n)

    assert 0 <= low <= high <= 1
    assert not n or low <= k / n <= high
    for end in {low, high} - {0.0, 1.0}:
        bet = special.betaln(k + 1, n - k + 1) - special.xlogy(k, end)
        bet -= special.xlog1py(n - k, -end)
        assert bet == pytest.approx(math.log(20), abs=1e-3)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_it_ever_misses_the_true_share_with_probability_5_per_cent_at_most(share: float) -> None:
    # All paths at once: the probability of being at k after n installs, never missed before.
    alive, missed = {0: 1.0}, 0.0
    for n in range(1, 400):
        after: dict[int, float] = {}
        for k, probability in alive.items():
            after[k] = after.get(k, 0.0) + probability * (1 - share)
            after[k + 1] = after.get(k + 1, 0.0) + probability * share
        bounds = {k: share_interval(k, n) for k in after}
        missed += sum(p for k, p in after.items() if not bounds[k][0] <= share <= bounds[k][1])
        alive = {k: p for k, p in after.items() if bounds[k][0] <= share <= bounds[k][1]}
        alive = {k: p for k, p in alive.items() if p > 1e-12}

    assert missed <= 0.05
