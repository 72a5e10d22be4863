"""What is missing for a verdict: no data is no verdict, never green."""

from __future__ import annotations

from update_server.evidence.design import share_of
from update_server.evidence.gates import noninferiority
from update_server.evidence.settings import Metric, Settings
from update_server.evidence.state import State
from update_server.evidence.verdicts import NoVerdict
from update_server.evidence.weighing import platforms_of, processes_of, weighted_metrics

# An outage of a quarter of the silence window spoils a window's outcome (docs/evidence.md).
_PART_OF_WINDOW = 4


def missing(state: State, settings: Settings, now: float) -> NoVerdict | None:
    """Return what is missing before anything but harm can be said, or None."""
    stage = state.stage
    if stage.exposure_bp is None:
        if not stage.internal:
            return NoVerdict.NO_CONTACTS
        # A ring of groups may well sleep at night.
        return NoVerdict.INTAKE_GAP if _is_silent(state, settings, now, 1) else None
    if share_of(stage) >= 1:
        return NoVerdict.NO_CONTROL
    if not stage.entered.total:
        return NoVerdict.NO_CONTACTS
    if not stage.entered.candidate or not stage.entered.control:
        return NoVerdict.ONE_ARM_EMPTY
    if _is_silent(state, settings, now, _PART_OF_WINDOW):
        return NoVerdict.INTAKE_GAP
    if stage.entered.candidate < settings.minimum_installs:
        return NoVerdict.TOO_FEW_INSTALLS
    if not _anything_weighed(state, settings):
        return NoVerdict.COHORT_NOT_MATURED
    return None


def is_used_up(state: State, settings: Settings, now: float) -> bool:
    """Whether the gate lacks outcomes, and no install is there that could have one.

    Healthy launches and silence are told by outcomes alone, one of each install. Those that come
    back later are watched on, but gates do not ask for it. Past its timeout a step waits for
    people, and says that.
    """
    stage = state.stage
    if stage.open_outcomes != 0 or stage.exposure_bp is None or stage.next_ring is None:
        return False
    if now - stage.opened_at >= settings.timeout_seconds or any(map(_is_first, stage.pools)):
        return False
    _, *margins = (tests := noninferiority(state, settings))[:3]
    return any(
        not (margin.passes or floor.passes)
        for margin, floor in zip(margins, tests[4:], strict=True)
    )


def _is_first(pool: str) -> bool:
    return pool.startswith((f"{Metric.HEALTHY}/", f"{Metric.SILENCE}/"))


def _is_silent(state: State, settings: Settings, now: float, parts: int) -> bool:
    """Whether for long nobody at all was heard of: with installs about, the fault is ours."""
    heard_at = state.last_contact_at
    return heard_at is not None and now - heard_at > settings.silence_minimum_seconds / parts


def _anything_weighed(state: State, settings: Settings) -> bool:
    """Whether in this epoch anything happened, or did not happen in time, to any install."""
    epoch = state.epoch
    return any(
        process.bad.total or process.known.total
        for metric in weighted_metrics(state, settings)
        for name in metric.processes
        for process in processes_of(epoch, name, platforms_of(epoch, metric, state.held))
    )
