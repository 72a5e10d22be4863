"""Many runs: their limits, and formula and simulation side by side."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from scipy.stats import beta

from tests.rehearsal_world import STEPS, a_fleet, a_plan
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.trials import Compared, at_most, mean, quantile, try_out


def seeds(name: str) -> Iterator[random.Random]:
    return (random.Random(f"{name}/{number}") for number in range(99))


def test_a_harmful_release_is_stopped_in_every_run() -> None:
    plan = a_plan(steps=STEPS[1:])

    trials = try_out(plan, a_fleet(installs=2_000), Harm(crash_ratio=12), seeds("bad"), 3)

    assert (trials.runs, trials.stopped, trials.stopped_at_most) == (3, 3, 1.0)
    assert list(trials.hours) == sorted(trials.hours)
    assert trials.completed_hours == ()
    compared = {each.name: each for each in trials.compared()}
    stopped = compared["hours until stopped"]
    assert stopped.formula is not None
    assert stopped.simulation == pytest.approx(stopped.formula, rel=0.7)  # crash loops tell, too
    assert not compared["installs exposed"].is_flagged


@pytest.mark.parametrize(("count", "runs"), [(0, 2), (0, 300), (1, 10), (7, 20)])
def test_upper_limits_are_those_of_clopper_and_pearson(count: int, runs: int) -> None:
    assert at_most(count, runs) == pytest.approx(beta.ppf(0.95, count + 1, runs - count))


def test_without_runs_everything_is_possible() -> None:
    assert at_most(0, 0) == at_most(3, 3) == 1


@pytest.mark.parametrize(
    ("formula", "simulation", "flagged"),
    [(100, 129, False), (100, 131, True), (100, 69, True), (None, None, False), (None, 1, True),
     (1, None, True), (0, 0, False), (0, 1, True)],
)  # fmt: skip
def test_differences_above_thirty_in_a_hundred_are_flagged(
    formula: float | None, simulation: float | None, flagged: bool
) -> None:
    compared = Compared(name="hours", formula=formula, simulation=simulation)

    assert compared.is_flagged is flagged


def test_quantiles_are_values_that_were_seen() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2
    assert quantile([1, 2, 3, 4], 0.9) == 4
    assert quantile([], 0.5) is None
    assert mean([]) == 0
