"""Live rollouts, each since it started. No install's name, no signature, no ended rollout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rollout.model import RolloutState
from rollout.versions import render_version
from update_server.evidence.verdicts import Verdict
from update_server.service.ports import Phase
from update_server.service.ports.crashes import Tally
from update_server.service.telemetry.exports import LiveRollout

# A version may be on its way on two channels at once.
_ROLLOUT: Final = ("app", "version", "channel")
_CELL: Final = (*_ROLLOUT, "ring", "arm")
_LIVE_STATES: Final = (RolloutState.ACTIVE, RolloutState.PAUSED)

VERDICTS: Final = (*(verdict.value for verdict in Verdict), "none")
"""What may be said of a rollout."""


def families(live: Sequence[LiveRollout]) -> Iterator[Metric]:
    """Yield what is told of *live* rollouts."""
    yield _states(live)
    yield _verdicts(live)
    yield _exposures(live)
    yield _judged(live)
    yield _cells(live, "contacts", "serinus_installs", "Installs that have checked in.")
    yield _cells(live, "silent", "serinus_silent_installs", "Installs that went silent.")
    yield _crashed(live)
    yield _sessions(live)
    yield _steps(live)
    yield from _evidence(live)


def _states(live: Sequence[LiveRollout]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_rollout_state",
        "1 for the state that a rollout is in.",
        labels=[*_ROLLOUT, "state"],
    )
    for each in live:
        for state in _LIVE_STATES:
            is_in_it = each.rollout.state is state
            family.add_metric([*_labels(each), state.value], float(is_in_it))
    return family


def _verdicts(live: Sequence[LiveRollout]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_rollout_verdict",
        "1 for the newest verdict on a rollout; none where nothing can be said yet.",
        labels=[*_ROLLOUT, "verdict"],
    )
    for each in live:
        for verdict in VERDICTS:
            is_it = verdict == (each.verdict or "none")
            family.add_metric([*_labels(each), verdict], float(is_it))
    return family


def _exposures(live: Sequence[LiveRollout]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_rollout_exposure_bp", "Exposure in basis points.", labels=_ROLLOUT
    )
    for each in live:
        family.add_metric(_labels(each), each.exposure_bp)
    return family


def _judged(live: Sequence[LiveRollout]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_last_decision_timestamp_seconds",
        "When the judge last looked at what is rolled out, whether or not it said anything new.",
        labels=["app", "channel"],
    )
    newest: dict[tuple[str, str], float] = {}
    for each in live:
        if each.judged_at is not None:
            place = each.rollout.app, each.rollout.channel
            newest[place] = max(newest.get(place, 0.0), each.judged_at.timestamp())
    for place, at in newest.items():
        family.add_metric(place, at)
    return family


def _cells(live: Sequence[LiveRollout], step: str, name: str, help_text: str) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=_CELL)
    for each in live:
        for cell in each.cells:
            if cell.step == step:
                family.add_metric([*_labels(each), cell.ring, cell.arm.value], cell.installs)
    return family


def _crashed(live: Sequence[LiveRollout]) -> Metric:
    family = GaugeMetricFamily(
        "serinus_crashed_installs",
        "Installs that crashed, on the release or on another version.",
        labels=[*_CELL, "on"],
    )
    counted: Counter[tuple[str, ...]] = Counter()
    for each in live:
        for tally in each.crashed:
            counted[(*_labels(each), *_place(each, tally))] += tally.crashed_installs
    for labels, installs in counted.items():
        family.add_metric(labels, installs)
    return family


def _sessions(live: Sequence[LiveRollout]) -> Metric:
    # No counter: what became of a session may still turn out to be something else.
    family = GaugeMetricFamily(
        "serinus_sessions_total",
        "Sessions by who told of them and what became of them.",
        labels=[*_CELL, "on", "source", "status"],
    )
    counted: Counter[tuple[str, ...]] = Counter()
    for each in live:
        for tally in each.sessions:
            place = (*_labels(each), *_place(each, tally))
            for source, told in tally.sessions.items():
                for status, sessions in told.items():
                    counted[(*place, source, status)] += sessions
    for labels, sessions in counted.items():
        family.add_metric(labels, sessions)
    return family


def _place(each: LiveRollout, tally: Tally) -> tuple[str, str, str]:
    # Any number of versions may have run: only whether it was this one is told.
    is_on_release = tally.version == render_version(each.rollout.version)
    return tally.ring, tally.arm, "release" if is_on_release else "other"


def _steps(live: Sequence[LiveRollout]) -> Metric:
    family = CounterMetricFamily(
        "serinus_update_steps_total",
        "Installs that reached a step of their update.",
        labels=[*_ROLLOUT, "phase"],
    )
    for each in live:
        reached: dict[str, int] = {phase.value: 0 for phase in Phase}
        for cell in each.cells:
            if cell.step in reached:
                reached[cell.step] += cell.installs
        for phase, installs in reached.items():
            family.add_metric([*_labels(each), phase], installs)
    return family


def _evidence(live: Sequence[LiveRollout]) -> Iterator[Metric]:
    ratios = GaugeMetricFamily(
        "serinus_evidence_ratio",
        "What speaks against a release by one metric: 1 is nothing, 100 a bet won 100-fold.",
        labels=[*_ROLLOUT, "metric"],
    )
    limits = GaugeMetricFamily(
        "serinus_evidence_limit",
        "The ratio at which the metric pauses the rollout.",
        labels=[*_ROLLOUT, "metric"],
    )
    for each in live:
        for one in each.evidence:
            ratios.add_metric([*_labels(each), one.metric], one.ratio)
            limits.add_metric([*_labels(each), one.metric], one.limit)
    yield ratios
    yield limits


def _labels(each: LiveRollout) -> list[str]:
    rollout = each.rollout
    return [rollout.app, render_version(rollout.version), rollout.channel]
