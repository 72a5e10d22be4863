"""Stop lines: failures above a stated ceiling. They pause, never pull.

They are all there is in a ring of groups, and go on while the judge is suspended; where nobody is
held back there is an alarm beside them, against crashes of before the rollout. Where the
installs held back fail nearly as often the ceiling is above them: many an install is switched
off for two days after a check-in, whatever it was offered. The steps of an
update are tested the same way, but as a metric with a weight: control takes no such steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf, log

from update_server.evidence.detector import ALARM, false_reports, value
from update_server.evidence.one_sample import log_e_above
from update_server.evidence.settings import Metric, Settings
from update_server.evidence.state import CONTROL_PREFIX, OneArm, State
from update_server.evidence.tamper import margin_of_failures

LOG_GUARD = log(1_000)
"""The log e-value at which a stop line is reached: a sound ring ever does 1 time in 1,000."""

FAILED_STARTS = "failed_starts"
HISTORY = "history"
FUNNEL_STEPS = ("download", "verify", "apply")
FUNNEL_PREFIX = f"{Metric.FUNNEL}:"
ABOVE_CONTROL = 1.5
"""A stop line is at least so many times the share of controls that crossed it."""
FEW_CONTROLS = 20
_HIGHEST = 0.9  # above it a test has nothing left to bet on
_SHARES = ("crashed", "unhealthy", "crash_loop", "silent", *FUNNEL_STEPS)


class Line(StrEnum):
    """What kind of line it is."""

    SHARE = "share"
    COUNT = "count"
    FUNNEL = "funnel"
    HISTORY = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How near a stop line is: *k* of *n* installs against its ceiling.

    ``log_e`` and ``needed`` are infinite or zero for a plain count, which has no false-alarm
    rate. ``margin`` is how many of the failures must be false reports for it not to be reached.
    For crashes against those of before ``ceiling`` is how many were expected, and ``log_e`` the
    logarithm of what the detector shows.
    """

    name: str
    line: Line
    k: int
    n: int
    ceiling: float
    log_e: float
    needed: float
    margin: int = 0

    @property
    def is_reached(self) -> bool:
        """Whether the rollout is to stop."""
        return self.log_e >= self.needed


def reached(state: State, settings: Settings, budget: int) -> Reached | None:
    """Return the first line that is reached, stop lines before steps; None if all is quiet.

    It must be after *budget* of the failures are taken for forged, too; but in a ring of groups,
    whose installs were let in by people, only those of steps.
    """
    in_groups = state.stage.exposure_bp is None
    for each in _near(state, settings):
        is_trusted = each.line is Line.COUNT or (in_groups and each.line is Line.SHARE)
        if each.is_reached and (is_trusted or each.margin > budget):
            return each
    return None


def all_lines(state: State, settings: Settings) -> list[Reached]:
    """Return how near every line is on which there is anything."""
    return [
        *_shares(state, settings, only_above=False),
        *_failed_starts(state, settings),
        *_funnel(state, settings, only_above=False),
        *_history(state),
    ]


def _near(state: State, settings: Settings) -> list[Reached]:
    return [
        *_shares(state, settings, only_above=True),
        *_failed_starts(state, settings),
        *_funnel(state, settings, only_above=True),
        *_history(state),
    ]


def _shares(state: State, settings: Settings, *, only_above: bool) -> list[Reached]:
    return [
        _line(name, Line.SHARE, counts, ceiling, LOG_GUARD)
        for name in _SHARES
        if (counts := state.stage.guards.get(name)) is not None
        and (ceiling := _ceiling(state, settings, name)) < 1
        and _counts(counts, ceiling, only_above=only_above)
    ]


def _ceiling(state: State, settings: Settings, name: str) -> float:
    """Return the ceiling of a share, raised above what control shows of it; 1 is no line."""
    stated: float = getattr(settings.ceilings, name)
    controls = state.stage.guards.get(CONTROL_PREFIX + name)
    if controls is None or controls.known < FEW_CONTROLS:
        return stated
    raised = ABOVE_CONTROL * controls.failed / controls.known
    return 1.0 if raised > _HIGHEST else max(stated, raised)


def _failed_starts(state: State, settings: Settings) -> list[Reached]:
    failed, limit = state.stage.failed_starts, settings.ceilings.failed_starts
    if not failed:
        return []
    return [
        Reached(
            name=FAILED_STARTS,
            line=Line.COUNT,
            k=failed,
            n=state.stage.internal,
            ceiling=limit,
            log_e=inf if failed >= limit else 0.0,
            needed=inf,
            margin=max(0, failed - limit + 1),
        )
    ]


def _funnel(state: State, settings: Settings, *, only_above: bool) -> list[Reached]:
    weight = settings.weights.get(Metric.FUNNEL, 0.0) / len(FUNNEL_STEPS)
    if weight <= 0:
        return []
    needed = log(1 / (settings.alpha * weight))
    return [
        _line(FUNNEL_PREFIX + step, Line.FUNNEL, counts, getattr(settings.ceilings, step), needed)
        for step in FUNNEL_STEPS
        if (counts := state.funnel.get(step)) is not None
        and _counts(counts, getattr(settings.ceilings, step), only_above=only_above)
    ]


def _history(state: State) -> list[Reached]:
    alarm = state.stage.alarm
    if alarm is None:
        return []
    found = value(alarm.detector)
    return [
        Reached(
            name=HISTORY,
            line=Line.HISTORY,
            k=alarm.events_so_far,
            n=state.stage.entered.candidate,
            ceiling=alarm.expected_so_far,
            log_e=log(found) if found > 0 else -inf,
            needed=log(ALARM),
            margin=false_reports(alarm.detector),
        )
    ]


def _counts(counts: OneArm, ceiling: float, *, only_above: bool) -> bool:
    """Whether there is anything to test; below the ceiling the e-value is under 1."""
    return counts.failed > ceiling * counts.known if only_above else counts.known > 0


def _line(name: str, line: Line, counts: OneArm, ceiling: float, needed: float) -> Reached:
    return Reached(
        name=name,
        line=line,
        k=counts.failed,
        n=counts.known,
        ceiling=ceiling,
        log_e=log_e_above(counts.failed, counts.known, ceiling),
        needed=needed,
        margin=margin_of_failures(counts.failed, counts.known, ceiling, needed),
    )
