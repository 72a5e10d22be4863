"""The verdict of one tick: continue, promote, pause, pull or suspend, or that there is none.

In this order:

1. entrants, or installs whose reports were set aside, that do not fall into the arms as they
   should, and facts that were taken in too late, suspend everything but pauses;
2. a metric whose evidence reaches its limit, and survives the contamination budget, pauses; or
   holds one platform that alone carries it; or pulls, if much more is fulfilled;
3. a stop line pauses, or, where nobody is held back, the alarm against crashes of before;
4. where something is missing, there is no verdict;
5. where all gates are passed the next step opens; else the release goes on as it is.

Nothing is said twice: a decision that was made is not made again, and while a rollout is paused
only a pull can follow. The cost of a tick is that of reading the state; the log is read when a
limit is reached, and for records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

from update_server.evidence.asides import unequal_rule
from update_server.evidence.design import share_of
from update_server.evidence.findings import Against, Finding, Tamper
from update_server.evidence.fisher import best_share
from update_server.evidence.gates import standing
from update_server.evidence.guards import Line, reached
from update_server.evidence.missing import is_used_up, missing
from update_server.evidence.records import describe
from update_server.evidence.settings import May, Metric, Settings
from update_server.evidence.slices import carried_by
from update_server.evidence.srm import LOG_SUSPEND, log_e_srm
from update_server.evidence.state import Log, State
from update_server.evidence.tamper import logged, margin, without_networks
from update_server.evidence.verdicts import Judgement, Names, NoVerdict, Verdict, Wait
from update_server.evidence.weighing import (
    SIGNATURE_PREFIX,
    Kind,
    Weighted,
    counts,
    interval_of,
    log_e_of,
    platforms_of,
    reaches,
    total,
    weighted_metrics,
)

__all__ = ["FEW_NETWORKS", "Judgement", "Names", "NoVerdict", "Verdict", "Wait", "judge"]

FEW_NETWORKS = 3
"""A pull must hold without so many networks: who commands a handful of them must never pull."""

FEWEST_WITH_SIGNATURE = 3
"""Installs, of either arm, on which a crash must be seen to count as a new one."""

_PULLS = frozenset(
    {
        Metric.CRASH,
        Metric.CRASH_LOOP,
        Metric.SILENCE,
        Metric.LATER_SILENCE,
        Metric.HEALTHY,
    }
)
# A share of bricked installs below this is no reason to take the release from the others.
_PULL_SHARE = 0.01
_PAUSED = Wait(code="paused", sentence="It is paused.")
_LATE = Wait(
    code="telemetry_lag",
    sentence="It goes on by itself once the server has caught up; until then harm still pauses it.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    state: State
    log: Log
    settings: Settings
    now: float
    can_pull: bool
    can_hold: bool

    @property
    def budget(self) -> int:
        """How many candidate events are taken for forged; a ring of groups is a small one."""
        small = (self.state.stage.exposure_bp or 0) <= self.settings.budget_up_to_bp
        return self.settings.budget if small else 0


def judge(
    state: State,
    log: Log,
    settings: Settings,
    now: float,
    *,
    can_pull: bool,
    can_hold: bool = True,
    names: Names,
) -> Judgement:
    """Judge *state* as it is after ``study.absorb`` of the tick at *now*.

    Args:
        state: Its soak, its suspension and what was decided last are changed in place.
        log: What the state was made from; read when a decision is due.
        settings: Those that the rollout started with.
        now: The tick's instant.
        can_pull: Whether the signed policy allows it, and a signed replacement exists.
        can_hold: Whether a hold could say where to read more; else one is only proposed.
        names: What the record and its sentence call things.
    """
    case = _Case(
        state=state, log=log, settings=settings, now=now, can_pull=can_pull, can_hold=can_hold
    )
    _note_most(state)
    if state.paused and state.decided.startswith((f"{Verdict.PAUSE}/", f"{Line.HISTORY}/")):
        # Carried out. Should a person resume, the same evidence pauses again.
        state.decided = ""
    found = _find(case)
    decision = _decision(state, found)
    record = {}
    if decision and decision != state.decided:
        state.decided = decision
        record = describe(state, log, settings, now, found, names)
    return Judgement(
        verdict=found.verdict,
        no_verdict=found.no_verdict,
        cause=found.cause,
        hold=found.hold,
        carry_out=bool(record) and _may(settings, found),
        waits_for=_waits_for(state, found),
        record=record,
    )


def _find(case: _Case) -> Finding:
    state = case.state
    # Forgotten unless there is a verdict again: what lies before a gap was not watched.
    judged_at, state.stage.judged_at = state.stage.judged_at, None
    against = _against(state, case.settings)
    if state.suspended or state.lag_seconds:
        # A pause is cheap; whoever can make contacts fail must not be able to disarm it.
        stop = _stop(case) or (None if state.paused else _pause(case, against))
        return stop or Finding(verdict=Verdict.SUSPEND, is_old=True)
    unequal = unequal_rule(state)
    if _is_mismatched(state) or unequal is not None:
        state.suspended = True
        state.unequal = "" if _is_mismatched(state) else str(unequal)
        return Finding(verdict=Verdict.SUSPEND)
    if state.paused:
        return _pull(case, against) or Finding(verdict=Verdict.CONTINUE, is_old=True)
    return _harm(case, against) or _stop(case) or _progress(case, against, judged_at)


def _is_mismatched(state: State) -> bool:
    """Whether entrants do not fall into the arms by the design's share."""
    srm = state.stage.srm
    # An e-value is at most its largest term, see ``weighing.reaches``.
    return bool(srm) and max(srm) >= LOG_SUSPEND and log_e_srm(srm) >= LOG_SUSPEND


