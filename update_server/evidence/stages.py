"""What changes the conditions of the study: stages, pauses, holds, and who looks after it."""

from __future__ import annotations

from update_server.evidence import srm
from update_server.evidence.cohorts import hold_platform
from update_server.evidence.facts import (
    Lag,
    Paused,
    PlatformHeld,
    PlatformReleased,
    Resumed,
    StageOpened,
    Struck,
    Unsuspended,
)
from update_server.evidence.state import Epoch, Stage, State
from update_server.evidence.verdicts import Verdict

StageFact = (
    StageOpened | Paused | Resumed | PlatformHeld | PlatformReleased | Unsuspended | Struck | Lag
)
STAGE_FACTS = (
    StageOpened,
    Paused,
    Resumed,
    PlatformHeld,
    PlatformReleased,
    Unsuspended,
    Struck,
    Lag,
)
"""No tick mixes what was received before one of these with what came after it."""


def change_stage(state: State, fact: StageFact) -> None:
    """Apply one of ``STAGE_FACTS`` to *state*, in place."""
    if isinstance(fact, StageOpened):
        _open(state, fact)
    elif isinstance(fact, Paused):
        state.paused = True
        state.paused_automatically = state.paused_automatically or fact.automatic
    elif isinstance(fact, Resumed):
        _resume(state, fact)
    elif isinstance(fact, PlatformHeld):
        hold_platform(state, fact.platform)
    elif isinstance(fact, PlatformReleased):
        state.held = [held for held in state.held if held != fact.platform]
    elif isinstance(fact, Struck):
        state.epoch.struck += fact.reports
    elif isinstance(fact, Lag):
        state.lag_seconds = fact.seconds
    else:
        # What suspended the judge was found: entrants are counted anew, and what is set aside.
        # Should it suspend again, that is another decision.
        state.suspended = False
        state.unequal = ""
        state.stage.srm = srm.empty_srm()
        state.asides = {}
        if state.decided.startswith(f"{Verdict.SUSPEND}/"):
            state.decided = ""


def _open(state: State, fact: StageOpened) -> None:
    if not state.stages and not state.started_at:
        state.started_at = fact.at
    state.stages += 1
    # Outcomes that were awaited, and pools, belong to the stage that ends here: their installs
    # await anew when they enter this one.
    state.stage = Stage(
        number=state.stages,
        position=fact.position,
        ring=fact.ring,
        next_ring=fact.next_ring,
        exposure_bp=fact.exposure_bp,
        holdback_bp=fact.holdback_bp,
        soak_seconds=fact.soak_seconds,
        approvals=fact.approvals,
        opened_at=fact.at,
        srm=srm.empty_srm(),
        open_outcomes=0,
        cohort=state.stage.cohort,
    )


def _resume(state: State, fact: Resumed) -> None:
    waived = {s: end for s, end in state.epoch.waived.items() if end > fact.at}
    waived.update(fact.waived)
    if state.paused and state.paused_automatically:
        state.epochs.append(Epoch(number=state.epoch.number + 1, opened_at=fact.at, waived=waived))
        # Stop lines and steps begin anew as well: what was seen and accepted by whoever resumed
        # would else pause again at once.
        state.stage.guards = {}
        state.stage.failed_starts = 0
        state.stage.alarm = None
        state.funnel = {}
    else:
        state.epoch.waived = waived
    state.paused = state.paused_automatically = False
