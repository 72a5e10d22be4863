"""Where a tick of the judge ends: a prefix of the pending facts, and its instant.

It depends on the facts and the state only, so that whoever takes over goes on with the same
ticks. A tick ends at the first of:

1. right before and right after a fact that changes the stage;
2. right after the check-in that makes a cohort's worth of installs;
3. after 5,000 facts;
4. at a boundary of the 600 s grid that began with the rollout, once all until then is known:
   also without any fact, since outcomes become known by time alone.

A tick never reaches over a boundary. Whether a check-in is an install's first in this stage is
not known here: 2. takes it that as large a share of the installs that check in enters as did in
the last tick. Where that errs cohorts are larger or smaller, which costs a little power or time
and nothing else: within a cohort all that enters comes before all that happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf

from update_server.evidence.design import cohort_size, may_enter
from update_server.evidence.facts import Fact, Seen
from update_server.evidence.settings import Settings
from update_server.evidence.stages import STAGE_FACTS
from update_server.evidence.state import State

MOST_FACTS = 5_000
GRID_SECONDS = 600.0
SETTLING_SECONDS = 5.0
"""How long after a boundary all facts from before it are pending. In the judge's time."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The next tick: how many of the pending facts are its, and its instant."""

    facts: int
    now: float


def next_cut(
    state: State, settings: Settings, pending: Sequence[Fact], caught_up_to: float
) -> Cut | None:
    """Return the next tick, or None if it cannot be known yet.

    Args:
        state: As the last tick left it.
        settings: The rollout's.
        pending: Facts that no tick has taken yet, in order of receipt. They only ever grow at
            their end.
        caught_up_to: Everything received until then is pending, or was taken.
    """
    boundary = next_boundary(state)
    checked_in: set[bytes] = set()
    enough = inf if state.paused else cohort_size(state.stage, settings)
    now = state.now
    for index, fact in enumerate(pending):
        if fact.at > boundary:
            return _at_boundary(state, index, boundary, caught_up_to)
        if isinstance(fact, STAGE_FACTS):
            return Cut(index, now) if index else Cut(1, max(now, fact.at))
        now = max(now, fact.at)
        if isinstance(fact, Seen) and may_enter(fact):
            checked_in.add(fact.install)
        if len(checked_in) * state.stage.fresh >= enough or index + 1 == MOST_FACTS:
            return Cut(index + 1, now)
    return _at_boundary(state, len(pending), boundary, caught_up_to)


def next_boundary(state: State) -> float:
    """Return the first instant of the grid after the last tick; infinity before any stage."""
    if not state.stages:
        return inf
    origin = state.started_at
    number = floor((max(state.now, origin) - origin) / GRID_SECONDS) + 1
    boundary = origin + number * GRID_SECONDS
    # Rounding may give the boundary where we stand.
    return boundary if boundary > state.now else boundary + GRID_SECONDS


def _at_boundary(state: State, facts: int, boundary: float, caught_up_to: float) -> Cut | None:
    if boundary == inf or caught_up_to < boundary + SETTLING_SECONDS:
        return None
    return Cut(facts, max(boundary, state.now))
