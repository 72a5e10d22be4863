"""Values to JSON objects, as the admin app shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any

import msgspec

from rollout.documents import render_audience, render_ladder, render_policy
from rollout.model import Arm, Rollout
from update_server.evidence.state import Label
from update_server.service.access.apps import KnownApp
from update_server.service.crashes.in_rollout import CrashInRollout, newest_of
from update_server.service.crashes.outcomes import crash_free
from update_server.service.ports import (
    ApiToken,
    App,
    AuditRecord,
    EnrolmentCode,
    FunnelCell,
    Group,
    Phase,
    StoredHold,
    StoredTarget,
)
from update_server.service.ports.crashes import SOURCES, STATUSES, Tally
from update_server.service.ports.pending import PendingVerb
from update_server.service.ports.pulls import PullCounts, PullPlan
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.publish import SigningView, Submitted
from update_server.service.rollouts.needs import Needs
from update_server.service.rollouts.released import PlatformView, ReleaseView
from update_server.service.rollouts.report import (
    PolicyView,
    RolloutDetail,
    RolloutView,
    shape_of,
)
from update_server.service.studies.decisions import Entry, EvidenceView
from update_server.service.studies.strikes import Strike
from update_server.web.wire import render_time

JsonObject = dict[str, Any]

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

MOST_SIGNATURES = 20
"""Told with a rollout; of all there is a list of their own."""

_NO_REPLACEMENT = (
    "no completed version is a signed way back from it (--rollback-to) on all its platforms;"
    " its installs stay on it until a newer version reaches them"
)

FUNNEL_STEPS = ("contacts", *(phase.value for phase in Phase))
SILENT = "silent"


def app(value: App) -> JsonObject:
    """Return a registered app."""
    return {
        "app": value.name,
        "number": value.number,
        "created_at": render_time(value.created_at),
        "channels": list(value.channels),
        "platforms": list(value.platforms),
        "registered": value.registered,
    }


def known_app(value: KnownApp) -> JsonObject:
    """Return an app with the public halves of its online keys."""
    return {**app(value.app), "online_keys": value.online_keys}


def signing(value: SigningView) -> JsonObject:
    """Return what a publisher builds upon; metadata as text, byte for byte."""
    return {
        "app": value.app.name,
        "registered": value.app.registered,
        "online_keys": value.online_keys,
        "channels": list(value.app.channels),
        "platforms": list(value.app.platforms),
        "versions": value.versions,
        "metadata": {role: data.decode() for role, data in value.metadata.items()},
    }


def submitted(value: Submitted) -> JsonObject:
    """Return what a submission brought."""
    return {
        "versions": value.versions,
        "admitted": list(value.admitted),
        "releases": [
            {
                "version": str(release.version),
                "channel": release.channel,
                "platform": release.platform,
            }
            for release in value.releases
        ],
        "timestamp_version": value.timestamp_version,
    }


def release(value: ReleaseView) -> JsonObject:
    """Return a version with what it is made of on each platform."""
    return {
        "version": str(value.version),
        "channel": value.channel,
        "platforms": [_platform(platform) for platform in value.platforms],
        "admitted_at": _time(min(each.admitted_at for each in value.platforms)),
        "security": any(each.release.security for each in value.platforms),
        "state": value.state,
    }


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
        "started_at": _time(it.started_at),
        "position_reached_at": _time(it.position_reached_at),
        "changed_at": _time(it.changed_at),
        "paused_by": None if it.paused_by is None else it.paused_by.value,
        "reason": it.reason,
        "replacement": None if it.replacement is None else str(it.replacement),
        "first_for": None if it.first_for is None else str(it.first_for),
        "published": value.published,
        "legal": list(value.legal),
        "pending": [pending(each) for each in value.pending],
        "last_possible_offer_at": _time(value.last_offer_at),
        "next_ring": _next_ring(value),
        "eligible_installs": value.reach.eligible,
        "running_installs": value.reach.running,
        "newest_datum_at": _time(value.reach.heard_at),
        "newest_signature": None if newest is None else crash_in_rollout(newest, value.cells),
        "counted_at": _time(value.counted_at),
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
        "first_at": _time(value.first_at),
        "last_at": _time(value.last_at),
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
        "started_at": _time(value.started_at),
        "position_reached_at": _time(value.position_reached_at),
        "changed_at": _time(value.changed_at),
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
            "at": _time(value.at),
            "outcome": value.outcome,
            **{name: value.record.get(name) for name in _JUDGED},
        },
    }


def decision(value: StoredDecision) -> JsonObject:
    """Return a decision: its record, and what became of it."""
    return {
        **value.record,
        "id": value.id,
        "number": value.number,
        "at": _time(value.at),
        "log_size": value.log_size,
        "carried_out_at": _time(value.carried_out_at),
        "outcome": value.outcome,
    }


def evidence(value: EvidenceView) -> JsonObject:
    """Return the evidence of one metric. Infinite ends of an interval are null."""
    interval = value.interval
    return {
        "rollout": value.rollout,
        "metric": value.metric,
        "epoch": value.epoch,
        "ring": value.ring,
        "weight": value.weight,
        "advisory": value.advisory,
        "alpha": value.alpha,
        "log_e": value.log_e,
        "needed": value.needed,
        "ratio_estimate": value.ratio,
        "ratio_interval_95": interval and [end if isfinite(end) else None for end in interval],
        "candidate": {"events": value.bad.candidate, "installs": value.of.candidate},
        "control": {"events": value.bad.control, "installs": value.of.control},
        "log": [_entry(entry) for entry in value.entries],
        "replay": value.replay,
    }


def strike(value: Strike) -> JsonObject:
    """Return what was withdrawn, and what becomes of the pause that stood on it."""
    stand = value.stand
    return {
        "candidate": value.struck.candidate,
        "control": value.struck.control,
        "decision": stand and stand.decision,
        "log_e": stand and stand.log_e,
        "needed": stand and stand.needed,
        "contested": stand is not None and stand.is_contested,
        "sentence": stand.sentence or None if stand else None,
    }


def _entry(value: Entry) -> JsonObject:
    counted = value.counted
    shared = {
        "at": _time(value.at),
        "platform": counted.platform,
        "n_candidate": counted.n_candidate,
        "n_control": counted.n_control,
    }
    if isinstance(counted, Label):
        arm = Arm.CANDIDATE if counted.candidate else Arm.CONTROL
        return {
            **shared,
            "arm": arm.value,
            "event": counted.event.hex(),
            "network": counted.network.hex() or None,
            "struck": counted.struck,
        }
    return {
        **shared,
        "process": counted.metric,
        "k_candidate": counted.k_candidate,
        "k": counted.k,
        "base_rate": counted.base_rate,
        "centre": counted.centre,
        "scores": [list(score) for score in counted.scores],
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


def hold(value: StoredHold) -> JsonObject:
    """Return a hold."""
    return {
        "id": value.hold.id,
        "channel": value.channel,
        "rollout": value.rollout,
        "title": value.hold.title,
        "link": value.hold.link,
        "audience": render_audience(value.hold.audience),
        "reason": value.reason,
        "created_at": _time(value.created_at),
        "created_by": value.created_by,
        "lifted_at": _time(value.lifted_at),
    }


def group(value: Group) -> JsonObject:
    """Return a group of installs."""
    return {
        "name": value.name,
        "members": value.members,
        "created_at": _time(value.created_at),
    }


def enrolment(value: EnrolmentCode) -> JsonObject:
    """Return an enrolment code, without the code."""
    return {
        "id": value.id,
        "group": value.group,
        "uses_left": value.uses_left,
        "created_at": _time(value.created_at),
        "expires_at": _time(value.expires_at),
        "revoked_at": _time(value.revoked_at),
    }


def token(value: ApiToken) -> JsonObject:
    """Return an API token, without its secret and without its hash."""
    return {
        "id": value.id,
        "name": value.name,
        "role": value.role.value,
        "app": value.app,
        "created_at": _time(value.created_at),
        "expires_at": _time(value.expires_at),
        "revoked_at": _time(value.revoked_at),
    }


def version(value: tuple[str, str, str, int]) -> JsonObject:
    """Return how many installs run a version."""
    channel, platform, running, installs = value
    return {"channel": channel, "platform": platform, "version": running, "installs": installs}


def policy(value: PolicyView) -> JsonObject:
    """Return a policy in force, as it was signed."""
    return {
        "channel": value.policy.channel,
        "policy": msgspec.json.decode(render_policy(value.policy)),
        "version": value.version,
        "expires_at": _time(value.expires_at),
    }


def audit(value: AuditRecord) -> JsonObject:
    """Return a line of the audit log."""
    return {
        "seq": value.seq,
        "at": _time(value.at),
        "actor": value.actor,
        "action": value.action,
        "app": value.app,
        "subject": value.subject,
        "reason": value.reason,
        "before": value.before,
        "after": value.after,
        "previous_hash": value.previous_hash,
        "hash": value.hash,
    }


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


_INTERNAL_BP = 10_000  # a ring of groups takes every member


def _platform(value: PlatformView) -> JsonObject:
    it = value.release
    artifact = {
        "format": it.artifact.format,
        "manifest_sha256": it.artifact.manifest_sha256,
        "tree_bytes": it.artifact.tree_bytes,
        "files": it.artifact.files,
    }
    return {
        "platform": it.platform,
        "number": value.number,
        "artifact": _file(it.artifact.path, value.files) | artifact,
        "deltas": [
            _file(delta.path, value.files) | {"from": str(delta.from_version), "algo": delta.algo}
            for delta in it.deltas
        ],
        "others": [_file(other.path, value.files) | {"kind": other.kind} for other in it.others],
        "released_at": _time(it.released_at),
        "not_before": _time(it.not_before),
        "min_version": None if it.min_version is None else str(it.min_version),
        "rollback_to": [str(each) for each in it.rollback_to],
        "submitted_by": value.submitted_by,
    }


def _file(path: str, files: Mapping[str, StoredTarget]) -> JsonObject:
    target = files.get(path)
    return {
        "path": path,
        "sha256": target.sha256 if target else None,
        "length_bytes": target.length_bytes if target else None,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else render_time(at)
