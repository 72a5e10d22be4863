"""``…/rollouts/{rollout}/study``: how a study stands, and whether a decision comes out again."""

from __future__ import annotations

from math import isfinite
from typing import Any

from flask import Blueprint, Response

from rollout.model import RolloutId
from update_server.evidence.gates import Shown
from update_server.evidence.guards import Reached
from update_server.evidence.state import Arms
from update_server.evidence.terms import settings_to_json
from update_server.service.ports import Role
from update_server.service.studies.standings import (
    EpochView,
    OnPlatform,
    StageView,
    Standing,
    StudyView,
)
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import optional_number
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("studies", __name__)

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/study")
    def get_study(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app, RolloutId(rollout)))

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/decisions/recomputed")
    def get_recomputed(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        number = optional_number("number", least=1)
        return answered(recomputed_body(services, app, RolloutId(rollout), number))

    return bp


def body(services: AdminServices, app: str, rollout: RolloutId) -> JsonObject:
    """Return how the study of a rollout stands: each metric in each epoch, gates and terms."""
    return rendered(services.decisions.study(app, rollout))


def recomputed_body(
    services: AdminServices, app: str, rollout: RolloutId, number: int | None = None
) -> JsonObject:
    """Return whether decision *number*, or the newest, comes out of its log again."""
    decision, found = services.decisions.recomputed(app, rollout, number)
    return {
        "decision": decision.id,
        "number": decision.number,
        "log_size": decision.log_size,
        "same_mathematics": found.same_mathematics,
        "same_bits": found.same_bits,
        "agrees": not found.contested,
        "differing": list(found.differing),
        "log_e_by_metric": dict(found.log_e_by_metric),
    }


def rendered(value: StudyView) -> JsonObject:
    """Return a study. Infinite numbers, and what is not known, are null."""
    it = value.rollout
    return {
        "rollout": it.id,
        "app": it.app,
        "channel": it.channel,
        "version": str(it.version),
        "state": it.state.value,
        "opened_at": render_time(value.opened_at),
        "ended_at": value.ended_at and render_time(value.ended_at),
        "counted_at": value.counted_at and render_time(value.counted_at),
        "paused": value.paused,
        "suspended": value.suspended,
        "not_aged": value.not_aged,
        "held": list(value.held),
        "stage": _stage(value.stage),
        "epochs": [_epoch(each) for each in value.epochs],
        "gates": [_gate(each) for each in value.gates],
        "lines": [_line(each) for each in value.lines],
        "sample_ratio": {"log_e": value.srm_log_e, "needed": value.srm_needed},
        "terms": settings_to_json(value.settings),
    }


def _stage(value: StageView) -> JsonObject:
    return {
        "ring": value.ring,
        "next_ring": value.next_ring,
        "exposure_bp": value.exposure_bp,
        "opened_at": value.opened_at and render_time(value.opened_at),
        "soaked_seconds": value.soaked_seconds,
        "soak_seconds": value.soak_seconds,
        "approvals": value.approvals,
        "entered": _arms(value.entered),
        "internal": value.internal,
        "capped_networks": value.capped_networks,
        "at_risk": [
            {"platform": each.platform, "stratum": each.stratum, **_arms(each.installs)}
            for each in value.at_risk
        ],
    }


def _epoch(value: EpochView) -> JsonObject:
    return {
        "number": value.number,
        "opened_at": value.opened_at and render_time(value.opened_at),
        "entered": _arms(value.entered),
        "struck": value.struck,
        "waived": {name: render_time(until) for name, until in value.waived.items()},
        "metrics": [_standing(each) for each in value.standings],
    }


def _standing(value: Standing) -> JsonObject:
    it = value.metric
    return {
        "metric": str(it.metric),
        "test": it.kind.value,
        "weight": it.weight,
        "advisory": it.advisory,
        "log_e": value.log_e,
        "needed": value.needed,
        "ratio_estimate": value.ratio,
        "ratio_interval_95": value.interval and [_number(end) for end in value.interval],
        "candidate": {"events": value.bad.candidate, "installs": value.of.candidate},
        "control": {"events": value.bad.control, "installs": value.of.control},
        "platforms": [_on_platform(each) for each in value.platforms],
    }


def _on_platform(value: OnPlatform) -> JsonObject:
    """Return one platform. Of first events it is not known by platform among how many they were."""
    known = value.known if value.known.total else None
    return {
        "platform": value.platform,
        "held": value.held,
        "log_e": value.log_e,
        "candidate": {
            "events": value.bad.candidate,
            "installs": None if known is None else known.candidate,
        },
        "control": {
            "events": value.bad.control,
            "installs": None if known is None else known.control,
        },
    }


def _gate(value: Shown) -> JsonObject:
    return {
        "metric": str(value.metric),
        "margin": value.limit,
        "log_e": _number(value.log_e),
        "needed": value.needed,
        "passes": value.passes,
    }


def _line(value: Reached) -> JsonObject:
    return {
        "name": value.name,
        "failed": value.k,
        "known": value.n,
        "ceiling": value.ceiling,
        "log_e": _number(value.log_e),
        "needed": _number(value.needed),
        "reached": value.is_reached,
    }


def _arms(value: Arms) -> dict[str, Any]:
    return {"candidate": value.candidate, "control": value.control}


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
