"""Which sentence a finding gets, and with which numbers."""

from __future__ import annotations

from dataclasses import dataclass

from update_server.evidence import sentences, words
from update_server.evidence.design import share_of
from update_server.evidence.findings import Against, Finding
from update_server.evidence.gates import Standing, Way
from update_server.evidence.guards import FUNNEL_PREFIX, Line, Reached
from update_server.evidence.planner import installs_to_detect
from update_server.evidence.settings import DAY, HOUR, Metric, Settings
from update_server.evidence.srm import log_e_srm
from update_server.evidence.state import Arms, State
from update_server.evidence.verdicts import Names, NoVerdict, Verdict
from update_server.evidence.weighing import (
    Kind,
    counts,
    estimate_of,
    interval_of,
    platforms_of,
    total,
)

_GUESSED_BASE_RATE = 0.005


@dataclass(frozen=True, slots=True)
class Counted:
    """How many installs had it, *of* how many, in each arm."""

    bad: Arms
    of: Arms


def sentence_for(
    state: State, settings: Settings, now: float, finding: Finding, names: Names, counted: Counted
) -> str:
    """Return THE SENTENCE of *finding*, about the installs in *counted*."""
    told = _told(state, settings, now, names, counted)
    if finding.no_verdict is not None:
        return _no_verdict(state, settings, now, finding.no_verdict, names)
    if finding.line is not None:
        return _line(state, settings, finding.line, names)
    if finding.against is not None:
        return _against(state, settings, finding, finding.against, names, told)
    if finding.verdict is Verdict.SUSPEND:
        return _suspended(state, names)
    if finding.standing is not None and not finding.standing.waits_for:
        return _promoted(state, settings, finding.standing, told)
    waits = finding.standing.waits_for if finding.standing else ()
    waiting = "".join(f" {wait.sentence}" for wait in waits)
    return f"{names.version} goes on at ring {words.ring(state.stage.ring)}.{waiting}"


def base_rate_of(state: State) -> float:
    """Return the share of controls that crashed, or a guess where nothing is known of them.

    Half an install is added, so that "never" does not become an infinite wait.
    """
    bad, _ = counts(state.epoch, Metric.CRASH, list(state.epoch.processes.get(Metric.CRASH, ())))
    controls = state.epoch.most.control
    if not controls:
        return _GUESSED_BASE_RATE
    return min(1.0, (bad.control + 0.5) / (controls + 1))


def _told(
    state: State, settings: Settings, now: float, names: Names, counted: Counted
) -> sentences.Told:
    return sentences.Told(
        version=names.version,
        previous=names.previous,
        ring=state.stage.ring,
        hours=(now - state.stage.opened_at) / HOUR,
        k_candidate=counted.bad.candidate,
        n_candidate=counted.of.candidate,
        k_control=counted.bad.control,
        n_control=counted.of.control,
        outcome_seconds=settings.outcome_seconds,
    )


def _against(
    state: State,
    settings: Settings,
    finding: Finding,
    against: Against,
    names: Names,
    told: sentences.Told,
) -> str:
    metric, epoch = against.metric, state.epoch
    platforms = platforms_of(epoch, metric, state.held)
    margin = finding.tamper.margin if finding.tamper else 0
    compares = metric.kind in {Kind.EVENTS, Kind.OUTCOMES}
    vector = total(epoch, metric, platforms)[0]
    interval = interval_of(metric.kind, vector) if compares else None
    if finding.verdict is Verdict.CONTINUE:
        others = [name for name in platforms if name != finding.hold]
        return sentences.held(
            told, metric.metric, finding.hold or "", log_e=against.log_e, others=others
        )
    if finding.verdict is Verdict.PULL:
        lower = interval[0] if interval else None
        return sentences.pulled(
            told,
            metric.metric,
            lower=lower,
            is_odds=metric.kind is Kind.OUTCOMES,
            replacement=names.replacement,
            margin=margin,
        )
    if metric.kind is Kind.SILENCE:
        told_so = sentences.silence(told, metric.metric)
    else:
        told_so = sentences.paused(
            told,
            metric.metric,
            ratio=estimate_of(metric.kind, vector) if compares else None,
            interval=interval,
            is_odds=metric.kind is Kind.OUTCOMES,
            log_e=against.log_e,
            needed=against.needed,
            alpha=settings.alpha,
            margin=margin,
        )
    return told_so + (sentences.proposed_hold(finding.hold) if finding.hold else "")


