from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.judge_world import LINUX, WINDOWS, JudgeWorld, a_bad_world, a_network, a_world
from update_server.evidence.recomputing import Recomputed, recompute, without_struck
from update_server.evidence.settings import Measured, Metric
from update_server.evidence.state import Epoch, Label, OneArm, Scored


def entries(world: JudgeWorld) -> tuple[list[Label], list[Scored]]:
    """Return all that was logged, in its order."""
    told = world.log._entries
    return [e for e in told if isinstance(e, Label)], [e for e in told if isinstance(e, Scored)]


def recomputed(world: JudgeWorld, record: Mapping[str, Any]) -> Recomputed:
    stored = json.loads(json.dumps(dict(record)))
    return recompute(stored, *entries(world))


def a_full_world() -> JudgeWorld:
    """Return a world with evidence of every kind, on two platforms."""
    world = a_bad_world()
    world.set(
        measured=(
            Measured(name="startup_ms", weight=0.05),
            Measured(name="checkout", weight=0.05, test="betting"),
        )
    )
    world.state.signatures = ["known"]
    world.events_of(3, 9, platform=WINDOWS)
    world.events_of(2, 9, metric=Metric.CRASH_LOOP)
    world.events_of(1, 1, metric="signature:known", platform=WINDOWS)
    world.cohort(2, 9, 20, 180, times=3)
    world.cohort(1, 9, 20, 180, platform=WINDOWS)
    world.cohort(2, 18, 20, 180, metric=Metric.SILENCE, networks=[a_network(1)])
    for quantile in ("q50", "q90", "q99"):
        world.cohort(3, 9, 20, 180, metric=f"score:startup_ms:{quantile}")
    world.bets("score:checkout", [(True, 0.4), (False, 0.2), (False, 0.9)], 0.3)
    world.state.funnel["apply"] = OneArm(failed=1, known=300)
    return world


def test_a_stored_decision_recomputes_to_the_same_bits() -> None:
    world = a_full_world()
    record = world.judge().record

    again = recomputed(world, record)

    assert again.same_bits
    assert again.same_mathematics
    assert not again.contested
    told = {name: each["log_e"] for name, each in record["log_e_by_metric"].items()}
    assert again.log_e_by_metric == told
    assert len(told) == 8


def test_what_was_logged_later_does_no_harm() -> None:
    world = a_full_world()
    record = world.judge().record
    world.events_of(40, 2)
    world.cohort(9, 9, 20, 180)
    world.state.epochs.append(Epoch(number=2))
    world.events_of(9, 9)

    assert recomputed(world, record).same_bits


def test_held_platforms_are_left_out_again() -> None:
    world = a_full_world()
    world.state.held = [WINDOWS]

    assert recomputed(world, world.judge().record).same_bits


def test_a_record_that_the_log_does_not_bear_out_is_contested() -> None:
    world = a_full_world()
    record = dict(world.judge().record)
    labels, scored = entries(world)

    again = recompute(record, labels[1:], scored)

    assert again.contested
    assert again.differing == ("crash",)
    assert not again.same_bits


def test_without_a_log_all_evidence_is_gone() -> None:
    world = a_full_world()
    record = dict(world.judge().record)

    again = recompute(record, [], [])

    assert again.log_e_by_metric["crash"] == pytest.approx(0.0)
    assert again.contested


def with_another_value(record: Mapping[str, Any], by: float) -> dict[str, Any]:
    told = json.loads(json.dumps(dict(record)))
    told["log_e_by_metric"]["crash"]["log_e"] *= 1 + by
    return told  # type: ignore[no-any-return]


def test_on_the_same_mathematics_every_bit_counts() -> None:
    world = a_full_world()
    record = with_another_value(world.judge().record, 1e-12)

    assert recompute(record, *entries(world)).contested


@pytest.mark.parametrize(("by", "contested"), [(1e-12, False), (1e-6, True)])
def test_on_other_mathematics_values_agree_to_nine_digits(by: float, contested: bool) -> None:
    world = a_full_world()
    record = with_another_value(world.judge().record, by)
    record["math_sha256"] = "another machine's"

    again = recompute(record, *entries(world))

    assert again.contested is contested
    assert not again.same_bits
    assert not again.same_mathematics


def test_on_other_mathematics_the_verdict_must_be_the_same() -> None:
    world = a_full_world()
    record = with_another_value(world.judge().record, 1e-12)
    record["math_sha256"] = "another machine's"
    told = record["log_e_by_metric"]["crash"]
    told["needed"] = told["log_e"]

    assert recompute(record, *entries(world)).contested


def test_an_unknown_platform_order_does_not_matter() -> None:
    world = a_world()
    world.events_of(30, 60, platform=WINDOWS)
    world.events_of(30, 70, platform=LINUX)

    assert recomputed(world, world.judge().record).same_bits


def test_without_what_was_struck_the_evidence_is_less() -> None:
    world = a_full_world()
    record = world.judge().record
    world.events_of(40, 0)  # later ones
    labels, _ = entries(world)

    whole = without_struck(record, Metric.CRASH, labels)
    struck = [
        replace(each, struck=each.metric == Metric.CRASH and each.candidate and index % 3 == 0)
        for index, each in enumerate(labels)
    ]
    rest = without_struck(record, Metric.CRASH, struck)

    assert whole == record["log_e_by_metric"]["crash"]["log_e"]
    left = without_struck(record, Metric.CRASH, [each for each in labels if not each.candidate])
    assert left < rest < whole
    assert recompute(record, struck, entries(world)[1]).same_bits  # what was decided, as it was