def _against(state: State, settings: Settings) -> list[Against]:
    """Return the metrics that reach their limit, the one with most evidence first."""
    epoch = state.epoch
    found = []
    for metric in weighted_metrics(state, settings):
        if metric.advisory:
            continue
        needed = metric.needed(settings.alpha)
        platforms = platforms_of(epoch, metric, state.held)
        if (
            platforms
            and reaches(epoch, metric, platforms, needed)
            and _spare_installs(state, metric, platforms) > 0
        ):
            log_e = log_e_of(metric.kind, total(epoch, metric, platforms))
            found.append(Against(metric, log_e, needed))
    found.sort(key=lambda each: each.needed - each.log_e)
    return found


def _spare_installs(state: State, metric: Weighted, platforms: Sequence[str]) -> float:
    """Return how many installs fewer, and one more, would make a new signature none; else many.

    Each install has a signature's first event once, so events are installs.
    """
    if not metric.metric.startswith(SIGNATURE_PREFIX):
        return inf
    bad, _ = counts(state.epoch, metric.metric, platforms)
    return bad.total - FEWEST_WITH_SIGNATURE + 1


def _harm(case: _Case, against: Sequence[Against]) -> Finding | None:
    """Return the pull, hold or pause that *against* asks for."""
    standing_up = [each for each in against if _tamper(case, each).margin > case.budget]
    if not standing_up:
        return None
    carriers = {carried_by(case.state, each.metric, case.settings) for each in standing_up}
    # Where something else speaks against the rest too, holding one platform is not enough.
    hold = carriers.pop() if len(carriers) == 1 else None
    if hold is not None and case.can_hold and May.HOLD in case.settings.automatic:
        return _finding(case, Verdict.CONTINUE, standing_up[0], hold=hold)
    return _pull(case, standing_up) or _finding(case, Verdict.PAUSE, standing_up[0], hold=hold)


def _pause(case: _Case, against: Sequence[Against]) -> Finding | None:
    standing_up = [each for each in against if _tamper(case, each).margin > case.budget]
    return _finding(case, Verdict.PAUSE, standing_up[0]) if standing_up else None


def _pull(case: _Case, against: Sequence[Against]) -> Finding | None:
    """Return a pull if any metric fulfils all that it takes; cheap questions come first."""
    settings = case.settings
    share = share_of(case.state.stage)
    if not case.can_pull or May.PULL not in settings.automatic or not 0 < share < 1:
        return None
    if case.state.epoch.struck:
        # Somebody has reason to disbelieve what was counted: the rest is for people to judge.
        return None
    for each in against:
        if (
            each.metric.metric in _PULLS
            and each.log_e >= each.needed + log(settings.pull_log_factor)
            and _is_large(case, each.metric)
        ):
            tamper = _tamper(case, each)
            if (
                tamper.margin > case.budget
                and tamper.margin >= settings.pull_margin
                and min(tamper.without_one, tamper.without_few) >= each.needed
            ):
                return _finding(case, Verdict.PULL, each)
    return None


