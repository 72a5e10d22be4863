"""``step(state, event) -> (state, effects)``: the table of docs/agent.md, 2.

``client_agent.loop`` performs the effects in order and feeds their answers back; an answer that
is a failure ends its step.

Two rules hold whatever happens, and the tests walk every path to prove them: nothing is armed
but by a decision that was asked for as a pre-apply check (or that renews an arming), and nothing
is on trial that the launcher did not start, which starts on trial only what is armed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.states import (
    Armed,
    Building,
    Checking,
    Downloading,
    Idle,
    Passive,
    Staged,
    State,
    Trial,
)
from client_agent.machine.values import (
    NO_TROUBLE,
    ConfirmRule,
    Edition,
    Fault,
    Goal,
    PassiveReason,
    Phase,
    Plan,
    Trigger,
    Trouble,
    When,
)
from rollout.model import Reason

Outcome = tuple[State, tuple[do.Effect, ...]]

REPORT_AGAIN_AFTER = timedelta(hours=24)

EXTEND_ARMING_BY = timedelta(hours=1)
"""An arming is renewed, which hashes the whole tree again, only to gain at least this much."""

# A stale edge of a CDN hands out an older timestamp now and then. That is no news rather than
# an attack, so it is reported only when it lasts (docs/trust.md, 6).
QUIET_CODES = frozenset({"timestamp_rollback"})

DELTAS_FAULTS = frozenset({"delta", "payload", "agent"})
WRONG_BYTES = frozenset({"hash_mismatch", "length_mismatch"})

NOT_HEALTHY = Fault(category="launch", code="not_healthy")


def step(state: State, event: on.Event) -> Outcome:
    """Return the state after *event*, and what the agent is to do, in order."""
    match event:
        case on.Started():
            return _started(event)
        case on.Quit():
            return _quit(state)
        case on.NotWritable():
            return _not_writable(state, event)
        case on.Launched():
            return _launched(state, event)
    match state:
        case Idle():
            return _idle(state, event)
        case Checking():
            return _checking(state, event)
        case Downloading():
            return _downloading(state, event)
        case Building():
            return _building(state, event)
        case Staged():
            return _staged(state, event)
        case Armed():
            return _armed(state, event)
        case Trial():
            return _trial(state, event)
    return _passive(state, event)


# --- any state ---------------------------------------------------------------------------


def _started(event: on.Started) -> Outcome:
    past = (do.ReportMarkers(), do.ReportLastResult())
    if event.trial is not None:
        launched = do.Report(phase=Phase.LAUNCHED, edition=event.trial.edition)
        return event.trial, (*past, launched, do.Schedule(when=When.SOON))
    if event.armed is not None:
        told = do.NotifyApp(edition=event.armed.edition, armed=True)
        return event.armed, (*past, do.Schedule(when=When.START), told)
    # Who waits before an empty folder sees nothing happen, and no fleet begins at the same time.
    first = When.NOW if event.empty else When.START
    when = When.SOON if event.fell_back else first
    return Idle(), (*past, do.Schedule(when=when))


def _quit(state: State) -> Outcome:
    last = (do.SealMarker(), do.FlushSpool())
    # A program that runs for seconds never reaches the uptime: two healthy starts that ended
    # well stand in for it.
    if isinstance(state, Trial) and _confirms(state, at_quit=True):
        return replace(state, confirming=True), (_confirm(state), *last)
    return state, last


def _not_writable(state: State, event: on.NotWritable) -> Outcome:
    if isinstance(state, Passive) and state.reason is event.reason:
        return _ignored(state, event)
    told = do.Report(phase=Phase.FAILED, edition=None, fault=event.fault)
    return Passive(reason=event.reason), (told, do.Schedule(when=When.SUCCESS))


def _launched(state: State, event: on.Launched) -> Outcome:
    """Follow a trial that a launcher beside us began, from wherever we rest."""
    busy = isinstance(state, Passive) and state.reason is PassiveReason.BUSY
    if not busy and not isinstance(state, Idle | Staged | Armed | Trial):
        return _ignored(state, event)
    trial = Trial(edition=event.edition, launch_id=event.launch_id, confirm=event.confirm)
    if isinstance(state, Trial) and state.edition.is_same(event.edition):  # once more
        return trial, (do.ReportMarkers(),)
    return trial, (do.Report(phase=Phase.LAUNCHED, edition=event.edition),)


def _ignored(state: State, event: on.Event) -> Outcome:
    return state, (do.Ignored(state=type(state).__name__, event=type(event).__name__),)


# --- one function per state --------------------------------------------------------------


def _idle(state: Idle, event: on.Event) -> Outcome:
    trigger = _trigger(event)
    if trigger is None:
        return _ignored(state, event)
    checking = Checking(trigger=trigger, trouble=state.trouble, offered=state.offered)
    return checking, (do.Check(trigger=trigger),)


def _checking(state: Checking, event: on.Event) -> Outcome:
    match event:
        case on.Decided():
            return _follow(event, state.offered)
        case on.CheckFailed():
            trouble, told = _worse(state.trouble, event)
            return Idle(trouble=trouble, offered=state.offered), told
        case on.LockLost():
            return _lost()
        case _:
            return _ignored(state, event)


def _downloading(state: Downloading, event: on.Event) -> Outcome:
    goal, plan = state.goal, state.plan
    if plan is None:
        return _choosing(goal, event)
    if not state.allowed:
        return _asking(state, plan, event)
    match event:
        case on.Downloaded():
            # How a delta failed is told with the bytes that make up for it: nothing has failed yet.
            told = do.Report(phase=Phase.DOWNLOADED, edition=goal.edition, fault=plan.instead_of)
            return Building(goal=goal, plan=plan), (told, do.Build(goal=goal, plan=plan))
        case on.DownloadFailed():
            return _in_full_or_not_at_all(goal, plan, event.fault)
        case _:
            return _ignored(state, event)


def _choosing(goal: Goal, event: on.Event) -> Outcome:
    match event:
        case on.AlreadyBuilt():
            staged = do.Report(phase=Phase.STAGED, edition=goal.edition)
            return Staged(edition=goal.edition), (staged, do.AskPolicy(edition=goal.edition))
        case on.Planned(plan=plan):
            return Downloading(goal=goal, plan=plan), (do.AskDownload(goal=goal, plan=plan),)
        case on.DownloadFailed():
            return _give_up(goal, event.fault)
        case _:
            return _ignored(Downloading(goal=goal), event)


def _asking(state: Downloading, plan: Plan, event: on.Event) -> Outcome:
    goal = state.goal
    match event:
        case on.Allowed():
            return replace(state, allowed=True), (do.Fetch(goal=goal, plan=plan),)
        case on.Deferred():
            # The next check-in decides anew: what was offered may be pulled by then.
            later = do.Schedule(when=When.SUCCESS, by=event.until)
            return Idle(offered=goal.edition), (later,)
        case on.DownloadFailed():
            return _give_up(goal, event.fault)
        case _:
            return _ignored(state, event)


def _building(state: Building, event: on.Event) -> Outcome:
    goal = state.goal
    match event:
        case on.Built():
            return Staged(edition=goal.edition), (
                do.Report(phase=Phase.VERIFIED, edition=goal.edition),
                do.Report(phase=Phase.STAGED, edition=goal.edition),
                do.DropParts(goal=goal),
                do.AskPolicy(edition=goal.edition),
            )
        case on.BuildFailed():
            return _in_full_or_not_at_all(goal, state.plan, event.fault)
        case _:
            return _ignored(state, event)


def _staged(state: Staged, event: on.Event) -> Outcome:
    if state.checking is not None:
        return _staged_checking(state, event)
    trigger = _trigger(event)
    if trigger is None and isinstance(event, on.Allowed):
        trigger = Trigger.PRE_APPLY
    if trigger is not None:
        return replace(state, checking=trigger), (do.Check(trigger=trigger),)
    if isinstance(event, on.Deferred):
        told = () if state.deferrals else (do.NotifyApp(edition=state.edition, armed=False),)
        later = do.Schedule(when=When.CLOSE, by=event.until)
        return replace(state, deferrals=state.deferrals + 1), (later, *told)
    if isinstance(event, on.Postponed):
        return state, (do.AskPolicy(edition=state.edition),)
    return _ignored(state, event)


def _staged_checking(state: Staged, event: on.Event) -> Outcome:
    match event:
        case on.Decided(goal=goal) if goal is not None and state.edition.is_same(goal.edition):
            if state.checking is Trigger.PRE_APPLY:
                return _arm(goal, event)
            stays = replace(state, checking=None, trouble=NO_TROUBLE)
            recorded = do.RecordReason(assignment=event.assignment)
            return stays, (recorded, do.AskPolicy(edition=state.edition))
        case on.Decided():
            return _follow(event)
        case on.CheckFailed():
            trouble, told = _worse(state.trouble, event)
            return replace(state, checking=None, trouble=trouble), told
        case on.LockLost():
            return _lost()
        case _:
            return _ignored(state, event)


def _armed(state: Armed, event: on.Event) -> Outcome:
    if state.checking is not None:
        return _armed_checking(state, event)
    trigger = _trigger(event)
    if trigger is not None:
        return replace(state, checking=trigger), (do.Check(trigger=trigger),)
    match event:
        case on.ArmFailed():
            return Idle(), (
                do.Disarm(),
                do.Report(phase=Phase.FAILED, edition=state.edition, fault=event.fault),
                do.RememberFailure(edition=state.edition, fault=event.fault),
                do.Schedule(when=When.SUCCESS),
            )
        case on.ArmingExpired() | on.Postponed():
            asked = do.AskPolicy(edition=state.edition)
            return Staged(edition=state.edition), (do.Disarm(), asked)
        case on.FellBack():  # the launcher would not even try it, or could not
            return _fell_back()
        case _:
            return _ignored(state, event)


def _armed_checking(state: Armed, event: on.Event) -> Outcome:
    match event:
        case on.Decided(goal=goal) if goal is not None and state.edition.is_same(goal.edition):
            later = do.Schedule(when=When.CLOSE)
            recorded = do.RecordReason(assignment=event.assignment)
            now = replace(state, checking=None, trouble=NO_TROUBLE, decided_at=event.at)
            if event.not_after - state.not_after < EXTEND_ARMING_BY:
                return now, (recorded, later)
            # Every check-in made while armed is a pre-apply check: it may renew the arming.
            renewed = do.Arm(goal=goal, not_after=event.not_after)
            return replace(now, not_after=event.not_after), (recorded, renewed, later)
        case on.Decided():
            return _follow(event)
        case on.CheckFailed():
            trouble, told = _worse(state.trouble, event)
            return replace(state, checking=None, trouble=trouble), told
        case on.LockLost():
            return _lost()
        case _:
            return _ignored(state, event)


def _trial(state: Trial, event: on.Event) -> Outcome:
    match event:
        case on.AppHealthy() if not state.healthy_called:
            noted = do.MarkHealthy(launch_id=state.launch_id)
            return _judge(replace(state, healthy_called=True), (noted,))
        case on.UptimeReached() if not state.uptime_reached:
            return _judge(replace(state, uptime_reached=True))
        case on.CommandPassed() if state.confirm is ConfirmRule.COMMAND and not state.confirming:
            return replace(state, confirming=True), (_confirm(state),)
        case on.Confirmed() if state.confirming:
            when = When.SOON if state.passed_over else When.SUCCESS
            return Idle(trouble=state.trouble), (
                do.Report(phase=Phase.HEALTHY, edition=state.edition),
                do.ReportMarkers(),
                do.CollectGarbage(),
                do.Schedule(when=when),
            )
        case on.ConfirmFailed() if state.confirming:
            told = do.Report(phase=Phase.FAILED, edition=state.edition, fault=event.fault)
            return replace(state, confirming=False), (told,)
        case on.HealthDeadline() if not state.late:
            # The try stays used up; the library never ends the app it lives in.
            told = do.Report(phase=Phase.FAILED, edition=state.edition, fault=NOT_HEALTHY)
            return replace(state, late=True), (told,)
        case on.FellBack():
            return _fell_back()
        case _:
            return _trial_checks(state, event)


def _trial_checks(state: Trial, event: on.Event) -> Outcome:
    """Look, but take up nothing else before the trial is over: one goal at a time."""
    if state.checking is None:
        trigger = _trigger(event)
        if trigger is None:
            return _ignored(state, event)
        judged, first = _judge(state)
        return replace(judged, checking=trigger), (*first, do.Check(trigger=trigger))
    looked = replace(state, checking=None)
    match event:
        case on.Decided():
            other = event.goal is not None and not state.edition.is_same(event.goal.edition)
            recorded = do.RecordReason(assignment=event.assignment)
            later = do.Schedule(when=When.SUCCESS)
            return replace(looked, passed_over=other, trouble=NO_TROUBLE), (recorded, later)
        case on.CheckFailed():
            trouble, told = _worse(state.trouble, event)
            return replace(looked, trouble=trouble), told
        case on.LockLost():
            return looked, (do.Schedule(when=When.SUCCESS),)
        case _:
            return _ignored(state, event)


def _passive(state: Passive, event: on.Event) -> Outcome:
    trigger = _trigger(event)
    if trigger is not None:
        if state.reason is PassiveReason.BUSY:  # for that visit only
            return Checking(trigger=trigger, trouble=state.trouble), (do.Check(trigger=trigger),)
        return state, (do.Look(trigger=trigger),)
    match event:
        case on.Decided():
            recorded = do.RecordReason(assignment=event.assignment)
            return replace(state, trouble=NO_TROUBLE), (recorded, do.Schedule(when=When.SUCCESS))
        case on.CheckFailed():
            trouble, told = _worse(state.trouble, event)
            return replace(state, trouble=trouble), told
        case _:
            return _ignored(state, event)


# --- parts of them -----------------------------------------------------------------------


def _trigger(event: on.Event) -> Trigger | None:
    match event:
        case on.TimerFired():
            return Trigger.TIMER
        case on.CheckRequested():
            return Trigger.MANUAL
        case on.Woke():
            return Trigger.WAKE
        case _:
            return None


def _follow(event: on.Decided, offered: Edition | None = None) -> Outcome:
    """Do what was decided, whatever was staged or armed before.

    *offered* waits for its download, and need not be told of again.
    """
    recorded = do.RecordReason(assignment=event.assignment)
    if event.goal is None:
        return Idle(), (recorded, do.Disarm(), do.Schedule(when=When.SUCCESS))
    told: tuple[do.Effect, ...] = ()
    if offered is None or not offered.is_same(event.goal.edition):
        told = (do.Report(phase=Phase.OFFERED, edition=event.goal.edition),)
    chosen = do.Choose(goal=event.goal)
    return Downloading(goal=event.goal), (recorded, do.Disarm(), *told, chosen)


def _arm(goal: Goal, event: on.Decided) -> Outcome:
    armed = Armed(edition=goal.edition, not_after=event.not_after, decided_at=event.at)
    urgent = event.assignment.reason is Reason.MUST_REACH
    return armed, (
        do.RecordReason(assignment=event.assignment),
        do.Arm(goal=goal, not_after=event.not_after),
        do.Report(phase=Phase.APPLIED, edition=goal.edition),
        do.Schedule(when=When.CLOSE),
        do.NotifyApp(edition=goal.edition, armed=True, urgent=urgent),
    )


def _in_full_or_not_at_all(goal: Goal, plan: Plan, fault: Fault) -> Outcome:
    """Take the full payload in the same run where a delta failed, whatever the fault was.

    A delta that cannot be had or used must never keep a version away.
    """
    if plan.delta is None:
        return _give_up(goal, fault)
    full = Plan(instead_of=fault)
    asked = do.AskDownload(goal=goal, plan=full)  # it was asked about fewer bytes
    if not _is_to_blame(fault):
        return Downloading(goal=goal, plan=full), (asked,)
    barred = do.BarDelta(goal=goal, delta=plan.delta, fault=fault)
    return Downloading(goal=goal, plan=full), (barred, asked)


def _is_to_blame(fault: Fault) -> bool:
    """Return whether *fault* is the delta's own. Networks and disks get better, it does not."""
    return fault.category in DELTAS_FAULTS or fault.code in WRONG_BYTES


