"""Rollouts as JSON objects, as the admin app shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from rollout.documents import render_ladder
from rollout.model import Arm, Rollout
from update_server.service.crashes.in_rollout import CrashInRollout, newest_of
from update_server.service.crashes.outcomes import crash_free
from update_server.service.ports import (
    FunnelCell,
    Phase,
)
from update_server.service.ports.crashes import SOURCES, STATUSES, Tally
from update_server.service.ports.pending import PendingVerb
from update_server.service.ports.pulls import PullCounts, PullPlan
from update_server.service.ports.studies import StoredDecision
from update_server.service.rollouts.needs import Needs
from update_server.service.rollouts.report import (
    RolloutDetail,
    RolloutView,
    shape_of,
)
from update_server.web.admin.answers import JsonObject, time
from update_server.web.wire import render_time

# What of the newest decision's record goes with a rollout; all of it is in ``…/decisions``.
_JUDGED = (
    "ring",
    "epoch",
    "cause_metric",
    "hold",
    "held",
    "suspended_by",
    "contested",
    "candidate",
    "control",
    "ratio_estimate",
    "ratio_interval_95",
    "ratio_is_odds",
    "bricked_share",
    "log_e_by_metric",
    "tamper_margin",
    "top_signatures",
)

MOST_SIGNATURES = 10
"""Told with a rollout; of all there is a list of their own."""

_NO_REPLACEMENT = (
    "no completed version is a signed way back from it (--rollback-to) on all its platforms;"
    " its installs stay on it until a newer version reaches them"
)

FUNNEL_STEPS = ("contacts", *(phase.value for phase in Phase))

SILENT = "silent"

_INTERNAL_BP = 10_000  # a ring of groups takes every member


def rollout(value: RolloutView) -> JsonObject:
    """Return a rollout, how far it reaches and how far its installs came."""
    it = value.rollout
    newest = newest_of(value.crashes)
    return {
        "id": it.id,
        "app": it.app,
        "channel": it.channel,
        "version": str(it.version),
        "state": it.state.value,
        "ring": it.step.ring,
        "exposure_bp": value.shape.exposure_bp,
        "holdback_bp": value.shape.holdback_bp,
        "position": it.position,
        "ladder": [{"exposure_bp": None, **step} for step in render_ladder(it.ladder)],
        "rings": _rings(value),
        "revision": it.revision,
        "started_at": time(it.started_at),
        "position_reached_at": time(it.position_reached_at),
        "changed_at": time(it.changed_at),
        "paused_by": None if it.paused_by is None else it.paused_by.value,
        "reason": it.reason,
        "replacement": None if it.replacement is None else str(it.replacement),
        "first_for": None if it.first_for is None else str(it.first_for),
        "published": value.published,
        "legal": list(value.legal),
        "pending": [pending(each) for each in value.pending],
        "last_possible_offer_at": time(value.last_offer_at),
        "next_ring": _next_ring(value),
        "eligible_installs": value.reach.eligible,
        "running_installs": value.reach.running,
        "newest_datum_at": time(value.reach.heard_at),
        "newest_signature": None if newest is None else crash_in_rollout(newest, value.cells),
        "counted_at": time(value.counted_at),
        "funnel": funnel(value.cells, knows_silent=value.counted_at is not None),
        "cells": [
            {
                "ring": cell.ring,
                "arm": cell.arm.value,
                "step": cell.step,
                "installs": cell.installs,
            }
            for cell in value.cells
        ],
        **verdict(value.decision),
    }


def rollout_in_full(value: RolloutDetail) -> JsonObject:
    """Return a rollout with what is told of a single one only."""
    view, back = value.view, value.way_back
    return {
        **rollout(view),
        "way_back": None if back is None else str(back),
        "no_replacement": _NO_REPLACEMENT if back is None else None,
        "needs": {verb: _needs(needs) for verb, needs in value.needs.items()},
        "outcomes": [outcome(one) for one in value.outcomes],
        "signatures": [
            {**crash_in_rollout(one, view.cells), "new": one.is_new}
            for one in view.crashes[:MOST_SIGNATURES]
        ],
        "more_signatures": max(0, len(view.crashes) - MOST_SIGNATURES),
        "pull_plan": pull_plan(value.pull_plan),
    }


def crash_in_rollout(value: CrashInRollout, cells: Iterable[FunnelCell]) -> JsonObject:
    """Return on how many installs of each arm a crash was, of those that checked in."""
    there = Counter[Arm]()
    for cell in cells:
        if cell.step == FUNNEL_STEPS[0]:
            there[cell.arm] += cell.installs
    return {
        "signature": value.signature,
        "title": value.title,
        "installs": {arm.value: value.installs[arm] for arm in Arm},
        "of": {arm.value: there[arm] for arm in Arm},
        "reports": value.reports,
        "first_at": time(value.first_at),
        "last_at": time(value.last_at),
        "log_e": value.log_e,
        "needed": value.needed,
    }


def pending(value: PendingVerb) -> JsonObject:
    """Return what waits. Tickets are nobody's business but the signer's."""
    people = [each.by for each in value.approvals]
    return {
        "id": value.id,
        "app": value.app,
        "verb": value.verb,
        "rollout": value.rollout,
        "version": str(value.version),
        "channel": value.channel,
        "ring": value.ring,
        "hold": value.hold,
        "reason": value.reason,
        "asked_by": people[0],
        "people": people,
        "needs": value.needs,
        "has": len(people),
        "asked_at": render_time(value.asked_at),
        "expires_at": render_time(value.expires_at),
    }


def brief_rollout(value: Rollout) -> JsonObject:
    """Return how a rollout stands: of ``rollout`` what needs no count."""
    shape = shape_of(value)
    return {
        "id": value.id,
        "app": value.app,
        "channel": value.channel,
        "version": str(value.version),
        "state": value.state.value,
        "ring": value.step.ring,
        "exposure_bp": shape.exposure_bp,
        "holdback_bp": shape.holdback_bp,
        "position": value.position,
        "revision": value.revision,
        "started_at": time(value.started_at),
        "position_reached_at": time(value.position_reached_at),
        "changed_at": time(value.changed_at),
        "paused_by": None if value.paused_by is None else value.paused_by.value,
        "reason": value.reason,
    }


def outcome(value: Tally) -> JsonObject:
    """Return what the installs and sessions of one version, ring and arm came to."""
    by_source = {source: value.sessions.get(source, {}) for source in SOURCES}
    return {
        "version": value.version,
        "ring": value.ring,
        "arm": value.arm,
        "crashed_installs": value.crashed_installs,
        "sessions": {
            source: {status: sessions.get(status, 0) for status in STATUSES}
            for source, sessions in by_source.items()
        },
        "crash_free_sessions": {
            source: crash_free(sessions) for source, sessions in by_source.items()
        },
    }


def pull_plan(value: PullPlan | None) -> JsonObject | None:
    """Return what becomes of a pulled release's installs."""
    if value is None:
        return None
    back, counts = value.replacement, value.counts
    return {
        "replacement": None if back is None else str(back),
        "counted_at": None if value.counted_at is None else render_time(value.counted_at),
        **(dict.fromkeys(PullCounts.__slots__) if counts is None else asdict(counts)),
    }


