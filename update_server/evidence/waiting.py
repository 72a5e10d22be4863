"""Waiting for outcomes: how long, not counting our outages, and what was heard meanwhile.

An outcome of an install is known when its window has passed. Time in which the server received
nothing from anybody does not pass: windows are longer by it, in both arms alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from update_server.evidence.facts import Healthy, Outage
from update_server.evidence.register import Member
from update_server.evidence.settings import Settings
from update_server.evidence.state import Stage
from update_server.evidence.tick import Tick

# The bits of Member.awaits.
DAY_OUTCOME = 1
"""Crashed, healthy, scores: known ``outcome_seconds`` after entry."""
RETURN_OUTCOME = 2
"""Came back, or is silent: known one window after entry."""

# Restarting to apply gives candidates early contacts that say nothing of living on.
_TOO_SOON = 0.25
_LARGEST_OUTAGE = 0.25


def await_outcomes(member: Member, settings: Settings) -> None:
    """Let a member that has just entered await its outcomes."""
    member.awaits = DAY_OUTCOME
    window = settings.outcome_seconds
    if member.gap_stratum >= 0:
        member.awaits |= RETURN_OUTCOME
        window = min(window, member.window_seconds)
    member.due_at = member.since + window


def note_outage(stage: Stage, fact: Outage) -> None:
    """Remember an outage. Overlapping ones count once."""
    last_ended_at = stage.outages[-1][1] if stage.outages else stage.opened_at
    began_at = max(fact.began_at, last_ended_at)
    if began_at < fact.at:
        stage.outages.append((began_at, fact.at))


def passed(outages: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """Return the seconds from *since* to *until* without the outages between them."""
    lost = sum(max(0.0, min(until, end) - max(since, began)) for began, end in outages)
    return until - since - lost


def window_end(outages: Sequence[tuple[float, float]], since: float, seconds: float) -> float:
    """Return when *seconds* without outage have passed since *since*."""
    end = since + seconds
    for began_at, ended_at in outages:
        if began_at < end and ended_at > since:
            end += ended_at - max(began_at, since)
    return end


def tells_something(since: float, end: float, seconds: float) -> bool:
    """Whether a window of *seconds* that lasted until *end* was not disturbed too much."""
    return end - since - seconds <= _LARGEST_OUTAGE * seconds


def note_contact(tick: Tick, install: bytes, member: Member, at: float, *, healthy: bool) -> None:
    """Take a sign of life of a member of the stage, received at *at* after it entered.

    Args:
        tick: The tick.
        install: Whose.
        member: Its member.
        at: When it was received.
        healthy: Whether it shows health too: an agent that checks in lives.
    """
    waited = passed(tick.stage.outages, member.since, at)
    if waited <= 0:
        return
    awaits = member.awaits
    in_time = waited <= tick.settings.outcome_seconds
    if healthy and in_time and awaits & DAY_OUTCOME and not member.healthy:
        member.healthy = True
        tick.changed[install] = member
    window = member.window_seconds
    is_return = _TOO_SOON * window < waited <= window
    if is_return and awaits & RETURN_OUTCOME and not member.returned:
        member.returned = True
        tick.changed[install] = member


def note_health(tick: Tick, fact: Healthy) -> None:
    """Take a healthy launch at the time it happened, or at receipt if it is dated later."""
    member = tick.counted(fact.install)
    if member is None or member.healthy or not member.awaits & DAY_OUTCOME:
        return
    happened_at = min(fact.happened_at, fact.at)
    waited = passed(tick.stage.outages, member.since, happened_at)
    if happened_at > member.since and waited <= tick.settings.outcome_seconds:
        member.healthy = True
        tick.changed[fact.install] = member
