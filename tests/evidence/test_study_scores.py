from __future__ import annotations

from dataclasses import replace

import pytest

from tests.study_world import (
    PLATFORM,
    T0,
    World,
    as_key,
    calibrating,
    outage,
    score,
    seen,
    stage_opened,
)
from update_server.evidence import betting, fisher
from update_server.evidence.scores import LARGEST_BASELINE, calibrates, score_of, thresholds_of
from update_server.evidence.settings import DAY, STANDARD, Measured, Settings

HUNDRED = [float(i) for i in range(1, 101)]
BETTING = replace(
    STANDARD,
    measured=(Measured(name="orders", weight=0.05, higher_is_worse=False, test="betting"),),
)


def calibrated(settings: Settings = STANDARD, metric: str = "startup_ms") -> World:
    """A study whose thresholds come from controls with the values 1 to 100."""
    world = World(settings)
    keys = [calibrating(i) for i in range(100)]
    world.tick(*(seen(key, candidate=False) for key in keys))
    world.tick(*(score(key, HUNDRED[i], metric=metric) for i, key in enumerate(keys)))
    world.tick(at=DAY)
    return world


def measure(world: World, candidates: float, controls: float, metric: str = "startup_ms") -> None:
    """Let 20 candidates and 20 controls enter on the second day and report these values."""
    world.enter(20, 20, at=DAY + 1)
    world.tick(
        *(score(i, candidates, DAY + 2, metric=metric) for i in range(20)),
        *(score(1_000 + i, controls, DAY + 2, metric=metric) for i in range(20)),
    )
    world.wait(2 * DAY + 2)


def test_an_eighth_of_the_installs_calibrates() -> None:
    assert sum(calibrates(bytes([i])) for i in range(256)) == 32
    assert not calibrates(b"")


def test_yesterdays_control_says_what_is_slow_today() -> None:
    world = calibrated()

    assert world.state.thresholds["startup_ms"][:4] == (51.0, 91.0, 100.0, 100.0)
    assert world.state.thresholds["startup_ms"][4] == pytest.approx(0.505)
    assert world.state.baselines == {"startup_ms": []}


def test_values_above_controls_quantiles_are_outcomes_of_matured_cohorts() -> None:
    world = calibrated()

    measure(world, candidates=95.0, controls=60.0)

    found = {q: world.scored(f"score:startup_ms:{q}")[0] for q in ("q50", "q90", "q99")}
    assert [(e.k_candidate, e.k) for e in found.values()] == [(20, 40), (20, 20), (0, 0)]
    vector = fisher.empty_outcomes()
    fisher.add_cohort(vector, k_candidate=20, k=20, n_candidate=20, n_control=20)
    assert world.process("score:startup_ms:q90").vector == vector
    assert world.process("score:startup_ms:q90").bad.candidate == 20
    assert world.process("score:startup_ms:q90").known.total == 40


def test_where_lower_is_worse_values_below_controls_quantiles_count() -> None:
    metric = Measured(name="fps", weight=0.05, higher_is_worse=False)
    world = calibrated(replace(STANDARD, measured=(metric,)), metric="fps")

    measure(world, candidates=5.0, controls=30.0, metric="fps")

    (scored,) = world.scored("score:fps:q90")
    assert (scored.k_candidate, scored.k) == (20, 20)


def test_a_bet_is_on_scores_clipped_at_controls_largest() -> None:
    world = calibrated(BETTING, metric="orders")

    measure(world, candidates=20.0, controls=200.0, metric="orders")

    (scored,) = world.scored("score:orders")
    assert scored.centre == pytest.approx(0.505)
    assert sorted(scored.scores) == [(False, 1.0)] * 20 + [(True, 0.2)] * 20
    vector = betting.empty_bets()
    betting.add_scored_cohort(vector, scores=scored.scores, centre=0.505, harm_is_higher=False)
    assert world.process("score:orders").vector == pytest.approx(vector)
    assert betting.log_e_bets(vector) > 0


def test_scores_are_from_zero_to_one() -> None:
    assert [score_of(v, 10.0) for v in (-1.0, 0.0, 5.0, 99.0)] == [0.0, 0.0, 0.5, 1.0]
    assert score_of(5.0, 0.0) == 0.0


def test_calibrating_installs_are_never_scored_themselves() -> None:
    world = calibrated()
    keys = [calibrating(1_000 + i) for i in range(40)]

    world.tick(*(seen(key, DAY + 1, candidate=i < 20) for i, key in enumerate(keys)))
    world.tick(*(score(key, 1.0, DAY + 2) for key in keys))
    world.wait(4 * DAY)

    assert not any(e.metric.startswith("score:") for e in world.log)


