from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.judge_world import (
    LINUX,
    WINDOWS,
    JudgeWorld,
    a_bad_world,
    a_network,
    a_terrible_world,
    a_world,
)
from update_server.evidence.judge import FEW_NETWORKS
from update_server.evidence.settings import STANDARD, May, Measured, Metric
from update_server.evidence.state import Epoch, Label, MemoryLog
from update_server.evidence.verdicts import Verdict


def test_evidence_at_its_limit_pauses() -> None:
    judgement = a_bad_world().judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == Metric.CRASH
    assert judgement.carry_out
    assert judgement.record["verdict"] == "pause"


def test_evidence_below_its_limit_does_not() -> None:
    world = a_world()
    world.events_of(40, 176)

    judgement = world.judge()

    assert judgement.verdict is Verdict.CONTINUE
    assert not judgement.record


def test_the_same_pause_is_decided_once() -> None:
    world = a_bad_world()
    world.judge()

    again = world.judge(2)

    assert again.verdict is Verdict.PAUSE
    assert not again.carry_out
    assert not again.record


def test_a_paused_rollout_is_not_paused_again() -> None:
    world = a_bad_world()
    world.state.paused = True

    judgement = world.judge()

    assert judgement.verdict is Verdict.CONTINUE
    assert [wait.code for wait in judgement.waits_for] == ["paused"]
    assert not judgement.record


def test_resumed_in_the_same_epoch_it_is_paused_again() -> None:
    world = a_bad_world()
    world.judge()
    world.state.paused = True
    world.judge(2)
    world.state.paused = False

    assert world.judge(2).carry_out


def test_a_new_epoch_begins_without_evidence() -> None:
    world = a_bad_world()
    world.state.epochs.append(Epoch(number=2))

    judgement = world.judge()

    assert judgement.no_verdict == "cohort_not_matured"


def test_a_server_that_may_not_pause_says_so_and_no_more() -> None:
    world = a_bad_world()
    world.set(automatic=frozenset({May.PULL, May.PROMOTE}))
    world.can_pull = False

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.record
    assert not judgement.carry_out
    assert not world.judge(2).record


def test_two_forged_events_do_not_pause_a_small_ring() -> None:
    world = a_world(exposure_bp=100, entered=(390, 38_610))
    world.events_of(2, 0)
    world.events_of(2, 0, metric=Metric.CRASH_LOOP)

    judgement = world.judge()

    assert world.state.tamper["crash"][0] > 0
    assert judgement.verdict is Verdict.CONTINUE
    assert "harm:crash" in [wait.code for wait in judgement.waits_for]


def test_beyond_a_tenth_of_the_fleet_nothing_is_taken_for_forged() -> None:
    world = a_world(exposure_bp=1_001)
    world.events_of(3, 0, n=(100, 9_900))

    assert world.judge().verdict is Verdict.PAUSE


def test_at_a_tenth_the_budget_still_holds() -> None:
    world = a_world(exposure_bp=1_000)
    world.events_of(3, 0, n=(100, 9_900))

    assert world.judge().verdict is Verdict.CONTINUE


def test_the_cause_is_the_metric_with_most_evidence_for_its_weight() -> None:
    world = a_bad_world()
    world.events_of(40, 10, metric=Metric.CRASH_LOOP)

    assert world.judge().cause == Metric.CRASH_LOOP


def test_a_metric_without_weight_is_off() -> None:
    world = a_bad_world()
    world.set(weights=MappingProxyType({Metric.SILENCE: 0.2, Metric.CRASH: 0.0}))
    world.cohort(1, 9, 20, 180, metric=Metric.SILENCE)

    assert world.judge().verdict is Verdict.CONTINUE


def test_later_signatures_have_less_weight() -> None:
    world = a_world()
    world.state.signatures = ["first", "second"]
    world.events_of(9, 0, metric="signature:first")
    world.events_of(9, 0, metric="signature:second")

    judgement = world.judge()

    assert judgement.cause == "signature:first"
    told = judgement.record["log_e_by_metric"]
    assert told["signature:first"]["weight"] == pytest.approx(0.05)
    assert told["signature:second"]["weight"] == pytest.approx(0.1 / 6)
    assert [each["id"] for each in judgement.record["top_signatures"]] == ["first", "second"]