def verdict(value: StoredDecision | None) -> JsonObject:
    """Return what is said of a rollout by the newest decision about it."""
    if value is None:
        return {
            "verdict": None,
            "no_verdict": "not_judged",
            "sentence": None,
            "contested": False,
            "judged": None,
        }
    return {
        "contested": bool(value.record.get("contested")),
        "verdict": value.verdict or None,
        "no_verdict": value.record["no_verdict"],
        "sentence": value.record["sentence"],
        "judged": {
            "decision": value.id,
            "at": time(value.at),
            "outcome": value.outcome,
            **{name: value.record.get(name) for name in _JUDGED},
        },
    }


def funnel(
    cells: Iterable[FunnelCell], *, knows_silent: bool
) -> dict[str, dict[str, int] | dict[str, None]]:
    """Return how many installs of each arm reached each step, over all rings.

    How many are silent is null before they were counted: it is not 0 then, it is not known.
    """
    counts = {step: {arm.value: 0 for arm in Arm} for step in (*FUNNEL_STEPS, SILENT)}
    for cell in cells:
        if cell.step in counts:
            counts[cell.step][cell.arm.value] += cell.installs
    if knows_silent:
        return {**counts}
    return {**counts, SILENT: dict.fromkeys(counts[SILENT])}


def _rings(value: RolloutView) -> list[JsonObject]:
    """Return each ring of the ladder once: as wide as it is, or as it will first be.

    ``installs`` are those that were offered the release in it.
    """
    offered = Counter[str]()
    for cell in value.cells:
        if cell.step == Phase.OFFERED:
            offered[cell.ring] += cell.installs
    rings: dict[str, JsonObject] = {
        ring.name: {"name": ring.name, "exposure_bp": ring.exposure_bp, "state": "open"}
        for ring in value.shape.rings
    }
    for step in value.rollout.ladder:
        if step.ring not in rings:
            wide = _INTERNAL_BP if step.exposure_bp is None else step.exposure_bp
            rings[step.ring] = {"name": step.ring, "exposure_bp": wide, "state": "waiting"}
    return [{**ring, "installs": offered[name]} for name, ring in rings.items()]


def _next_ring(value: RolloutView) -> JsonObject | None:
    """Return the step that a promotion opens, and how many installs are in reach of it then."""
    it = value.rollout
    if it.position + 1 >= len(it.ladder):
        return None
    step = it.ladder[it.position + 1]
    wide = step.exposure_bp
    return {
        "name": step.ring,
        "exposure_bp": _INTERNAL_BP if wide is None else wide,
        "approvals": step.approvals,
        # How many are in the internal groups, nobody counts.
        "installs": None if wide is None else value.reach.eligible * wide // _INTERNAL_BP,
    }


def _needs(value: Needs) -> JsonObject:
    return {"people": value.people, "override": value.override, "why": list(value.why)}
