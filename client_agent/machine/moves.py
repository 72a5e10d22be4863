"""Moves that several states make alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.states import Downloading, Idle, Passive, State
from client_agent.machine.values import Edition, PassiveReason, Phase, Trigger, Trouble, When

Outcome = tuple[State, tuple[do.Effect, ...]]

REPORT_AGAIN_AFTER = timedelta(hours=24)

# A stale edge of a CDN hands out an older timestamp now and then. That is no news rather than
# an attack, so it is reported only when it lasts (docs/trust.md, 6).
QUIET_CODES = frozenset({"timestamp_rollback"})


def ignored(state: State, event: on.Event) -> Outcome:
    """Count an event that means nothing in *state*."""
    return state, (do.Ignored(state=type(state).__name__, event=type(event).__name__),)


def trigger_of(event: on.Event) -> Trigger | None:
    """Return what *event* asks for a check-in for, if it does."""
    match event:
        case on.TimerFired():
            return Trigger.TIMER
        case on.CheckRequested():
            return Trigger.MANUAL
        case on.Woke():
            return Trigger.WAKE
        case _:
            return None


def follow(event: on.Decided, offered: Edition | None = None) -> Outcome:
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


def lost() -> Outcome:
    """Look on for this visit: another agent is at work."""
    # Most others are done within seconds, and asking for the lock again costs no server anything.
    return Passive(reason=PassiveReason.BUSY), (do.Schedule(when=When.FAILURE, failures=1),)


def fell_back() -> Outcome:
    """Tell how the trial ended; what ran before it runs again."""
    ended = (do.ReportMarkers(), do.ReportLastResult())
    return Idle(), (*ended, do.Schedule(when=When.SOON))


def worse(trouble: Trouble, event: on.CheckFailed) -> tuple[Trouble, tuple[do.Effect, ...]]:
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
