from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from math import log, log1p

import pytest

from tests.judge_world import LINUX, WINDOWS, JudgeWorld, a_bad_world, a_network, a_world
from update_server.evidence import betting, fisher, ratio
from update_server.evidence.one_sample import log_e_above
from update_server.evidence.settings import Measured, Metric
from update_server.evidence.state import Label, Scored
from update_server.evidence.tamper import (
    FAR,
    Logged,
    logged,
    margin,
    margin_of_failures,
    without_networks,
)
from update_server.evidence.weighing import (
    Kind,
    Weighted,
    log_e_of,
    platforms_of,
    total,
    weighted_metrics,
)


def evidence(world: JudgeWorld, name: str) -> tuple[Weighted, list[list[float]], Logged]:
    """Return a metric, its vectors and its log."""
    state = world.state
    metric = next(m for m in weighted_metrics(state, world.settings) if m.metric == name)
    platforms = platforms_of(state.epoch, metric, state.held)
    vectors = total(state.epoch, metric, platforms)
    return metric, vectors, logged(world.log, state.epoch.number, metric, state.held)


def margin_in(world: JudgeWorld, name: str, log_e: float) -> int:
    metric, vectors, entries = evidence(world, name)
    return margin(metric, vectors, entries, log_e)


# --- events ---------------------------------------------------------------------------------


def test_the_published_example_takes_three_false_reports() -> None:
    assert margin_in(a_bad_world(), Metric.CRASH, log(100 / 0.3)) == 3


def test_evidence_below_the_limit_takes_none() -> None:
    assert margin_in(a_bad_world(), Metric.CRASH, log(3_000)) == 0


def test_no_more_than_there_are_can_be_false() -> None:
    world = a_world()
    world.events_of(5, 0)

    assert margin_in(world, Metric.CRASH, log(1e-9)) == 5


def test_beyond_a_hundred_nobody_counts() -> None:
    world = a_world()
    world.events_of(200, 0)

    assert margin_in(world, Metric.CRASH, log(333)) == FAR


def test_events_on_held_platforms_cannot_be_false() -> None:
    world = a_bad_world()
    world.events_of(3, 0, platform=WINDOWS)
    world.state.held = [LINUX]

    assert margin_in(world, Metric.CRASH, log(1e-9)) == 3


def _smallest_by_trying(labels: Sequence[Label], log_e: float) -> int:
    """Return the margin by trying every subset of candidates' events."""
    candidates = [label for label in labels if label.candidate]
    for number in range(len(candidates) + 1):
        for dropped in combinations(candidates, number):
            vector = ratio.empty_vector()
            for label in labels:
                if not any(label is each for each in dropped):
                    ratio.add_event(
                        vector,
                        candidate=label.candidate,
                        n_candidate=label.n_candidate,
                        n_control=label.n_control,
                    )
            if ratio.log_e_harm(vector) < log_e:
                return number
    raise AssertionError("without any candidate's event the evidence still stands")


@pytest.mark.parametrize("log_e", [log(2), log(20), log(100), log(1_000)])
def test_greedy_deletion_of_events_is_the_best_there_is(log_e: float) -> None:
    world = a_world()
    for index, n in enumerate([(5, 500), (50, 50), (400, 20), (3, 9), (90, 800), (7, 70)]):
        world.events_of(1 + index % 2, index % 2, n=n)
    labels = world.log.labels(1, Metric.CRASH)

    assert margin_in(world, Metric.CRASH, log_e) == _smallest_by_trying(labels, log_e)


# --- cohorts --------------------------------------------------------------------------------


def _best_by_trying(cohorts: Sequence[tuple[int, int, int, int]], log_e: float) -> int:
    """Return the margin by trying how many candidates of each cohort to turn."""
    best = None
    for turned in product(*(range(k_candidate + 1) for k_candidate, _, _, _ in cohorts)):
        vector = fisher.empty_outcomes()
        for by, (k_candidate, k_control, n_candidate, n_control) in zip(
            turned, cohorts, strict=True
        ):
            fisher.add_cohort(
                vector,
                k_candidate=k_candidate - by,
                k=k_candidate + k_control - by,
                n_candidate=n_candidate,
                n_control=n_control,
            )
        if fisher.log_e_harm_outcomes(vector) < log_e and (best is None or sum(turned) < best):
            best = sum(turned)
    assert best is not None
    return best


@pytest.mark.parametrize("log_e", [log(2), log(20), log(300)])
def test_turning_installs_of_cohorts_is_the_best_there_is(log_e: float) -> None:
    cohorts = [(5, 2, 20, 180), (3, 0, 10, 30), (4, 30, 20, 180), (0, 2, 20, 180)]
    world = a_world()
    for cohort in cohorts:
        world.cohort(*cohort)

    assert margin_in(world, Metric.HEALTHY, log_e) == _best_by_trying(cohorts, log_e)


def test_silent_candidates_are_turned_into_returned_ones() -> None:
    world = a_world()
    world.cohort(20, 18, 20, 180, metric=Metric.SILENCE)
    vector = fisher.empty_shares()
    fisher.add_silence_cohort(
        vector, k_candidate=10, k=28, n_candidate=20, n_control=180, base_rate=0.1
    )
    log_e = fisher.log_e_silence(vector) + 1e-6

    assert margin_in(world, Metric.SILENCE, log_e) == 10


