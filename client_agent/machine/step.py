"""``step(state, event) -> (state, effects)``: the table of docs/agent.md, 2.

``client_agent.running.loop`` performs the effects in order and feeds their answers back; an answer
that is a failure ends its step.

Two rules hold whatever happens, and the tests walk every path to prove them: nothing is armed
but by a decision that was asked for as a pre-apply check (or that renews an arming), and nothing
is on trial that the launcher did not start, which starts on trial only what is armed.
"""

from __future__ import annotations

from dataclasses import replace

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.moves import Outcome, fell_back, follow, ignored, lost, trigger_of, worse
from client_agent.machine.ready import armed, staged
from client_agent.machine.run import building, downloading
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
from client_agent.machine.trial import confirm, confirms, on_trial
from client_agent.machine.values import NO_TROUBLE, PassiveReason, Phase, When


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
        case on.FellBack() if isinstance(state, Idle | Staged):
            # A check-in was quicker than the news of a launcher beside us.
            return state, fell_back()[1]
    match state:
        case Idle():
            return _idle(state, event)
        case Checking():
            return _checking(state, event)
        case Downloading():
            return downloading(state, event)
        case Building():
            return building(state, event)
        case Staged():
            return staged(state, event)
        case Armed():
            return armed(state, event)
        case Trial():
            return on_trial(state, event)
    return _passive(state, event)


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
    if isinstance(state, Trial) and confirms(state, at_quit=True):
        return replace(state, confirming=True), (confirm(state), *last)
    return state, last


def _not_writable(state: State, event: on.NotWritable) -> Outcome:
    if isinstance(state, Passive) and state.reason is event.reason:
        return ignored(state, event)
    told = do.Report(phase=Phase.FAILED, edition=None, fault=event.fault)
    return Passive(reason=event.reason), (told, do.Schedule(when=When.SUCCESS))


def _launched(state: State, event: on.Launched) -> Outcome:
    """Follow a trial that a launcher beside us began, from wherever we rest."""
    busy = isinstance(state, Passive) and state.reason is PassiveReason.BUSY
    if not busy and not isinstance(state, Idle | Staged | Armed | Trial):
        return ignored(state, event)
    trial = Trial(edition=event.edition, launch_id=event.launch_id, confirm=event.confirm)
    if isinstance(state, Trial) and state.edition.is_same(event.edition):  # once more
        return trial, (do.ReportMarkers(),)
    return trial, (do.Report(phase=Phase.LAUNCHED, edition=event.edition),)


def _idle(state: Idle, event: on.Event) -> Outcome:
    trigger = trigger_of(event)
    if trigger is None:
        return ignored(state, event)
    checking = Checking(trigger=trigger, trouble=state.trouble, offered=state.offered)
    return checking, (do.Check(trigger=trigger),)


def _checking(state: Checking, event: on.Event) -> Outcome:
    match event:
        case on.Decided():
            return follow(event, state.offered)
        case on.CheckFailed():
            trouble, told = worse(state.trouble, event)
            return Idle(trouble=trouble, offered=state.offered), told
        case on.LockLost():
            return lost()
        case _:
            return ignored(state, event)


def _passive(state: Passive, event: on.Event) -> Outcome:
    trigger = trigger_of(event)
    if trigger is not None:
        if state.reason is PassiveReason.BUSY:  # for that visit only
            return Checking(trigger=trigger, trouble=state.trouble), (do.Check(trigger=trigger),)
        return state, (do.Look(trigger=trigger),)
    match event:
        case on.Decided():
            recorded = do.RecordReason(assignment=event.assignment)
            return replace(state, trouble=NO_TROUBLE), (recorded, do.Schedule(when=When.SUCCESS))
        case on.CheckFailed():
            trouble, told = worse(state.trouble, event)
            return replace(state, trouble=trouble), told
        case _:
            return ignored(state, event)
