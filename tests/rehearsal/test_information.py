"""Nats to be expected, against the tables that the design was measured with."""

from __future__ import annotations

from math import inf, log

import pytest

from update_server.evidence.planner import harm_bound, noninferiority_bound
from update_server.rehearsal.information import (
    MIXTURE_NATS,
    chance,
    divergence,
    of_gate,
    of_labels,
    of_outcomes,
    of_silence,
    of_silence_gate,
)

STRATA = [(0.02, 0.4), (0.1, 0.4), (0.4, 0.2)]
"""Silent anyway, and size, as in the design's table of silence."""


def test_labels_tell_what_the_planner_says() -> None:
    assert log(100) / of_labels(0.01, 0.005, 9) == pytest.approx(harm_bound(0.005, 2, 9), rel=0.01)
    assert log(20) / of_labels(0.005, 0.005, 9, against=2) == pytest.approx(
        noninferiority_bound(0.005, 2, 9), rel=1e-9
    )


@pytest.mark.parametrize(("candidate", "control", "controls"), [(0, 0, 9), (0.1, 0.1, 0)])
def test_without_events_or_controls_nothing_is_told(
    candidate: float, control: float, controls: float
) -> None:
    assert of_labels(candidate, control, controls) == 0


@pytest.mark.parametrize(
    ("share", "measured"), [(0.2, 59), (0.05, 375), (0.02, 2_017), (0.01, 6_953)]
)
def test_bricked_installs_are_found_with_about_as_many_as_measured(
    share: float, measured: int
) -> None:
    expected = (log(100) + MIXTURE_NATS) / of_silence(STRATA, share, 9)

    assert expected == pytest.approx(measured, rel=0.3)


@pytest.mark.parametrize(
    ("share", "measured"), [(0.1, 116), (0.05, 326), (0.02, 1_330), (0.01, 3_440)]
)
def test_the_gate_of_silence_is_passed_with_about_as_many_as_measured(
    share: float, measured: int
) -> None:
    assert log(20) / of_silence_gate(STRATA, 0, share, 9) == pytest.approx(measured, rel=0.25)


def test_a_gate_is_the_harder_the_worse_the_release_is() -> None:
    better, same, worse = (of_gate(p, 0.05, 9, 2.0) for p in (0.02, 0.05, 0.12))

    assert better > same > 0 > worse


def test_nobody_silent_who_should_be_passes_no_gate_against_itself() -> None:
    assert of_silence_gate(STRATA, 0.1, 0.05, 9) < 0 < of_silence_gate(STRATA, 0.0, 0.05, 9)


def test_equal_arms_tell_nothing() -> None:
    assert of_outcomes(0.1, 0.1, 9) == pytest.approx(0)
    assert divergence(0.3, 0.3) == divergence(0.0, 0.0) == divergence(1.0, 1.0) == 0


@pytest.mark.parametrize(
    ("mean", "needed", "likely"), [(0, 3, 0), (-1, 3, 0), (inf, 3, 1), (3, 0, 1), (1e6, 800, 1)]
)
def test_the_ends_of_a_chance(mean: float, needed: float, likely: float) -> None:
    assert chance(mean, needed) == likely


def test_evidence_that_is_enough_on_average_is_more_likely_than_not() -> None:
    assert 0.5 < chance(3.0, 3.0) < 0.8
    assert chance(1.0, 3.0) < chance(3.0, 3.0) < chance(9.0, 3.0)
