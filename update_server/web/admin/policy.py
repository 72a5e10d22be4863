"""``…/policy``: the signed bounds of a channel; and what they would make of its last rollouts."""

from __future__ import annotations

from flask import Blueprint, Response

from rollout.model import Step
from update_server.evidence.settings import STANDARD
from update_server.service.ports import Role
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.past_rollouts import PastRollout
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import number_asked, one_of
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("policy", __name__)

    @bp.get("/v1/admin/apps/<name:app>/policy")
    def get_policy(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        channel = one_of("channel", services.apps.named(app).channels)
        return answered(body(services, app, channel))

    @bp.get("/v1/admin/apps/<name:app>/policy/past")
    def get_past(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        channel = one_of("channel", services.apps.named(app).channels)
        return answered(
            past_body(services, app, channel, number_asked("limit", default=10, most=50))
        )

    return bp


def body(services: AdminServices, app: str, channel: str) -> JsonObject:
    """Return the policy in force on a channel, and by which gates its steps are left."""
    view = services.report.policy(app, channel)
    return {
        **answers.policy(view),
        "gates": [_gate(step) for step in view.policy.ramp],
    }


def past_body(services: AdminServices, app: str, channel: str, limit: int) -> JsonObject:
    """Return the last *limit* rollouts of a channel, newest first, under the policy in force."""
    found = services.decisions.past(app, channel, limit)
    return {"channel": channel, "items": [_past(each) for each in found]}


def _gate(step: Step) -> JsonObject:
    """Return what it takes to leave a step, unless its rollout brings terms of its own."""
    gate = None if step.exposure_bp is None else STANDARD.gate_for(step.exposure_bp)
    return {
        "ring": step.ring,
        "exposure_bp": step.exposure_bp,
        "margin": gate and gate.margin,
        "silence": gate and gate.silence,
    }


def _past(value: PastRollout) -> JsonObject:
    it = value.rollout
    return {
        "rollout": it.id,
        "version": str(it.version),
        "state": it.state.value,
        "ring": it.step.ring,
        "started_at": render_time(it.started_at),
        "same_ladder": value.same_ladder,
        "promoted": [_decided(each) for each in value.promoted],
        "stopped": value.stopped and _decided(value.stopped),
        "would": value.would.value,
        "why": value.why,
    }


def _decided(value: StoredDecision) -> JsonObject:
    record = value.record
    return {
        "decision": value.id,
        "at": render_time(value.at),
        "verdict": value.verdict,
        "ring": record["ring"],
        "exposure_bp": record["exposure_bp"],
        "cause_metric": record["cause_metric"],
        "way": record.get("way"),
        "outcome": value.outcome,
    }