def test_where_all_are_turned_there_is_an_end() -> None:
    world = a_world()
    world.cohort(2, 0, 20, 180, metric=Metric.SILENCE)

    assert margin_in(world, Metric.SILENCE, log(1e-9)) == 2


def test_an_install_with_a_large_value_is_turned_in_all_quantiles() -> None:
    world = a_world()
    world.cohort(10, 0, 20, 180, metric="score:startup_ms:q50")
    world.cohort(10, 0, 20, 180, metric="score:startup_ms:q90")
    world.cohort(2, 0, 20, 180, metric="score:startup_ms:q99")

    assert margin_in(world, "score:startup_ms", log(1e-9)) == 10


# --- bets -----------------------------------------------------------------------------------


def test_candidates_scores_are_moved_to_the_centre() -> None:
    world = a_world()
    world.set(measured=(Measured(name="checkout", weight=0.05, test="betting"),))
    scores = [(True, 1.0), (False, 0.2), (True, 0.1), (False, 0.3), (True, 0.9)]
    world.bets("score:checkout", scores, 0.3)
    world.bets("score:checkout", scores, 0.3)
    metric, vectors, entries = evidence(world, "score:checkout")
    # The largest gain: the first score, whose label was hardest to foresee.
    without = [
        wealth - log1p(stake * (1 - 3 / 5) * 0.7)
        for wealth, stake in zip(vectors[0], betting.LAMBDAS, strict=True)
    ]
    log_e = betting.log_e_bets(without) + 1e-9

    assert margin(metric, vectors, entries, log_e) == 1
    # The label of the last was certain, and the third is below the centre: no gain there.
    assert margin(metric, vectors, entries, -1.0) == 2


def test_where_less_is_worse_low_scores_are_moved() -> None:
    metric = Weighted("score:checkout", Kind.BETS, 0.05, ("score:checkout",), higher_is_worse=False)
    scores = ((True, 0.0), (False, 1.0), (True, 1.0), (False, 0.5))
    vector = betting.empty_bets()
    betting.add_scored_cohort(vector, scores=scores, centre=0.5, harm_is_higher=False)
    cohort = Scored(
        epoch=1,
        metric="score:checkout",
        platform=LINUX,
        at=0.0,
        k_candidate=0,
        k=0,
        n_candidate=2,
        n_control=2,
        centre=0.5,
        scores=scores,
    )

    assert margin(metric, [vector], Logged(rows=((cohort,),)), -1.0) == 1


# --- failures against a ceiling -------------------------------------------------------------


def test_failures_are_turned_into_successes() -> None:
    log_e = log_e_above(3, 40, 0.02)

    assert margin_of_failures(5, 40, 0.02, log_e) == 3
    assert margin_of_failures(5, 40, 0.02, 100.0) == 0
    assert margin_of_failures(5, 40, 0.02, -100.0) == 5


# --- networks -------------------------------------------------------------------------------


def test_the_busiest_network_is_left_out() -> None:
    world = a_world()
    world.events_of(0, 10, networks=lambda _: a_network(7))
    world.events_of(3, 0, networks=lambda _: a_network(7))
    world.events_of(2, 0, networks=lambda _: a_network(8))
    world.events_of(9, 0, networks=lambda _: b"")
    smaller = a_world()
    smaller.events_of(11, 10)

    metric, vectors, entries = evidence(world, Metric.CRASH)
    without = without_networks(metric, vectors, entries, 1)

    expected = evidence(smaller, Metric.CRASH)[1]
    assert without == pytest.approx(log_e_of(metric.kind, expected))


def test_without_known_networks_nothing_is_left_out() -> None:
    world = a_world()
    world.events_of(12, 10, networks=lambda _: b"")

    metric, vectors, entries = evidence(world, Metric.CRASH)

    assert without_networks(metric, vectors, entries, 3) == log_e_of(metric.kind, vectors)


def test_of_equally_busy_networks_names_decide() -> None:
    world = a_world()
    world.events_of(1, 0, n=(10, 90), networks=lambda _: a_network(2))
    world.events_of(1, 0, n=(50, 50), networks=lambda _: a_network(1))

    metric, vectors, entries = evidence(world, Metric.CRASH)
    without = without_networks(metric, vectors, entries, 1)

    rest = ratio.empty_vector()
    ratio.add_event(rest, candidate=True, n_candidate=10, n_control=90)
    assert without == pytest.approx(ratio.log_e_harm(rest))


def test_silent_installs_of_a_network_are_taken_for_returned() -> None:
    world = a_world()
    networks = [a_network(1)] * 4 + [a_network(2)] * 2
    world.cohort(6, 18, 20, 180, metric=Metric.SILENCE, networks=networks)
    world.cohort(1, 18, 20, 180, metric=Metric.SILENCE, networks=[a_network(2)])

    metric, vectors, entries = evidence(world, Metric.SILENCE)
    without = without_networks(metric, vectors, entries, 1)

    rest = fisher.empty_shares()
    for k_candidate in (2, 1):
        fisher.add_silence_cohort(
            rest,
            k_candidate=k_candidate,
            k=k_candidate + 18,
            n_candidate=20,
            n_control=180,
            base_rate=0.1,
        )
    assert without == pytest.approx(fisher.log_e_silence(rest))
