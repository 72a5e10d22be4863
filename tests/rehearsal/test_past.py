"""The past under other rules: the log that the server shows, judged anew."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import pytest

from update_server.evidence.settings import STANDARD, Gate
from update_server.rehearsal.past import PastError, replay_past

NEEDED = log(1 / (0.01 * 0.3))


def evidence(metric: str, entries: list[dict[str, Any]], needed: float = NEEDED) -> dict[str, Any]:
    """Return what the server shows, with instants that count the entries."""
    log_ = [{"at": f"t{number}", "platform": "", **each} for number, each in enumerate(entries)]
    return {"metric": metric, "needed": needed, "log": log_}


def crashes(arms: str, n_candidate: int = 100, n_control: int = 900) -> dict[str, Any]:
    """Return crashes of candidates (T) and controls (C)."""
    names = {"T": "candidate", "C": "control"}
    counts = {"n_candidate": n_candidate, "n_control": n_control}
    return evidence("crash", [{"arm": names[arm], **counts} for arm in arms])


def cohorts(metric: str, k_candidate: int, k: int, times: int) -> dict[str, Any]:
    cohort = {"k_candidate": k_candidate, "k": k, "n_candidate": 100, "n_control": 900}
    rate = 0.1 if metric == "silence" else None
    return evidence(metric, [{**cohort, "base_rate": rate, "centre": None}] * times)


def test_less_alpha_pauses_later() -> None:
    told = crashes("T" * 12)

    same = replay_past(told, replace(STANDARD, budget=0))
    strict = replay_past(told, replace(STANDARD, budget=0, alpha=0.0001))

    assert same.paused_then == same.paused_now
    assert (same.reports, same.metric) == (12, "crash")
    assert same.paused_now is not None
    assert strict.paused_now is not None
    assert int(strict.paused_now[1:]) > int(same.paused_now[1:])


def test_a_budget_pauses_later_at_small_exposure_only() -> None:
    small, wide = crashes("T" * 14), crashes("T" * 14, 500, 500)

    found = replay_past(small, replace(STANDARD, budget=2))

    assert found.paused_now is not None
    assert found.paused_then is not None
    assert int(found.paused_now[1:]) == int(found.paused_then[1:]) + 2
    at_half = replay_past(wide, replace(STANDARD, budget=2))
    assert at_half.paused_now == at_half.paused_then


def test_a_metric_without_weight_pauses_never() -> None:
    found = replay_past(crashes("T" * 12), replace(STANDARD, weights={}))

    assert (found.needed_now, found.paused_now) == (None, None)
    assert found.paused_then is not None


def test_milder_margins_are_passed_sooner() -> None:
    gates = (
        Gate(up_to_bp=1_000, margin=3.0, silence=0.1),
        Gate(up_to_bp=10_000, margin=1.5, silence=0.02),
    )

    found = replay_past(crashes("C" * 400, 500, 500), replace(STANDARD, gates=gates))

    milder, stricter = found.passed
    assert (milder.limit, stricter.limit) == (3.0, 1.5)
    assert milder.at is not None
    assert stricter.at is not None
    assert int(milder.at[1:]) < int(stricter.at[1:])
    assert found.paused_now is None


def test_cohorts_of_silence_and_of_first_launches_are_scored_as_the_engine_does() -> None:
    silent = replay_past(cohorts("silence", 60, 150, 5), STANDARD)
    sick = replay_past(cohorts("healthy_launch", 60, 150, 5), STANDARD)
    sound = replay_past(cohorts("silence", 10, 100, 30), STANDARD)

    assert (silent.paused_now, sick.paused_now) == ("t0", "t0")
    assert sound.paused_now is None
    assert sound.passed[0].at is not None


def test_crash_loops_have_no_gate() -> None:
    told = {**crashes("TTT"), "metric": "crash_loop"}

    assert replay_past(told, STANDARD).passed == ()


@pytest.mark.parametrize(
    "wrong", [{"metric": "score:x"}, {"metric": "funnel"}, {"log": [{"at": "now"}]}, {"log": None}]
)
def test_evidence_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PastError):
        replay_past({**crashes("T"), **wrong}, STANDARD)
