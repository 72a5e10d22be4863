"""The published vectors of the health decision, and the example that is worked by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from update_server.evidence import ratio
from update_server.evidence.betting import add_scored_cohort, empty_bets, log_e_bets
from update_server.evidence.fisher import (
    add_silence_cohort,
    empty_shares,
    log_e_silence,
    log_factor,
)
from update_server.evidence.one_sample import log_e_above

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "evidence.json").read_text())
TOLERANCE = 1e-9


def near(value: float) -> Any:
    return pytest.approx(value, abs=TOLERANCE, rel=0)


def vector_after(labels: str, n_candidate: int, n_control: int) -> list[float]:
    vector = ratio.empty_vector()
    for label in labels:
        ratio.add_event(
            vector, candidate=label == "T", n_candidate=n_candidate, n_control=n_control
        )
        n_candidate -= label == "T"
        n_control -= label == "C"
    return vector


def test_the_grid_is_that_of_the_vectors() -> None:
    grid = VECTORS["grid"]

    assert len(ratio.GRID) == grid["points"]
    assert grid["sha256"] == ratio.GRID_SHA256
    assert grid["weights_sha256"] == ratio.WEIGHTS_SHA256


def test_the_first_weight_for_harm_is_that_of_the_vectors() -> None:
    just_above = ratio.empty_vector()
    just_above[ratio.index_of(1.189207115003)] = 1000.0

    log_weight = ratio.log_e_harm(just_above) - 1000

    assert math.exp(log_weight) == near(VECTORS["grid"]["first_harm_weight"])


def test_every_line_of_the_worked_example_is_reached() -> None:
    example = VECTORS["worked_example"]
    arms = {"T": example["n_candidate"], "C": example["n_control"]}
    vector = ratio.empty_vector()
    ll_1 = 0.0

    for event in example["events"]:
        # ll[1] is what centring takes out: the log probability if nothing is wrong.
        ll_1 -= math.log(arms["T"] + arms["C"])
        ratio.add_event(
            vector, candidate=event["label"] == "T", n_candidate=arms["T"], n_control=arms["C"]
        )
        arms[event["label"]] -= 1

        assert ll_1 == near(event["ll_1"])
        assert vector[ratio.index_of(2.0)] + ll_1 == near(event["ll_2"])
        assert vector[ratio.index_of(4.0)] + ll_1 == near(event["ll_4"])
        assert ratio.log_e_harm(vector) == near(event["log_e_harm"])


def test_the_worked_example_ends_as_it_says() -> None:
    example = VECTORS["worked_example"]
    labels = "".join(event["label"] for event in example["events"])

    vector = vector_after(labels, example["n_candidate"], example["n_control"])

    assert vector[ratio.index_of(2.0)] == near(example["centred_2"])
    assert vector[ratio.index_of(4.0)] == near(example["centred_4"])
    assert math.exp(ratio.log_e_harm(vector)) == near(example["e_harm"])
    assert math.exp(ratio.log_e_noninferiority(vector, 2.0)) == near(example["e_noninferiority_2"])
    assert ratio.estimate(vector) == example["estimate"]
    assert ratio.interval(vector) == (example["low"], example["high"])


@pytest.mark.parametrize("expected", VECTORS["events"], ids=lambda vector: vector["labels"])
def test_events_give_the_e_values_and_the_interval_of_the_vector(expected: dict[str, Any]) -> None:
    vector = vector_after(expected["labels"], expected["n_candidate"], expected["n_control"])

    assert ratio.log_e_harm(vector) == near(expected["log_e_harm"])
    assert ratio.log_e_noninferiority(vector, 2.0) == near(expected["log_e_noninferiority_2"])
    high = math.inf if expected["high"] is None else expected["high"]
    assert ratio.interval(vector) == (expected["low"], high)


def test_the_aggregate_gives_the_numbers_of_the_sentence() -> None:
    expected = VECTORS["aggregate"]
    vector = ratio.empty_vector()

    ratio.add_aggregate(
        vector,
        k_candidate=expected["k_candidate"],
        k_control=expected["k_control"],
        n_candidate=expected["n_candidate"],
        n_control=expected["n_control"],
    )

    assert math.exp(ratio.log_e_harm(vector)) == pytest.approx(expected["e_harm"], abs=5e-4)
    assert ratio.interval(vector) == (expected["low"], expected["high"])
    assert ratio.estimate(vector) == expected["estimate"]


@pytest.mark.parametrize("expected", VECTORS["fisher"])
def test_a_cohort_gives_the_factor_of_the_vector(expected: dict[str, Any]) -> None:
    factor = log_factor(
        expected["k_candidate"],
        expected["k"],
        expected["n_candidate"],
        expected["n_control"],
        expected["omega"],
    )

    assert factor == near(expected["log_factor"])


@pytest.mark.parametrize("expected", VECTORS["silence"])
def test_a_silent_cohort_gives_the_e_value_of_the_vector(expected: dict[str, Any]) -> None:
    vector = empty_shares()

    add_silence_cohort(vector, **{key: expected[key] for key in expected if key != "log_e"})

    assert log_e_silence(vector) == near(expected["log_e"])


@pytest.mark.parametrize("expected", VECTORS["one_sample"])
def test_failures_give_the_e_value_of_the_vector(expected: dict[str, Any]) -> None:
    log_e = log_e_above(expected["k"], expected["n"], expected["ceiling"])

    assert log_e == near(expected["log_e"])


@pytest.mark.parametrize("expected", VECTORS["betting"])
def test_scores_give_the_e_value_of_the_vector(expected: dict[str, Any]) -> None:
    vector = empty_bets()

    add_scored_cohort(
        vector,
        scores=[(label == "T", score) for label, score in expected["scores"]],
        centre=expected["centre"],
        harm_is_higher=expected["harm_is_higher"],
    )

    assert log_e_bets(vector) == near(expected["log_e"])