def _is_large(case: _Case, metric: Weighted) -> bool:
    """Whether the harm is large, and not only certain."""
    epoch = case.state.epoch
    vector = total(epoch, metric, platforms_of(epoch, metric, case.state.held))[0]
    if metric.kind is Kind.SILENCE:
        return best_share(vector) >= _PULL_SHARE
    return interval_of(metric.kind, vector)[0] >= case.settings.pull_lower_ratio


def _tamper(case: _Case, against: Against) -> Tamper:
    """Return how well evidence stands up to forgery; the log is read once for each e-value.

    While a rollout stays paused nothing may change for days; then this is asked at every tick.
    """
    state, metric = case.state, against.metric
    known = state.tamper.get(metric.metric)
    if known is None or known[0] != against.log_e:
        entries = logged(case.log, state.epoch.number, metric, state.held)
        platforms = platforms_of(state.epoch, metric, state.held)
        vectors = total(state.epoch, metric, platforms)
        one = few = against.log_e
        if metric.metric in _PULLS:
            one, few = (without_networks(metric, vectors, entries, n) for n in (1, FEW_NETWORKS))
        false = min(
            margin(metric, vectors, entries, against.needed),
            _spare_installs(state, metric, platforms),
        )
        known = state.tamper[str(metric.metric)] = [against.log_e, float(false), one, few]
    return Tamper(int(known[1]), known[2], known[3])


def _finding(
    case: _Case, verdict: Verdict, against: Against, *, hold: str | None = None
) -> Finding:
    return Finding(verdict=verdict, against=against, tamper=_tamper(case, against), hold=hold)


def _stop(case: _Case) -> Finding | None:
    """Return the pause of a stop line; while it is paused there is nothing to stop."""
    if case.state.paused:
        return None
    line = reached(case.state, case.settings, case.budget)
    return None if line is None else Finding(verdict=Verdict.PAUSE, line=line)


def _progress(case: _Case, against: Sequence[Against], judged_at: float | None) -> Finding:
    """Return what there is without harm: no verdict, a promotion, or neither."""
    lacking = missing(case.state, case.settings, case.now)
    if lacking is not None:
        return Finding(no_verdict=lacking)
    _soak(case.state, judged_at, case.now)
    if is_used_up(case.state, case.settings, case.now):
        # It was watched all the same, and will be: what is missing is only enough of it.
        return Finding(no_verdict=NoVerdict.NOTHING_TO_COME)
    found = standing(
        case.state, case.settings, case.now, [str(each.metric.metric) for each in against]
    )
    verdict = Verdict.CONTINUE if found.waits_for else Verdict.PROMOTE
    return Finding(verdict=verdict, standing=found)


def _waits_for(state: State, found: Finding) -> tuple[Wait, ...]:
    if found.standing is not None:
        return found.standing.waits_for
    if state.paused:
        return (_PAUSED,)
    return (_LATE,) if found.verdict is Verdict.SUSPEND and not state.suspended else ()


def _decision(state: State, found: Finding) -> str:
    """Return what tells a decision from all others; empty if *found* is none."""
    if found.verdict is None or found.is_old:
        return ""
    if found.verdict is Verdict.CONTINUE:
        return f"hold/{found.hold}" if found.hold else ""
    if found.line is not None and found.line.line is Line.HISTORY:
        # Where it only advises, it must not pass for the pause that may follow.
        return f"{Line.HISTORY}/{state.epoch.number}"
    number = state.stage.number if found.verdict is Verdict.PROMOTE else state.epoch.number
    return f"{found.verdict}/{number}"


def _may(settings: Settings, found: Finding) -> bool:
    """Whether the server carries the decision out by itself; gates and pulls asked before."""
    if found.line is not None and found.line.line is Line.HISTORY and not settings.history_pauses:
        return False
    return found.verdict is not Verdict.PAUSE or May.PAUSE in settings.automatic


def _note_most(state: State) -> None:
    most, entered = state.epoch.most, state.stage.entered
    most.candidate = max(most.candidate, entered.candidate)
    most.control = max(most.control, entered.control)


def _soak(state: State, judged_at: float | None, now: float) -> None:
    """Count the time since the last tick as watched, if there was a verdict then as there is now.

    It is counted up to the last contact only: a dead intake shows nothing.
    """
    stage = state.stage
    if judged_at is None:
        stage.judged_at = now
        return
    heard_at = now if state.last_contact_at is None else min(now, state.last_contact_at)
    stage.soaked_seconds += max(0.0, heard_at - judged_at)
    stage.judged_at = max(judged_at, heard_at)