def test_candidates_calibrate_nothing() -> None:
    world = World()
    world.tick(seen(calibrating(1)), seen(1, candidate=False))

    world.tick(score(calibrating(1), 5.0), score(1, 5.0))

    assert world.state.baselines == {}


def test_without_thresholds_nothing_is_scored() -> None:
    world = World()
    world.enter(20, 20)
    world.tick(*(score(i, 9.0) for i in (*range(20), *range(1_000, 1_020))))

    world.wait(DAY + 2)

    assert not any(e.metric.startswith("score:") for e in world.log)


def test_a_day_with_few_values_leaves_the_thresholds_as_they_are() -> None:
    world = calibrated()
    before = world.state.thresholds["startup_ms"]

    world.tick(seen(calibrating(500), DAY + 1, candidate=False))
    world.tick(score(calibrating(500), 9_999.0, DAY + 2))
    world.tick(at=2 * DAY)

    assert world.state.thresholds["startup_ms"] == before
    assert world.state.baselines["startup_ms"] == [9_999.0]


def test_a_days_values_are_bounded() -> None:
    world = World()
    world.state.baselines["startup_ms"] = [1.0] * LARGEST_BASELINE

    world.tick(seen(calibrating(1), candidate=False), score(calibrating(1), 5.0))

    assert world.state.baselines["startup_ms"] == [1.0] * LARGEST_BASELINE


@pytest.mark.parametrize(
    "fact",
    [
        score(1, 5.0, 10, happened=1),
        score(1, 5.0, 1, happened=10),
        score(77, 5.0),
        score(2, 5.0),
        score(1, 5.0, metric="unknown"),
        score(1, 5.0, DAY + 9),
    ],
)
def test_a_value_counts_if_a_member_measured_it_within_a_day_of_entry(fact: object) -> None:
    world = World()
    world.tick(seen(1), seen(2, internal=True))

    world.tick(fact, at=1)  # type: ignore[arg-type]

    assert world.member(1).scores == {}
    assert world.member(2).scores == {}


def test_only_the_first_value_counts() -> None:
    world = World()
    world.tick(seen(1))

    world.tick(score(1, 5.0, 10), score(1, 6.0, 11))

    assert world.member(1).scores == {"startup_ms": 5.0}


def test_of_values_received_at_once_the_order_is_that_of_their_text() -> None:
    world = World()
    world.tick(seen(1))

    world.tick(score(1, 6.0), score(1, 5.0))

    assert world.member(1).scores == {"startup_ms": 5.0}


def test_an_install_is_scored_once_for_a_release() -> None:
    world = calibrated()
    measure(world, candidates=95.0, controls=60.0)

    world.tick(stage_opened(at=2 * DAY + 3))
    world.enter(20, 20, at=2 * DAY + 4)
    world.tick(score(0, 7.0, 2 * DAY + 5))

    assert world.member(0).scores == {}


def test_values_are_forgotten_with_a_window_that_an_outage_spoiled() -> None:
    world = calibrated()
    world.enter(20, 20, at=DAY + 1)
    world.tick(score(0, 7.0, DAY + 2), outage(DAY + 3, DAY + 30_000))

    world.wait(3 * DAY)

    assert world.member(0).scores == {}
    assert not any(key.startswith("score:") for key in world.state.stage.pools)


def test_a_value_received_once_the_window_is_over_does_not_count() -> None:
    world = World()
    world.tick(seen(1))
    world.wait(DAY + 2)

    world.tick(score(1, 5.0, DAY + 9, happened=10))

    assert world.member(1).scores == {}
    assert not world.member(1).healthy


def test_a_metric_that_is_judged_no_more_is_passed_over() -> None:
    world = calibrated()
    world.enter(20, 20, at=DAY + 1)
    world.tick(*(score(i, 5.0, DAY + 2) for i in (*range(20), *range(1_000, 1_020))))

    world.settings = replace(STANDARD, measured=())
    world.wait(2 * DAY + 2)

    assert not any(e.metric.startswith("score:") for e in world.log)


def test_thresholds_count_from_the_good_end() -> None:
    lower_is_worse = Measured(name="fps", weight=0.05, higher_is_worse=False)

    assert thresholds_of(HUNDRED, lower_is_worse)[:4] == (50.0, 10.0, 1.0, 100.0)


def test_values_of_each_platform_are_scored_apart() -> None:
    world = calibrated()
    world.tick(seen(1, DAY + 1), seen(2, DAY + 1, platform="other"))

    world.tick(score(1, 5.0, DAY + 2), score(2, 5.0, DAY + 2))
    world.wait(2 * DAY + 2)

    keys = {key for key in world.state.stage.pools if key.startswith("score:")}
    assert keys == {f"score:startup_ms/0/{p}" for p in (PLATFORM, "other")}
    assert world.register.get([as_key(1)])[as_key(1)].since == T0 + DAY + 1