@pytest.mark.parametrize(("candidates", "pauses"), [(2, False), (3, True)])
def test_a_crash_is_new_once_three_installs_had_it(candidates: int, *, pauses: bool) -> None:
    world = a_world(exposure_bp=5_000, entered=(4_000, 4_000))
    world.state.signatures = ["first"]
    world.events_of(candidates, 0, metric="signature:first", n=(10, 100_000))

    judgement = world.judge()

    assert (judgement.verdict is Verdict.PAUSE) is pauses
    if pauses:
        assert judgement.cause == "signature:first"
        # One of the three less, and it would not be new; its evidence alone would stand.
        assert judgement.record["tamper_margin"] == 1


def test_controls_with_a_new_crash_count_as_installs_too() -> None:
    world = a_world(exposure_bp=5_000, entered=(4_000, 4_000))
    world.state.signatures = ["first"]
    world.events_of(2, 1, metric="signature:first", n=(2, 100_000))

    assert world.judge().cause == "signature:first"


def test_signatures_can_be_off() -> None:
    world = a_world()
    world.set(weights=MappingProxyType({Metric.CRASH: 0.3}))
    world.state.signatures = ["first"]
    world.events_of(9, 0, metric="signature:first")
    world.events_of(0, 1)

    assert world.judge().verdict is Verdict.CONTINUE


def test_a_signature_never_pulls() -> None:
    world = a_world()
    world.state.signatures = ["first"]
    world.events_of(60, 10, metric="signature:first")

    assert world.judge().verdict is Verdict.PAUSE


def test_slow_starts_pause() -> None:
    world = a_world()
    for quantile in ("q50", "q90", "q99"):
        world.cohort(30, 30, 40, 360, metric=f"score:startup_ms:{quantile}", times=3)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == "score:startup_ms"
    assert judgement.record["tamper_margin"] > 2
    assert judgement.record["ratio_interval_95"] is None
    assert judgement.record["candidate"]["events"] == 90


def test_bad_scores_pause() -> None:
    world = a_world()
    world.set(measured=(Measured(name="checkout", weight=0.05, test="betting"),))
    scores = [(True, 1.0), (False, 0.0)] * 60
    world.bets("score:checkout", scores, 0.5)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.cause == "score:checkout"
    assert judgement.record["tamper_margin"] > 2


def test_an_advisory_metric_never_pauses() -> None:
    world = a_world()
    world.set(measured=(Measured(name="checkout", weight=0.05, test="betting", advisory=True),))
    world.bets("score:checkout", [(True, 1.0), (False, 0.0)] * 60, 0.5)

    assert world.judge().verdict is Verdict.CONTINUE


def test_a_measured_metric_without_weight_is_off() -> None:
    world = a_world()
    world.set(measured=(Measured(name="checkout", weight=0.0, test="betting"),))
    world.bets("score:checkout", [(True, 1.0), (False, 0.0)] * 60, 0.5)

    assert world.judge().no_verdict == "cohort_not_matured"


def test_evidence_of_a_platform_that_is_held_counts_no_more() -> None:
    world = a_bad_world()
    world.state.held = [LINUX]
    world.events_of(0, 1, platform=WINDOWS)

    assert world.judge().verdict is Verdict.CONTINUE


# --- pulling --------------------------------------------------------------------------------


def test_overwhelming_evidence_of_much_harm_pulls() -> None:
    judgement = a_terrible_world().judge()

    assert judgement.verdict is Verdict.PULL
    assert judgement.carry_out
    assert judgement.record["tamper_margin"] >= 4


def test_the_same_pull_is_decided_once() -> None:
    world = a_terrible_world()
    world.judge()

    again = world.judge(2)

    assert again.verdict is Verdict.PULL
    assert not again.carry_out


def _without_replacement(world: JudgeWorld) -> None:
    world.can_pull = False