def _line(state: State, settings: Settings, line: Reached, names: Names) -> str:
    if line.line is Line.FUNNEL:
        return sentences.funnel(
            names.version,
            state.stage.ring,
            line.name.removeprefix(FUNNEL_PREFIX),
            k=line.k,
            n=line.n,
            ceiling=line.ceiling,
            log_e=line.log_e,
            needed=line.needed,
        )
    if line.line is Line.HISTORY:
        return sentences.history(
            names.version,
            state.stage.ring,
            k=line.k,
            n=line.n,
            expected=line.ceiling,
            log_e=line.log_e,
            needed=line.needed,
            margin=line.margin,
        )
    return sentences.guard(
        names.version,
        state.stage.ring,
        line.name,
        k=line.k,
        n=line.n,
        ceiling=line.ceiling,
        has_control=0 < share_of(state.stage) < 1,
        outcome_seconds=settings.outcome_seconds,
    )


def _suspended(state: State, names: Names) -> str:
    if not state.suspended:
        return sentences.late(names.version, state.lag_seconds)
    if state.unequal:
        found = state.asides[state.unequal]
        return sentences.unequal(
            names.version,
            state.unequal,
            seen=found.installs.candidate,
            installs=found.installs.total,
            expected=found.due,
            log_e=log_e_srm(found.vector),
        )
    stage = state.stage
    return sentences.suspended(
        names.version,
        seen=stage.entered.candidate,
        entrants=stage.entered.total,
        expected=share_of(stage) * stage.entered.total,
        log_e=log_e_srm(stage.srm),
    )


def _promoted(state: State, settings: Settings, standing: Standing, told: sentences.Told) -> str:
    to = state.stage.next_ring or ""
    if standing.way is Way.GUARDS:
        internal = sentences.Told(
            version=told.version,
            previous=told.previous,
            ring=told.ring,
            hours=told.hours,
            k_candidate=0,
            n_candidate=state.stage.internal,
            k_control=0,
            n_control=0,
        )
        return sentences.promoted_by_guards(internal, to)
    if standing.way is Way.TIMEOUT:
        return sentences.promoted_by_timeout(told, to, settings.timeout_seconds)
    crash, healthy, _ = standing.tests
    weakest = min(crash, healthy, key=lambda test: test.log_e)
    return sentences.promoted(
        told,
        to,
        {test.metric: test.limit for test in (crash, healthy)},
        log_e=weakest.log_e,
        needed=weakest.needed,
    )


def _no_verdict(state: State, settings: Settings, now: float, why: NoVerdict, names: Names) -> str:
    stage, share = state.stage, share_of(state.stage)
    open_days = max(now - stage.opened_at, HOUR) / DAY
    a_day = (stage.entered.candidate + stage.internal) / open_days
    base, weight = base_rate_of(state), settings.weights.get(Metric.CRASH, 0.0)
    days = None
    if 0 < share < 1 and weight > 0 and base <= 1 / 2 and round(a_day):
        installs = installs_to_detect(base, 2.0, (1 - share) / share, settings.alpha, weight)
        days = installs / a_day if installs else None
    return sentences.no_verdict(
        names.version,
        stage.ring,
        why,
        candidates=stage.entered.candidate,
        controls=stage.entered.control,
        minimum=settings.minimum_installs,
        installs_a_day=a_day,
        days=days,
        too_new=state.not_aged,
    )
