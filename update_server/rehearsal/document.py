"""The rehearsal as one JSON document. Infinite and unknown numbers are None."""

from __future__ import annotations

from typing import Any

from update_server.rehearsal.cost import Cost
from update_server.rehearsal.course import Course, Leg
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.outcome import Outcome
from update_server.rehearsal.power import POWER, Power, Row
from update_server.rehearsal.trials import Trials, mean, quantile
from update_server.rehearsal.whole import Rehearsal


def render_rehearsal(rehearsal: Rehearsal, seed: int) -> dict[str, Any]:
    """Return *rehearsal*, made from *seed*, as values that JSON has."""
    return {
        "seed": seed,
        "fleet": render_fleet(rehearsal.fleet),
        "steps": [
            {
                "ring": step.ring,
                "exposure_bp": step.exposure_bp,
                "holdback_bp": step.holdback_bp,
                "soak_seconds": step.soak_seconds,
                "approvals": step.approvals,
            }
            for step in rehearsal.plan.steps
        ],
        "power": {"probability": POWER, "rings": [_row(row) for row in rehearsal.power]},
        "course": _course(rehearsal.course),
        "out_of_reach": [
            {
                "position": each.position,
                "ring": each.ring,
                "metric": each.metric,
                "probability": each.chance,
                "changes": list(each.changes),
            }
            for each in rehearsal.out_of_reach
        ],
        "cost": [_cost(each) for each in rehearsal.costs],
        "trials": [_trials(each) for each in rehearsal.trials],
        "story": rehearsal.story
        and {
            **_harm(rehearsal.story_harm),
            "installs": rehearsal.story_installs,
            **_outcome(rehearsal.story),
        },
    }


def render_fleet(fleet: Fleet) -> dict[str, Any]:
    """Return *fleet* as values that JSON has."""
    return {
        "installs": fleet.installs,
        "internal": fleet.internal,
        "platforms": dict(fleet.platforms),
        "aged_share": fleet.aged_share,
        "median_gap_seconds": fleet.median_gap_seconds,
        "gap_spread": fleet.gap_spread,
        "crash_a_day": fleet.crash_a_day,
        "frailty": fleet.frailty,
    }


def _harm(harm: Harm) -> dict[str, Any]:
    return {
        "crash_ratio": harm.crash_ratio,
        "bricked_share": harm.bricked_share,
        "platform": harm.platform,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "position": row.position,
        "ring": row.ring,
        "share": row.share,
        "in_a_day": _power(row.in_a_day),
        "in_soak": _power(row.in_soak),
    }


def _power(power: Power) -> dict[str, Any]:
    return {
        "hours": power.hours,
        "candidates": power.candidates,
        "crash_ratio": power.crash_ratio,
        "bricked_share": power.bricked_share,
        "exposed": power.exposed,
        "crashed": power.crashed,
    }


def _course(course: Course) -> dict[str, Any]:
    return {
        "rings": [_leg(leg) for leg in course.legs],
        "stopped_hours": course.stopped_hours,
        "stopped_in": course.stopped_in,
        "cause": course.cause,
        "asked_hours": course.asked_hours,
        "completed_hours": course.completed_hours,
        "exposed": course.exposed,
        "crashed": course.crashed,
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "position": leg.position,
        "ring": leg.ring,
        "opened_hours": leg.opened_hours,
        "hours": leg.hours,
        "patience_hours": leg.patience_hours,
        "probability": leg.chance,
        "probabilities": leg.chances,
        "lacks": list(leg.lacks),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {**_harm(cost.harm), **_course(cost.course)}


def _trials(trials: Trials) -> dict[str, Any]:
    return {
        **_harm(trials.harm),
        "installs": trials.installs,
        "runs": trials.runs,
        "stopped": trials.stopped,
        "stopped_at_most": trials.stopped_at_most,
        "hours_to_stop": {
            "mean": mean(trials.hours) if trials.hours else None,
            "median": quantile(trials.hours, 0.5),
            "p90": quantile(trials.hours, 0.9),
        },
        "completed": len(trials.completed_hours),
        "compared": [
            {
                "name": each.name,
                "formula": each.formula,
                "simulation": each.simulation,
                "flagged": each.is_flagged,
            }
            for each in trials.compared()
        ],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "ending": outcome.ending.value,
        "hours": outcome.hours,
        "exposed": outcome.exposed,
        "crashed": outcome.crashed,
        "bricked": outcome.bricked,
        "waits_for": list(outcome.waits_for),
        "ticks": outcome.ticks,
        "facts": outcome.facts,
        "moments": [
            {
                "hours": moment.hours,
                "verdict": moment.verdict,
                "ring": moment.ring,
                "cause": moment.cause,
                "sentence": moment.sentence,
                "exposed": moment.exposed,
                "crashed": moment.crashed,
            }
            for moment in outcome.moments
        ],
    }