def _unallowed(world: JudgeWorld) -> None:
    world.set(automatic=frozenset({May.PAUSE}))


def _asking_more_evidence(world: JudgeWorld) -> None:
    world.set(pull_log_factor=1e30)


def _asking_more_harm(world: JudgeWorld) -> None:
    world.set(pull_lower_ratio=3.5)


def _asking_a_larger_margin(world: JudgeWorld) -> None:
    world.set(pull_margin=34)


def _with_a_larger_budget(world: JudgeWorld) -> None:
    world.set(budget=32, pull_margin=34)


def _with_a_ring_of_groups(world: JudgeWorld) -> None:
    world.state.stage.exposure_bp = None


def _without_holdback(world: JudgeWorld) -> None:
    world.state.stage.exposure_bp = 10_000


@pytest.mark.parametrize(
    "lacking",
    [
        _without_replacement,
        _unallowed,
        _asking_more_evidence,
        _asking_more_harm,
        _asking_a_larger_margin,
        _with_a_larger_budget,
        _with_a_ring_of_groups,
        _without_holdback,
    ],
)
def test_where_one_condition_of_a_pull_fails_it_is_a_pause(
    lacking: Callable[[JudgeWorld], None],
) -> None:
    world = a_terrible_world()
    lacking(world)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.carry_out


@pytest.mark.parametrize(("networks", "verdict"), [(1, "pause"), (3, "pause"), (4, "pull")])
def test_a_handful_of_networks_never_pulls(networks: int, verdict: str) -> None:
    world = a_world()
    world.events_of(0, 100)
    world.events_of(200, 0, networks=lambda number: a_network(number % networks))

    judgement = world.judge()

    assert judgement.verdict == verdict


def test_networks_that_are_not_known_are_not_asked_for() -> None:
    world = a_world()
    world.events_of(60, 100, networks=lambda _: b"")

    assert world.judge().verdict is Verdict.PULL


def test_a_pause_may_become_a_pull() -> None:
    world = a_bad_world()
    world.judge()
    world.state.paused = world.state.paused_automatically = True
    assert world.judge(2).verdict is Verdict.CONTINUE
    world.events_of(40, 10)

    judgement = world.judge(2)

    assert judgement.verdict is Verdict.PULL
    assert judgement.carry_out


def test_crash_loops_pull_too() -> None:
    world = a_world()
    world.events_of(60, 100, metric=Metric.CRASH_LOOP)

    assert world.judge().verdict is Verdict.PULL


def test_installs_that_do_not_come_up_pull() -> None:
    world = a_world()
    networks = [a_network(number) for number in range(20)]
    world.cohort(20, 2, 20, 180, networks=networks, times=5)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PULL
    assert judgement.cause == Metric.HEALTHY
    assert judgement.record["ratio_is_odds"]


def test_installs_that_do_not_come_back_pull() -> None:
    world = a_world()
    networks = [a_network(number) for number in range(20)]
    world.cohort(20, 18, 20, 180, metric=Metric.SILENCE, networks=networks)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PULL
    assert judgement.cause == Metric.SILENCE
    assert judgement.record["bricked_share"] >= 0.3
    assert judgement.record["ratio_estimate"] is None


@pytest.mark.parametrize("metric", [Metric.SILENCE, Metric.HEALTHY])
def test_silent_installs_of_a_handful_of_networks_never_pull(metric: Metric) -> None:
    world = a_world()
    networks = [a_network(number % FEW_NETWORKS) for number in range(20)]
    world.cohort(20, 18, 20, 180, metric=metric, networks=networks)

    assert world.judge().verdict is Verdict.PAUSE


def test_silence_of_hardly_any_install_does_not_pull() -> None:
    world = a_world()
    world.cohort(105, 900, 1_000, 9_000, metric=Metric.SILENCE, times=24)
    weights = MappingProxyType({Metric.SILENCE: 1.0})
    world.set(pull_log_factor=1.0, alpha=0.5, budget=0, pull_margin=1, weights=weights)

    judgement = world.judge()

    assert judgement.record["bricked_share"] < 0.01
    assert judgement.verdict is Verdict.PAUSE


