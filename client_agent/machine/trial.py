"""The new version runs, and has to prove itself."""

from __future__ import annotations

from dataclasses import replace

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.moves import Outcome, fell_back, ignored, trigger_of, worse
from client_agent.machine.states import Idle, Trial
from client_agent.machine.values import NO_TROUBLE, ConfirmRule, Fault, Phase, When

NOT_HEALTHY = Fault(category="launch", code="not_healthy")


def on_trial(state: Trial, event: on.Event) -> Outcome:
    """Gather what confirms the trial; nothing else is taken up before it is over."""
    match event:
        case on.AppHealthy() if not state.healthy_called:
            noted = do.MarkHealthy(launch_id=state.launch_id)
            return _judge(replace(state, healthy_called=True), (noted,))
        case on.UptimeReached() if not state.uptime_reached:
            return _judge(replace(state, uptime_reached=True))
        case on.CommandPassed() if state.confirm is ConfirmRule.COMMAND and not state.confirming:
            return replace(state, confirming=True), (confirm(state),)
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
            return fell_back()
        case _:
            return _trial_checks(state, event)


def _trial_checks(state: Trial, event: on.Event) -> Outcome:
    """Look, but take up nothing else before the trial is over: one goal at a time."""
    if state.checking is None:
        trigger = trigger_of(event)
        if trigger is None:
            return ignored(state, event)
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
            trouble, told = worse(state.trouble, event)
            return replace(looked, trouble=trouble), told
        case on.LockLost():
            return looked, (do.Schedule(when=When.SUCCESS),)
        case _:
            return ignored(state, event)


def _judge(state: Trial, first: tuple[do.Effect, ...] = ()) -> tuple[Trial, tuple[do.Effect, ...]]:
    """Confirm the trial if it has earned it."""
    if not confirms(state):
        return state, first
    return replace(state, confirming=True), (*first, confirm(state))


def confirms(state: Trial, *, at_quit: bool = False) -> bool:
    """Return whether the trial has earned it."""
    if state.confirming:
        return False
    match state.confirm:
        case ConfirmRule.APP:
            long_enough = state.uptime_reached or (at_quit and state.healthy_quits > 0)
            return state.healthy_called and long_enough
        case ConfirmRule.UPTIME:
            return state.uptime_reached
    return False  # the health command has an event of its own


def confirm(state: Trial) -> do.Confirm:
    """Return what makes the trial the current version."""
    return do.Confirm(edition=state.edition, launch_id=state.launch_id)
