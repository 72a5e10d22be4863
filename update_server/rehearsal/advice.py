"""Margins out of reach, and the change of the ladder that would bring them into reach."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.model import FULL_EXPOSURE_BP
from update_server.evidence.fisher import SHARES
from update_server.evidence.ratio import MARGINS
from update_server.evidence.settings import DAY, Gate
from update_server.rehearsal.course import ODDS, Course, Leg, chances_of
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import NOTHING_WRONG
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.scene import Scene

# Exposures that people write into ladders.
_EXPOSURES_BP = (100, 200, 500, 1_000, 2_000, 3_000, 5_000)
_HOLDBACKS_BP = (500, 1_000)
_WIDEST_SHARE = 0.1
_DAYS = (7, 10, 14, 21, 28, 42, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfReach:
    """A gate that is not likely to be passed in time, with nothing wrong.

    ``metric`` is the one that comes last, ``chance`` how likely it comes in time. ``changes`` are
    changes of the ladder of which each would do; there may be none.
    """

    position: int
    ring: str
    metric: str
    chance: float
    changes: tuple[str, ...]


def out_of_reach(plan: Plan, fleet: Fleet, course: Course) -> tuple[OutOfReach, ...]:
    """Return the gates of a course with nothing wrong that are out of reach.

    A gate that no earlier one lets the rollout come to is judged as if it did come to it.
    """
    return tuple(
        OutOfReach(
            position=leg.position,
            ring=leg.ring,
            metric=min(leg.chances, key=lambda metric: leg.chances[metric]),
            chance=leg.chance,
            changes=_changes(plan, fleet, leg),
        )
        for leg in course.legs
        if not leg.is_in_reach
    )


def _changes(plan: Plan, fleet: Fleet, leg: Leg) -> tuple[str, ...]:
    found = (_wider(plan, fleet, leg), _longer(plan, fleet, leg), _milder(plan, fleet, leg))
    changes = tuple(change for change in found if change is not None)
    if changes:
        return changes
    several = _several(plan, fleet, leg)
    return () if several is None else (several,)


def _wider(plan: Plan, fleet: Fleet, leg: Leg) -> str | None:
    step = plan.steps[leg.position]
    least, most = step.exposure_bp or 0, _ceiling(plan, leg.position)
    for exposure_bp in _EXPOSURES_BP:
        if least < exposure_bp <= most:
            steps = list(plan.steps)
            steps[leg.position] = replace(step, exposure_bp=exposure_bp)
            if _is_in_reach(replace(plan, steps=tuple(steps)), fleet, leg):
                return f"exposure_bp = {exposure_bp}"
    for holdback_bp in (each for each in _HOLDBACKS_BP if 0 < step.holdback_bp < each):
        steps = list(plan.steps)
        wide = FULL_EXPOSURE_BP - holdback_bp
        steps[leg.position] = replace(step, exposure_bp=wide, holdback_bp=holdback_bp)
        if _is_in_reach(replace(plan, steps=tuple(steps)), fleet, leg):
            return f"exposure_bp = {wide}, holdback_bp = {holdback_bp}"
    return None


def _ceiling(plan: Plan, position: int) -> int:
    """Return how wide a step may be: as the next one, and half where evidence is cheapest."""
    later = [s.exposure_bp for s in plan.steps[position + 1 :] if s.exposure_bp is not None]
    return min([*later, FULL_EXPOSURE_BP // 2])


def _longer(plan: Plan, fleet: Fleet, leg: Leg) -> str | None:
    for days in _DAYS:
        seconds = days * DAY
        if seconds > plan.patience_seconds(leg.position):
            changed = replace(plan, settings=replace(plan.settings, timeout_seconds=seconds))
            if _is_in_reach(changed, fleet, leg):
                return f'timeout = "{days} d"'
    return None


def _milder(plan: Plan, fleet: Fleet, leg: Leg) -> str | None:
    gate = plan.gate(leg.position)
    for margin in (m for m in MARGINS if m >= gate.margin):
        for share in (s for s in SHARES if gate.silence <= s <= _WIDEST_SHARE):
            changed = Gate(up_to_bp=FULL_EXPOSURE_BP, margin=margin, silence=share)
            settings = replace(plan.settings, gates=(changed,))
            if _is_in_reach(replace(plan, settings=settings), fleet, leg):
                margins = f"margin = {margin:g}" if margin != gate.margin else ""
                shares = f"silence = {share:g}" if share != gate.silence else ""
                return ", ".join(each for each in (margins, shares) if each)
    return None


def _several(plan: Plan, fleet: Fleet, leg: Leg) -> str | None:
    """Return changes that together would do: the narrowest exposure, then the least time."""
    least = plan.steps[leg.position].exposure_bp or 0
    exposures = [each for each in _EXPOSURES_BP if each >= least]
    # Whatever does not suffice with the most of everything need not be searched for.
    if not exposures or not _is_in_reach(_mildest(plan, leg, exposures[-1], _DAYS[-1]), fleet, leg):
        return None
    exposure_bp = next(
        each for each in exposures if _is_in_reach(_mildest(plan, leg, each, _DAYS[-1]), fleet, leg)
    )
    days = next(
        each for each in _DAYS if _is_in_reach(_mildest(plan, leg, exposure_bp, each), fleet, leg)
    )
    return (
        f"exposure_bp = {exposure_bp}, margin = {MARGINS[-1]:g}, silence = {_WIDEST_SHARE:g}, "
        f'timeout = "{days} d"'
    )


def _mildest(plan: Plan, leg: Leg, exposure_bp: int, days: int) -> Plan:
    gate = Gate(up_to_bp=FULL_EXPOSURE_BP, margin=MARGINS[-1], silence=_WIDEST_SHARE)
    steps = list(plan.steps)
    steps[leg.position] = replace(steps[leg.position], exposure_bp=exposure_bp)
    settings = replace(plan.settings, gates=(gate,), timeout_seconds=days * DAY)
    return Plan(steps=tuple(steps), settings=settings)


def _is_in_reach(plan: Plan, fleet: Fleet, leg: Leg) -> bool:
    scene = Scene(plan=plan, fleet=fleet, harm=NOTHING_WRONG, position=leg.position)
    return min(chances_of(scene, leg.accrual).values()) >= ODDS
