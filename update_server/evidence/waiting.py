"""Waiting for outcomes: how long, not counting our outages, and what was heard meanwhile.

An outcome of an install is known when its window has passed. Time in which the server received
nothing from anybody does not pass: windows are longer by it, in both arms alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from update_server.evidence.facts import Outage
from update_server.evidence.register import Member
from update_server.evidence.settings import Settings
from update_server.evidence.state import Stage
from update_server.evidence.tick import Tick

# The bits of Member.awaits.
DAY_OUTCOME = 1
"""Crashed, healthy, scores: known ``outcome_seconds`` after entry."""
RETURN_OUTCOME = 2
"""Came back, or is silent: known one window after entry, and again after each return."""

# Restarting to apply gives candidates early contacts that say nothing of living on.
TOO_SOON = 0.25
"""The part of a window in which a sign of life is no return."""
_LARGEST_OUTAGE = 0.25


def await_outcomes(member: Member, settings: Settings) -> None:
    """Let a member that has just entered await its outcomes."""
    member.awaits = DAY_OUTCOME
    member.window_from = member.since
    member.came_back = False
    window = settings.outcome_seconds
    if member.gap_stratum >= 0:
        member.awaits |= RETURN_OUTCOME
        window = min(window, member.window_seconds)
    member.due_at = member.since + window


def open_outcomes(member: Member) -> int:
    """Return how many of a member's first outcomes are open; later windows do not count."""
    has_return = bool(member.awaits & RETURN_OUTCOME) and not member.came_back
    return bool(member.awaits & DAY_OUTCOME) + has_return


def await_return(member: Member, since: float) -> None:
    """Let a member that is not silent await its next return, in a window that begins at *since*."""
    member.awaits |= RETURN_OUTCOME
    member.window_from = since
    member.came_back = member.came_back or member.returned
    member.returned = False
    end = since + member.window_seconds
    member.due_at = end if member.due_at is None else min(end, member.due_at)


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


def note_contact(tick: Tick, install: bytes, member: Member, at: float) -> None:
    """Take a sign of life of a member of the stage, received at *at* after it entered.

    It is a return, and a healthy launch, where it is not too soon for one. Both arms send such
    signs; what only an update makes an install say (``update``/``healthy``) is none.
    """
    awaits, outcome = member.awaits, tick.settings.outcome_seconds
    waited = passed(tick.stage.outages, member.since, at)
    is_launch = TOO_SOON * outcome < waited <= outcome
    if is_launch and awaits & DAY_OUTCOME and not member.healthy:
        member.healthy = True
        tick.changed[install] = member
    window = member.window_seconds
    waited = passed(tick.stage.outages, member.window_from, at)
    is_return = TOO_SOON * window < waited <= window
    if is_return and awaits & RETURN_OUTCOME and not member.returned:
        member.returned = True
        tick.changed[install] = member
