"""From a goal to its finished directory: a delta once, the payload once, and then a rest."""

from __future__ import annotations

from dataclasses import replace

from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.moves import Outcome, ignored
from client_agent.machine.states import Building, Downloading, Idle, Staged
from client_agent.machine.values import Fault, Goal, Phase, Plan, When

DELTAS_FAULTS = frozenset({"delta", "payload", "agent"})
WRONG_BYTES = frozenset({"hash_mismatch", "length_mismatch"})


def downloading(state: Downloading, event: on.Event) -> Outcome:
    """Choose a way, ask whether it may be taken, and bring its bytes."""
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
            return ignored(state, event)


def _choosing(goal: Goal, event: on.Event) -> Outcome:
    match event:
        case on.AlreadyBuilt():
            staged = do.Report(phase=Phase.STAGED, edition=goal.edition)
            return Staged(edition=goal.edition), (staged, do.AskPolicy(edition=goal.edition))
        case on.Planned(plan=plan):
            return Downloading(goal=goal, plan=plan), (do.AskDownload(goal=goal, plan=plan),)
        case on.DownloadFailed():
            return give_up(goal, event.fault)
        case _:
            return ignored(Downloading(goal=goal), event)


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
            return give_up(goal, event.fault)
        case _:
            return ignored(state, event)


def building(state: Building, event: on.Event) -> Outcome:
    """Make the directory of what was brought."""
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
            return ignored(state, event)


def _in_full_or_not_at_all(goal: Goal, plan: Plan, fault: Fault) -> Outcome:
    """Take the full payload in the same run where a delta failed, whatever the fault was.

    A delta that cannot be had or used must never keep a version away.
    """
    if plan.delta is None:
        return give_up(goal, fault)
    full = Plan(instead_of=fault)
    asked = do.AskDownload(goal=goal, plan=full)  # it was asked about fewer bytes
    if not _is_to_blame(fault):
        return Downloading(goal=goal, plan=full), (asked,)
    barred = do.BarDelta(goal=goal, delta=plan.delta, fault=fault)
    return Downloading(goal=goal, plan=full), (barred, asked)


def _is_to_blame(fault: Fault) -> bool:
    """Return whether *fault* is the delta's own. Networks and disks get better, it does not."""
    return fault.category in DELTAS_FAULTS or fault.code in WRONG_BYTES


def give_up(goal: Goal, fault: Fault) -> Outcome:
    """End the run; the failure memory says when it may be tried again."""
    return Idle(), (
        do.Report(phase=Phase.FAILED, edition=goal.edition, fault=fault),
        do.RememberFailure(edition=goal.edition, fault=fault),
        do.Schedule(when=When.SUCCESS),
    )