# --- holding one platform -------------------------------------------------------------------


def _one_platform_is_bad() -> JudgeWorld:
    world = a_world()
    world.state.stage.risk_sets = {1 << 16: replace(world.state.stage.entered)}
    world.events_of(60, 176, platform=LINUX)
    world.events_of(2, 60, platform=WINDOWS)
    world.can_pull = False
    return world


def test_one_bad_platform_is_proposed_to_be_held() -> None:
    judgement = _one_platform_is_bad().judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.hold == LINUX
    assert judgement.record["hold"] == LINUX
    assert f"All of it comes from {LINUX}" in judgement.record["sentence"]


def test_where_the_server_may_it_holds_the_platform_at_once() -> None:
    world = _one_platform_is_bad()
    world.set(automatic=STANDARD.automatic | {May.HOLD})

    judgement = world.judge()

    assert judgement.verdict is Verdict.CONTINUE
    assert judgement.hold == LINUX
    assert judgement.carry_out
    assert judgement.record["sentence"].startswith(f"Held 4.2.0 back on {LINUX} at ring 10 %")
    assert f"on {WINDOWS}, where it goes on" in judgement.record["sentence"]


def test_the_same_hold_is_decided_once() -> None:
    world = _one_platform_is_bad()
    world.set(automatic=STANDARD.automatic | {May.HOLD})
    world.judge()

    again = world.judge(2)

    assert again.hold == LINUX
    assert not again.carry_out


def test_the_only_platform_is_not_held() -> None:
    assert a_bad_world().judge().hold is None


def test_what_all_platforms_share_is_no_platforms_fault() -> None:
    world = a_world()
    world.events_of(44, 176, platform=LINUX)
    world.events_of(30, 100, platform=WINDOWS)

    assert world.judge().hold is None


def test_a_platform_is_not_held_where_another_metric_blames_all() -> None:
    world = _one_platform_is_bad()
    world.set(automatic=STANDARD.automatic | {May.HOLD})
    world.events_of(30, 100, platform=LINUX, metric=Metric.CRASH_LOOP)
    world.events_of(30, 100, platform=WINDOWS, metric=Metric.CRASH_LOOP)

    judgement = world.judge()

    assert judgement.verdict is Verdict.PAUSE
    assert judgement.hold is None


def test_platforms_of_which_nothing_is_known_are_not_called_well() -> None:
    world = a_bad_world()
    world.events_of(0, 1, platform=WINDOWS, n=(0, 100))

    assert world.judge().hold is None


def test_a_matured_cohort_shows_that_the_others_are_well() -> None:
    world = a_world()
    world.state.stage.risk_sets = {1 << 16: replace(world.state.stage.entered)}
    world.can_pull = False
    world.cohort(9, 1, 20, 180, platform=LINUX, times=2)
    world.cohort(0, 0, 20, 180, platform=WINDOWS)

    assert world.judge().hold == LINUX


# --- cost -----------------------------------------------------------------------------------


class CountingLog(MemoryLog):
    reads = 0

    def labels(self, epoch: int, metric: str) -> Sequence[Label]:
        self.reads += 1
        return super().labels(epoch, metric)


def test_the_log_is_not_read_as_long_as_no_limit_is_reached() -> None:
    world = a_world()
    world.log = CountingLog()
    world.events_of(40, 176)

    world.judge()

    assert world.log.reads == 0


def test_the_log_is_not_read_again_for_the_same_evidence() -> None:
    world = a_world(exposure_bp=100)
    world.log = CountingLog()
    world.events_of(2, 0, n=(390, 38_610))
    world.judge()
    assert world.log.reads == 1

    world.judge(2)

    assert world.log.reads == 1


def test_what_a_person_disbelieves_pauses_and_never_pulls() -> None:
    world = a_terrible_world()
    world.state.epoch.struck = 1

    assert world.judge().verdict is Verdict.PAUSE
    world.state.epoch.struck = 0
    assert world.judge().verdict is Verdict.PULL
