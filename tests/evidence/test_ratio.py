"""The bet on the labels of first events: what is claimed of it, by complete enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from update_server.evidence import ratio
from update_server.evidence.ratio import GRID, MARGINS

Event = tuple[bool, int, int]
LogE = Callable[[Sequence[float]], float]

SIZES = st.integers(0, 5)
RISK_SETS = st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=3)


def vector_of(events: Sequence[Event]) -> list[float]:
    vector = ratio.empty_vector()
    ratio.add_events(vector, events)
    return vector


def all_paths(
    risk_sets: Sequence[tuple[int, int]], order: Sequence[int], hazard_ratio: float
) -> Iterator[tuple[list[Event], float]]:
    """Yield every sequence of labels, and its probability at *hazard_ratio*.

    *order* says from which risk set the next event comes.
    """
    for labels in itertools.product([True, False], repeat=len(order)):
        left = [list(sizes) for sizes in risk_sets]
        events, probability = [], 1.0
        for candidate, index in zip(labels, order, strict=True):
            n_candidate, n_control = left[index]
            weight = hazard_ratio * n_candidate
            probability *= (weight if candidate else n_control) / (weight + n_control)
            if not probability:
                break
            events.append((candidate, n_candidate, n_control))
            left[index][0 if candidate else 1] -= 1
        else:
            yield events, probability


def expectation(
    log_e: LogE, risk_sets: Sequence[tuple[int, int]], order: Sequence[int], hazard_ratio: float
) -> float:
    return math.fsum(
        probability * math.exp(log_e(vector_of(events)))
        for events, probability in all_paths(risk_sets, order, hazard_ratio)
    )


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[int]]:
    """Return small risk sets, and the order in which up to 7 events come from them."""
    risk_sets = draw(RISK_SETS)
    everybody = [i for i, sizes in enumerate(risk_sets) for _ in range(sum(sizes))]
    return risk_sets, draw(st.permutations(everybody))[:7]


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    counts = st.integers(1, 10_000)
    return draw(st.lists(st.tuples(st.booleans(), counts, counts), max_size=40))


def random_events(random: Random) -> list[Event]:
    n_candidate, n_control = random.randint(1, 500), random.randint(1, 5_000)
    events = []
    for _ in range(random.randint(1, 100)):
        if not n_candidate or not n_control:
            break
        candidate = random.random() < 3 * n_candidate / (3 * n_candidate + n_control)
        events.append((candidate, n_candidate, n_control))
        n_candidate -= candidate
        n_control -= not candidate
    return events


# What is proved


@pytest.mark.no_cover
@given(studies())
def test_a_harmless_release_leaves_the_e_value_at_1(
    study: tuple[list[tuple[int, int]], list[int]],
) -> None:
    assert expectation(ratio.log_e_harm, *study, hazard_ratio=1) == pytest.approx(1, abs=1e-9)


@pytest.mark.no_cover
@given(studies(), st.sampled_from([1.05, 1.1, 1.25, 2.0]))
def test_a_tolerated_release_leaves_the_e_value_at_1(
    study: tuple[list[tuple[int, int]], list[int]], tolerated: float
) -> None:
    def log_e(vector: Sequence[float]) -> float:
        return ratio.log_e_harm(vector, tolerated=tolerated)

    assert expectation(log_e, *study, hazard_ratio=tolerated) == pytest.approx(1, abs=1e-9)


@pytest.mark.no_cover
@given(studies(), st.sampled_from([0.2, 0.5, 0.9, 1.0]))
def test_a_better_release_lowers_the_e_value(
    study: tuple[list[tuple[int, int]], list[int]], hazard_ratio: float
) -> None:
    assert expectation(ratio.log_e_harm, *study, hazard_ratio) <= 1 + 1e-9


@pytest.mark.no_cover
@given(studies(), st.sampled_from(MARGINS))
def test_a_release_at_the_margin_leaves_the_gate_at_1(
    study: tuple[list[tuple[int, int]], list[int]], margin: float
) -> None:
    def log_e(vector: Sequence[float]) -> float:
        return ratio.log_e_noninferiority(vector, margin)

    assert expectation(log_e, *study, hazard_ratio=margin) == pytest.approx(1, abs=1e-9)
    assert expectation(log_e, *study, hazard_ratio=1.5 * margin) <= 1 + 1e-9


@pytest.mark.parametrize("bound", [1.5, 3, 10])
def test_looking_after_every_event_finds_a_false_alarm_no_more_often_than_promised(
    bound: float,
) -> None:
    ever = 0.0
    for events, probability in all_paths([(3, 9)], [0] * 9, hazard_ratio=1):
        vector, highest = ratio.empty_vector(), -math.inf
        for event in events:
            ratio.add_events(vector, [event])
            highest = max(highest, ratio.log_e_harm(vector))
        ever += probability * (highest >= math.log(bound))

    assert 0 < ever <= 1 / bound


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_an_aggregate_is_at_most_as_strong_if_nothing_is_wrong(
    n_candidate: int, n_control: int, data: st.DataObject
) -> None:
    events = data.draw(st.integers(1, n_candidate + n_control))
    mean = 0.0
    for k in range(max(0, events - n_control), min(events, n_candidate) + 1):
        vector = ratio.empty_vector()
        ratio.add_aggregate(
            vector,
            k_candidate=k,
            k_control=events - k,
            n_candidate=n_candidate,
            n_control=n_control,
        )
        probability = stats.hypergeom.pmf(k, n_candidate + n_control, n_candidate, events)
        mean += float(probability) * math.exp(ratio.log_e_harm(vector))

    assert mean <= 1 + 1e-9


def test_an_aggregate_is_no_evidence_for_a_gate() -> None:
    # Why promotion takes events one by one: at the margin, the expectation is not 1.
    mean = 0.0
    for events, probability in all_paths([(6, 6)], [0] * 6, hazard_ratio=2):
        vector = ratio.empty_vector()
        k = sum(candidate for candidate, _, _ in events)
        ratio.add_aggregate(vector, k_candidate=k, k_control=6 - k, n_candidate=6, n_control=6)
        mean += probability * math.exp(ratio.log_e_noninferiority(vector, 2.0))

    assert mean > 1.01


def test_raw_counts_of_the_wrong_risk_set_are_no_evidence() -> None:
    # The enumeration would notice: here controls that already had their event stay in.
    def forgetful(vector: Sequence[float]) -> float:
        return ratio.log_e_harm(vector)

    mean = 0.0
    for events, probability in all_paths([(3, 3)], [0] * 4, hazard_ratio=1):
        wrong = [(candidate, n_candidate, 3) for candidate, n_candidate, _ in events]
        mean += probability * math.exp(forgetful(vector_of(wrong)))

    assert mean > 1.01


# What it computes


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(200))
def test_random_sequences_give_what_scipy_gives(seed: int) -> None:
    events = random_events(Random(seed))
    candidate, n_candidate, n_control = (np.array(column) for column in zip(*events, strict=True))
    grid = np.array(GRID)[:, None]
    uncentred = np.sum(candidate * np.log(grid) - np.log(grid * n_candidate + n_control), axis=1)
    harm = np.array(GRID) >= 1.15 - 1e-9
    weights = 1 / (1 + np.log2(np.array(GRID)[harm]))
    gate = (np.array(GRID) >= 0.7) & (np.array(GRID) <= 1)
    gate_weights = np.exp(-4 * np.abs(np.log(np.array(GRID)[gate])))

    vector = vector_of(events)

    one, two = ratio.index_of(1.0), ratio.index_of(2.0)
    assert vector == pytest.approx(list(uncentred - uncentred[one]), abs=1e-9)
    assert ratio.log_e_harm(vector) == pytest.approx(
        special.logsumexp(uncentred[harm], b=weights / weights.sum()) - uncentred[one], abs=1e-9
    )
    assert ratio.log_e_noninferiority(vector, 2.0) == pytest.approx(
        special.logsumexp(uncentred[gate], b=gate_weights / gate_weights.sum()) - uncentred[two],
        abs=1e-9,
    )


@given(event_lists(), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(events: list[Event], random: Random) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)

    assert vector_of(shuffled) == pytest.approx(vector_of(events), abs=1e-9)


@given(event_lists())
def test_the_log_likelihood_is_concave_in_the_logarithm_of_the_ratio(events: list[Event]) -> None:
    logs = np.log(GRID)

    slopes = np.diff(vector_of(events)) / np.diff(logs)

    assert np.all(np.diff(slopes) <= 1e-7)


@given(event_lists())
def test_no_difference_stays_exactly_at_zero(events: list[Event]) -> None:
    assert vector_of(events)[ratio.index_of(1.0)] == 0.0


@given(event_lists())
def test_the_estimate_is_inside_the_interval(events: list[Event]) -> None:
    vector = vector_of(events)
    low, high = ratio.interval(vector)

    assert low < ratio.estimate(vector) < high


@given(event_lists())
def test_the_interval_ends_one_point_beyond_what_is_not_refuted(events: list[Event]) -> None:
    vector = np.array(vector_of(events))
    weights = 1 / (1 + np.log2(GRID) ** 2)
    mixture = special.logsumexp(vector, b=weights / weights.sum())
    kept = [rho for rho, d in zip(GRID, vector, strict=True) if mixture - d < math.log(20)]

    low, high = ratio.interval(list(vector))

    assert [rho for rho in GRID if low < rho < high] == kept


@given(event_lists())
def test_more_tolerance_is_less_evidence_where_candidates_are_worse(events: list[Event]) -> None:
    worse = [(True, n_candidate, n_control) for _, n_candidate, n_control in events]

    vector = vector_of(worse)

    assert ratio.log_e_harm(vector, tolerated=1.25) <= ratio.log_e_harm(vector) + 1e-9


def test_without_events_nothing_is_known() -> None:
    vector = ratio.empty_vector()

    assert ratio.log_e_harm(vector) == pytest.approx(0, abs=1e-12)
    assert ratio.log_e_noninferiority(vector, 3.0) == pytest.approx(0, abs=1e-12)
    assert ratio.interval(vector) == (0.0, math.inf)
    assert ratio.estimate(vector) == 1.0


@pytest.mark.parametrize("candidate", [True, False])
@pytest.mark.parametrize(("n_candidate", "n_control"), [(5, 0), (0, 5)])
def test_an_event_whose_label_was_certain_says_nothing(
    candidate: bool, n_candidate: int, n_control: int
) -> None:
    vector = vector_of([(True, 3, 4)])
    before = list(vector)

    counted = ratio.add_event(
        vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control
    )

    assert not counted
    assert vector == before


def test_an_aggregate_with_an_empty_arm_says_nothing() -> None:
    vector = ratio.empty_vector()

    assert not ratio.add_aggregate(vector, k_candidate=0, k_control=3, n_candidate=0, n_control=9)
    assert vector == ratio.empty_vector()


def test_an_event_that_counts_says_so() -> None:
    vector = ratio.empty_vector()

    assert ratio.add_event(vector, candidate=True, n_candidate=1, n_control=1)
    assert ratio.add_aggregate(vector, k_candidate=1, k_control=1, n_candidate=1, n_control=1)


def test_an_aggregate_of_one_is_an_event() -> None:
    aggregate, event = ratio.empty_vector(), ratio.empty_vector()

    ratio.add_aggregate(aggregate, k_candidate=1, k_control=0, n_candidate=7, n_control=30)
    ratio.add_event(event, candidate=True, n_candidate=7, n_control=30)

    assert aggregate == event


@pytest.mark.parametrize(
    ("candidate", "n_candidate", "n_control"),
    [(True, 5, -1), (True, -1, 5), (False, 5, -1), (False, -1, 5)],
)
def test_an_event_of_a_negative_risk_set_is_an_error(
    candidate: bool, n_candidate: int, n_control: int
) -> None:
    vector = ratio.empty_vector()

    with pytest.raises(ValueError, match="risk set"):
        ratio.add_event(vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control)

    assert vector == ratio.empty_vector()


@pytest.mark.parametrize(("k_candidate", "k_control"), [(4, 0), (0, 10), (-1, 2), (2, -1)])
def test_more_events_than_installs_are_an_error(k_candidate: int, k_control: int) -> None:
    with pytest.raises(ValueError, match="risk set"):
        ratio.add_aggregate(
            ratio.empty_vector(),
            k_candidate=k_candidate,
            k_control=k_control,
            n_candidate=3,
            n_control=9,
        )


@pytest.mark.parametrize("tolerated", [1.07, 0.0, 1024.0])
def test_a_tolerated_ratio_off_the_grid_or_at_its_end_is_an_error(tolerated: float) -> None:
    with pytest.raises(ValueError, match="grid"):
        ratio.log_e_harm(ratio.empty_vector(), tolerated=tolerated)


@pytest.mark.parametrize("margin", [1.0, 0.5, 1.3])
def test_a_margin_is_a_point_of_the_grid_above_1(margin: float) -> None:
    with pytest.raises(ValueError, match=str(margin)):
        ratio.log_e_noninferiority(ratio.empty_vector(), margin)
