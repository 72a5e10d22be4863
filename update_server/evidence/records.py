"""The record of a decision: all it rests on, so that it can be explained and recomputed.

Not here: the log of labels and cohorts, which stores keep (``state.Log``); a record says how many
entries of it were there. Recomputing: ``recomputing``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import isfinite
from typing import Any

from update_server.evidence.asides import LOG_UNEQUAL
from update_server.evidence.baseline import LATER, baseline_of
from update_server.evidence.design import (
    SILENCE_STRATA,
    platform_of,
    share_of,
    total_at_risk,
)
from update_server.evidence.detector import ALARM
from update_server.evidence.findings import Finding
from update_server.evidence.fisher import best_share
from update_server.evidence.gates import Shown, noninferiority
from update_server.evidence.guards import FUNNEL_STEPS, Line, Reached, all_lines
from update_server.evidence.numerics import math_sha256
from update_server.evidence.planner import installs_to_detect
from update_server.evidence.ratio import GRID_SHA256, WEIGHTS_SHA256
from update_server.evidence.settings import HOUR, Metric, Settings
from update_server.evidence.srm import log_e_srm
from update_server.evidence.state import Arms, Log, State
from update_server.evidence.telling import Counted, base_rate_of, sentence_for
from update_server.evidence.verdicts import Names, Verdict
from update_server.evidence.weighing import (
    SIGNATURE_PREFIX,
    Kind,
    Weighted,
    counts,
    estimate_of,
    interval_of,
    log_e_of,
    platforms_of,
    total,
    weighted_metrics,
)

ENGINE_VERSION = "2"
"""Raised when the same labels would give other evidence, or another verdict."""

_TOP_SIGNATURES = 5


@dataclass(frozen=True, slots=True)
class _Case:
    state: State
    log: Log
    settings: Settings
    now: float
    finding: Finding
    names: Names

    def evidence(self, metric: Weighted) -> list[list[float]]:
        """Return the vectors of *metric* over the platforms that are not held."""
        epoch = self.state.epoch
        return total(epoch, metric, platforms_of(epoch, metric, self.state.held))


def describe(
    state: State, log: Log, settings: Settings, now: float, finding: Finding, names: Names
) -> dict[str, Any]:
    """Return the record of *finding*, also where it is no decision: values that JSON has.

    Instants are Unix seconds. Infinite numbers, and what does not apply, are None.
    """
    case = _Case(state, log, settings, now, finding, names)
    counted = count_of(state, settings, finding)
    tamper = finding.tamper
    margin = tamper.margin if tamper else finding.line.margin if finding.line else None
    stage = state.stage
    return {
        "id": _id(case),
        "rollout": names.rollout,
        "release": names.version,
        "channel": names.channel,
        "app": names.app,
        "ring": stage.ring,
        "exposure_bp": stage.exposure_bp,
        "stage_opened_at": stage.opened_at,
        "decided_at": now,
        "epoch": state.epoch.number,
        "waivers": sorted(state.epoch.waived),
        "verdict": finding.verdict and finding.verdict.value,
        "no_verdict": finding.no_verdict and finding.no_verdict.value,
        "suspended_by": _suspended_by(state, finding),
        "cause_metric": finding.cause,
        "hold": finding.hold,
        "held": sorted(state.held),
        "alpha": settings.alpha,
        "log_e_by_metric": _log_e_by_metric(case),
        **_ratio(case),
        "candidate": _arm(case, counted, candidate=True),
        "control": _arm(case, counted, candidate=False),
        "exposed_installs": stage.entered.candidate + stage.internal,
        "hours_since_open": (now - stage.opened_at) / HOUR,
        "false_alarm_statement": _false_alarms(case),
        "tamper_margin": margin,
        "jackknife": tamper
        and {
            "log_e_without_one_network": _number(tamper.without_one),
            "log_e_without_few_networks": _number(tamper.without_few),
        },
        "contamination_budget": settings.budget
        if (stage.exposure_bp or 0) <= settings.budget_up_to_bp
        else 0,
        "contested": False,
        "srm_log_e": _number(log_e_srm(stage.srm)) if stage.srm else None,
        "set_aside": _set_aside(state),
        "top_signatures": _top_signatures(case),
        "noninferiority": [_shown(test) for test in noninferiority(state, settings)],
        "way": finding.standing and finding.standing.way.value,
        "guards": [_line(line) for line in all_lines(state, settings)],
        "silence_baselines": _silence_baselines(case),
        "planner": _planner(case),
        "facts": state.facts,
        "engine_version": ENGINE_VERSION,
        "grid_sha256": GRID_SHA256,
        "weights_sha256": WEIGHTS_SHA256,
        "math_sha256": math_sha256(),
        "event_range": _event_range(case),
        "sentence": sentence_for(state, settings, now, finding, names, counted),
    }


def count_of(state: State, settings: Settings, finding: Finding) -> Counted:
    """Return how many installs of each arm had what a finding is about, and of how many.

    Without a metric behind it, it is about crashes. Installs of first events are those that
    entered a stage of this epoch.
    """
    metric = finding.against.metric if finding.against else _crash(settings)
    # Of three quantiles the second is the one that sentences speak of.
    name = metric.processes[min(1, len(metric.processes) - 1)]
    if finding.verdict is Verdict.CONTINUE and finding.hold:
        bad, known = counts(state.epoch, name, [finding.hold])
        entered = entered_on(state, finding.hold)
    else:
        bad, known = counts(state.epoch, name, platforms_of(state.epoch, metric, state.held))
        entered = state.epoch.most
    return Counted(bad=bad, of=entered if metric.kind is Kind.EVENTS else known)


def entered_on(state: State, platform: str) -> Arms:
    """Return how many installs on *platform* are in the present stage, in each arm."""
    found = Arms()
    index = state.platforms.index(platform)
    for key, arms in state.stage.risk_sets.items():
        if platform_of(key) == index:
            found.candidate += arms.candidate
            found.control += arms.control
    return found


def _crash(settings: Settings) -> Weighted:
    weight = settings.weights.get(Metric.CRASH, 0.0)
    return Weighted(Metric.CRASH, Kind.EVENTS, weight, (Metric.CRASH,))


def _id(case: _Case) -> str:
    """Return an ID that two leaders which decide the same give alike."""
    finding = case.finding
    parts = (
        case.names.rollout,
        str(case.state.epoch.number),
        str(case.state.stage.number),
        str(case.state.ticks),
        str(finding.verdict or finding.no_verdict),
        finding.cause or "",
        finding.hold or "",
    )
    return f"de_{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:24]}"


def _log_e_by_metric(case: _Case) -> dict[str, dict[str, Any]]:
    epoch = case.state.epoch
    found: dict[str, dict[str, Any]] = {}
    for metric in weighted_metrics(case.state, case.settings):
        if not platforms_of(epoch, metric, case.state.held):
            continue
        found[str(metric.metric)] = {
            "weight": metric.weight,
            "log_e": _number(log_e_of(metric.kind, case.evidence(metric))),
            "needed": metric.needed(case.settings.alpha),
            "advisory": metric.advisory,
            "test": metric.kind.value,
            "higher_is_worse": metric.higher_is_worse,
            "entries": {str(name): _entries(case, metric, name) for name in metric.processes},
        }
    for line in all_lines(case.state, case.settings):
        if line.line is Line.FUNNEL:
            weight = case.settings.weights[Metric.FUNNEL] / len(FUNNEL_STEPS)
            found[line.name] = {"weight": weight, "test": line.line.value, **_line(line)}
    return found


def _entries(case: _Case, metric: Weighted, name: str) -> int:
    number = case.state.epoch.number
    if metric.kind is Kind.EVENTS:
        return len(case.log.labels(number, name))
    return len(case.log.scored(number, name))


def _ratio(case: _Case) -> dict[str, Any]:
    """Return the estimate and interval of the cause; of crashes where there is no cause."""
    against = case.finding.against
    metric = against.metric if against else _crash(case.settings)
    vector = case.evidence(metric)[0]
    ratio: float | None = None
    interval: list[float | None] | None = None
    share: float | None = None
    if metric.kind is Kind.SILENCE:
        share = best_share(vector)
    elif metric.kind in {Kind.EVENTS, Kind.OUTCOMES}:
        ratio = estimate_of(metric.kind, vector)
        interval = [_number(end) for end in interval_of(metric.kind, vector)]
    return {
        "ratio_estimate": ratio,
        "ratio_interval_95": interval,
        "ratio_is_odds": metric.kind is Kind.OUTCOMES,
        "bricked_share": share,
    }


def _arm(case: _Case, counted: Counted, *, candidate: bool) -> dict[str, Any]:
    against = case.finding.against
    at_risk = total_at_risk(case.state.stage, against.metric.metric if against else Metric.CRASH)

    def of(arms: Arms) -> int:
        return arms.candidate if candidate else arms.control

    events, entered = of(counted.bad), of(counted.of)
    return {
        "at_risk": at_risk[0 if candidate else 1],
        "entered": of(case.state.stage.entered),
        "installs": entered,
        "events": events,
        "rate": events / entered if entered else None,
    }


def _false_alarms(case: _Case) -> str:
    finding, settings = case.finding, case.settings
    if finding.line is not None and finding.line.line is Line.COUNT:
        return "This is a plain count; it has no stated false-alarm rate."
    if finding.line is not None and finding.line.line is Line.SHARE:
        return (
            "A ring below the ceiling would ever get here less than 1 time in 1,000, if its "
            "installs fail independently."
        )
    if finding.line is not None and finding.line.line is Line.HISTORY:
        return (
            f"As long as installs crash as before, this alarm comes once in {ALARM:,} hours or "
            "less, on average. Nothing was drawn by lot: what changed may be something else."
        )
    epochs = case.state.epoch.number
    told = f"Fewer than 1 harmless release in {1 / settings.alpha:,.0f} is ever paused"
    if epochs == 1:
        return f"{told}, over all metrics and however often they are looked at."
    return f"{told} in each epoch of evidence; this is epoch {epochs}."


def _top_signatures(case: _Case) -> list[dict[str, Any]]:
    epoch, held = case.state.epoch, case.state.held
    weighed = []
    for metric in weighted_metrics(case.state, case.settings):
        platforms = platforms_of(epoch, metric, held)
        if metric.metric.startswith(SIGNATURE_PREFIX) and platforms:
            log_e = log_e_of(metric.kind, total(epoch, metric, platforms))
            bad, _ = counts(epoch, metric.metric, platforms)
            weighed.append((-log_e, metric.metric.removeprefix(SIGNATURE_PREFIX), bad))
    weighed.sort(key=lambda each: each[:2])
    return [
        {"id": name, "candidate": bad.candidate, "control": bad.control, "log_e": -minus}
        for minus, name, bad in weighed[:_TOP_SIGNATURES]
    ]


def _shown(test: Shown) -> dict[str, Any]:
    return {
        "metric": str(test.metric),
        "margin": test.limit,
        "log_e": _number(test.log_e),
        "needed": test.needed,
        "passes": test.passes,
    }


def _line(line: Reached) -> dict[str, Any]:
    return {
        "name": line.name,
        "failed": line.k,
        "known": line.n,
        "ceiling": line.ceiling,
        "log_e": _number(line.log_e),
        "needed": _number(line.needed),
        "reached": line.is_reached,
    }


def _suspended_by(state: State, finding: Finding) -> str | None:
    if finding.verdict is not Verdict.SUSPEND:
        return None
    if not state.suspended:
        return "telemetry_lag"
    return "set_aside" if state.unequal else "sample_ratio"


def _set_aside(state: State) -> dict[str, dict[str, Any]]:
    """Return by rule of how many installs it set reports aside, and how many were to be."""
    return {
        rule: {
            "candidate": each.installs.candidate,
            "control": each.installs.control,
            "candidates_due": each.due,
            "log_e": _number(log_e_srm(each.vector)),
            "needed": LOG_UNEQUAL,
        }
        for rule, each in sorted(state.asides.items())
    }


def _silence_baselines(case: _Case) -> dict[str, dict[str, Any]]:
    """Return by stratum of silence what share was supposed at first, and whence it is."""
    found = {}
    for stratum in (s + later for later in (0, LATER) for s in range(SILENCE_STRATA)):
        known = baseline_of(case.state, case.settings, stratum)
        found[str(stratum)] = {
            "share": known.share,
            "source": known.source.value,
            "windows": known.windows,
        }
    return found


def _planner(case: _Case) -> dict[str, Any]:
    base = base_rate_of(case.state)
    share = share_of(case.state.stage)
    controls = (1 - share) / share if share else 0.0
    weight = case.settings.weights.get(Metric.CRASH, 0.0)

    def installs(ratio: float) -> int | None:
        if weight <= 0 or ratio * base > 1:
            return None
        return installs_to_detect(base, ratio, controls, case.settings.alpha, weight)

    return {
        "base_rate": base,
        "installs_to_detect_1_5x": installs(1.5),
        "installs_to_detect_2x": installs(2.0),
    }


def _event_range(case: _Case) -> dict[str, Any] | None:
    """Return the first and the last event behind the cause, and how many there are."""
    against = case.finding.against
    if against is None or against.metric.kind is not Kind.EVENTS:
        return None
    labels = case.log.labels(case.state.epoch.number, against.metric.metric)
    if not labels:
        return None
    return {
        "first": labels[0].event.hex(),
        "last": labels[-1].event.hex(),
        "count": len(labels),
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
