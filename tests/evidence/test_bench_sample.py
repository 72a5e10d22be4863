"""A small part of every group of `make bench-evidence`, so that its code and its claims stay alive.

Seeds are fixed. Where a limit needs thousands of runs, a looser one stands here; the real ones are
in benchmarks/evidence.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.evidence import (
    agreement,
    cost,
    delay,
    end_to_end,
    false_pauses,
    intervals,
    no_data,
    promotion,
    replays,
    sample_ratio,
    seven_metrics,
    silence,
    silence_engine,
    study_agreement,
)
from benchmarks.evidence.line import Job, Line, at_least, at_most, measure, report, upper_limit
from benchmarks.evidence.world import Release
from update_server.evidence.verdicts import Verdict

pytestmark = pytest.mark.no_cover  # the same lines a million times

GROUPS = (
    agreement,
    cost,
    delay,
    end_to_end,
    false_pauses,
    intervals,
    no_data,
    promotion,
    replays,
    sample_ratio,
    seven_metrics,
    silence,
    silence_engine,
    study_agreement,
)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_all_ok(lines: list[Line]) -> None:
    assert lines
    assert [line for line in lines if not line.ok] == []


def test_each_group_has_jobs_with_names_of_their_own() -> None:
    names = [job.name for group in GROUPS for job in group.jobs()]

    assert len(names) == len(set(names)) > len(GROUPS)


def test_a_line_is_ok_on_its_side_of_the_limit_only() -> None:
    assert at_most("a", 1.0, 1.0, n=1).ok
    assert not at_most("a", 1.1, 1.0, n=1).ok
    assert at_least("a", 1.0, 1.0, n=1).ok
    assert not at_least("a", 0.9, 1.0, n=1).ok
    assert report("a", 9.0, n=1).ok
    assert not at_most("a", float("nan"), 1.0, n=1).ok


def test_a_line_is_one_json_document_also_where_something_never_happened() -> None:
    line = at_most("never paused", float("inf"), 1.6, n=3, seed=4).taking(0.123)

    assert json.loads(line.render()) == {
        "name": "never paused",
        "value": None,
        "limit": 1.6,
        "direction": "max",
        "ok": False,
        "n": 3,
        "seed": 4,
        "seconds": 0.12,
    }


def test_the_upper_limit_of_no_hit_is_three_over_n_or_so() -> None:
    assert upper_limit(0, 1_000) == pytest.approx(0.00368, abs=1e-5)
    assert upper_limit(3, 3) == 1.0


def test_engine_replica_and_scipy_agree() -> None:
    assert_all_ok(agreement.lines(20))


def test_the_study_counts_as_the_replica_does() -> None:
    assert_all_ok(study_agreement.lines(1, 10))


def test_harmless_releases_are_hardly_ever_paused() -> None:
    assert false_pauses.clustered(rng(), p=0.005, runs=20, installs=5_000) == 0
    assert false_pauses.ramp(rng(), p=0.005, runs=20, installs=2_000) == 0
    first, loop, raw = false_pauses.loops(rng(), p=0.005, runs=20, installs=2_000)
    assert (first, loop) == (0, 0)
    assert raw > 0
    drawn, first_come = false_pauses.early_adopters(rng(), runs=10)
    assert (drawn, first_come) == (0, 10)
    assert not any(
        seven_metrics.pauses(rng(run), promote_the_bad=run % 2 == 1, installs=2_000)
        for run in range(4)
    )


def test_one_pool_for_all_who_enter_over_time_pauses_falsely() -> None:
    by_cohort, pooled = false_pauses.just_after_entry(
        rng(), ticks=100, entrants=20, exposure=0.05, runs=100
    )

    assert by_cohort <= 1
    assert pooled > by_cohort


@pytest.mark.parametrize(("p", "ratio", "controls"), [(0.005, 2.0, 9), (0.02, 5.0, 99)])
def test_harm_is_found_within_the_promised_share_of_the_bound(
    p: float, ratio: float, controls: int
) -> None:
    assert_all_ok(delay.cell(p, ratio, controls, 300))


def test_strata_do_not_slow_a_pause_down() -> None:
    pooled, strata = (
        delay.hours_until_pause(rng(), p=0.02, ratio=2.0, by_stratum=by_stratum, runs=5).mean()
        for by_stratum in (False, True)
    )

    assert strata <= min(pooled, 11)


def test_gates_hardly_ever_open_at_their_margin_and_soon_without_harm() -> None:
    assert promotion.false_passes(rng(), margin=2.0, controls=9, runs=300) <= 25
    assert promotion.unhealthy_passes(rng(), margin=2.0, runs=50) <= 6
    assert_all_ok(promotion.pass_lines(3.0, 100))


def test_the_interval_holds_the_truth_at_all_checks() -> None:
    assert intervals.covered(rng(), ratio=1.5, runs=30, installs=5_000) >= 28


def test_silence_is_found_and_its_gate_holds() -> None:
    assert_all_ok(silence.false_pause_lines(silence.BASE_RATES, "history known", 20))
    assert_all_ok(silence.pause_lines(0.05, 50))
    found = silence.installs_until(
        rng(),
        bricked=0.1,
        history=silence.UNKNOWN,
        gate=0.1,
        horizon=500,
        runs=200,
    )
    assert np.isfinite(found).mean() <= 0.08


def test_everybody_bricked_is_found_without_a_crash() -> None:
    installs = silence_engine.installs_until_pause(1, Release(bricked=1.0), hours=30)

    assert installs <= 100


def test_lost_contacts_are_noticed_and_nothing_is_noticed_for_nothing() -> None:
    assert sample_ratio.suspended(rng(), exposure=0.1, lost=0.2, runs=20) >= 19
    assert sample_ratio.suspended(rng(), exposure=0.1, lost=0.0, runs=20) == 0


def test_an_update_costs_little_and_history_nothing() -> None:
    assert_all_ok([*cost.one_update(2), *cost.state_size()])
    # On a busy machine two repeats say little; the real limit is 1.2.
    assert cost.tick(2)[0].value < 3


def test_decisions_recompute_to_the_bit() -> None:
    assert_all_ok(replays.lines(3))


def test_without_data_there_is_no_verdict() -> None:
    assert_all_ok(no_data.lines((no_data.empty_log, no_data.one_arm_empty, no_data.outage)))


def test_bad_releases_are_stopped_with_the_sentence_that_says_why() -> None:
    for release in end_to_end.RELEASES.values():
        records = end_to_end.decisions(release, 1, hours=30)

        assert records
        assert all(map(end_to_end.matches, records))
        assert min(end_to_end.margins(records, Verdict.PULL), default=4) >= 4


def test_a_job_says_what_it_took() -> None:
    name, lines = measure(Job(name="a job", run=lambda: [report("a", 1.0, n=1)]))

    assert name == "a job"
    assert [line.seconds >= 0 for line in lines] == [True]
