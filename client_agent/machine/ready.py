"""What is complete: staged, and armed for the next start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.moves import Outcome, fell_back, follow, ignored, lost, trigger_of, worse
from client_agent.machine.states import Armed, Idle, Staged
from client_agent.machine.values import NO_TROUBLE, Goal, Phase, Trigger, When
from rollout.model import Reason

EXTEND_ARMING_BY = timedelta(hours=1)
"""An arming is renewed, which hashes the whole tree again, only to gain at least this much."""


def staged(state: Staged, event: on.Event) -> Outcome:
    """Wait for leave, and then ask the server once more before anything is armed."""
    if state.checking is not None:
        return _staged_checking(state, event)
    trigger = trigger_of(event)
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
    return ignored(state, event)


def _staged_checking(state: Staged, event: on.Event) -> Outcome:
    match event:
        case on.Decided(goal=goal) if goal is not None and state.edition.is_same(goal.edition):
            if state.checking is Trigger.PRE_APPLY:
                return _arm(goal, event)
            stays = replace(state, checking=None, trouble=NO_TROUBLE)
            recorded = do.RecordReason(assignment=event.assignment)
            return stays, (recorded, do.AskPolicy(edition=state.edition))
        case on.Decided():
            return follow(event)
        case on.CheckFailed():
            trouble, told = worse(state.trouble, event)
            return replace(state, checking=None, trouble=trouble), told
        case on.LockLost():
            return lost()
        case _:
            return ignored(state, event)


def armed(state: Armed, event: on.Event) -> Outcome:
    """Wait for the next start; every check-in may renew the arming or end it."""
    if state.checking is not None:
        return _armed_checking(state, event)
    trigger = trigger_of(event)
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
            return fell_back()
        case _:
            return ignored(state, event)


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
            return follow(event)
        case on.CheckFailed():
            trouble, told = worse(state.trouble, event)
            return replace(state, checking=None, trouble=trouble), told
        case on.LockLost():
            return lost()
        case _:
            return ignored(state, event)


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