def _give_up(goal: Goal, fault: Fault) -> Outcome:
    """End the run; the failure memory says when it may be tried again."""
    return Idle(), (
        do.Report(phase=Phase.FAILED, edition=goal.edition, fault=fault),
        do.RememberFailure(edition=goal.edition, fault=fault),
        do.Schedule(when=When.SUCCESS),
    )


def _fell_back() -> Outcome:
    ended = (do.ReportMarkers(), do.ReportLastResult())
    return Idle(), (*ended, do.Schedule(when=When.SOON))


def _lost() -> Outcome:
    # Most others are done within seconds, and asking for the lock again costs no server anything.
    return Passive(reason=PassiveReason.BUSY), (do.Schedule(when=When.FAILURE, failures=1),)


def _judge(state: Trial, first: tuple[do.Effect, ...] = ()) -> tuple[Trial, tuple[do.Effect, ...]]:
    """Confirm the trial if it has earned it."""
    if not _confirms(state):
        return state, first
    return replace(state, confirming=True), (*first, _confirm(state))


def _confirms(state: Trial, *, at_quit: bool = False) -> bool:
    if state.confirming:
        return False
    match state.confirm:
        case ConfirmRule.APP:
            long_enough = state.uptime_reached or (at_quit and state.healthy_quits > 0)
            return state.healthy_called and long_enough
        case ConfirmRule.UPTIME:
            return state.uptime_reached
    return False  # the health command has an event of its own


def _confirm(state: Trial) -> do.Confirm:
    return do.Confirm(edition=state.edition, launch_id=state.launch_id)


def _worse(trouble: Trouble, event: on.CheckFailed) -> tuple[Trouble, tuple[do.Effect, ...]]:
    """Count a failed check-in, and say so when the code is new or a day has passed."""
    failures = trouble.failures + 1
    code = event.fault.code
    if trouble.code != code or trouble.since is None:
        trouble = Trouble(code=code, since=event.at)
        told = code not in QUIET_CODES
    else:
        told = event.at - (trouble.reported_at or trouble.since) >= REPORT_AGAIN_AFTER
    trouble = replace(trouble, failures=failures)
    later = do.Schedule(
        when=When.FAILURE, failures=failures, retry_after_seconds=event.retry_after_seconds
    )
    if not told:
        return trouble, (later,)
    report = do.Report(phase=Phase.FAILED, edition=None, fault=event.fault)
    return replace(trouble, reported_at=event.at), (report, later)
