"""``…/telemetry``: what arrives, what does not, and how far to trust it."""

from __future__ import annotations

from flask import Blueprint, Response

from rollout.model import RolloutId
from rollout.versions import render_version
from update_server.service.ports import Role
from update_server.service.telemetry.health import (
    MOST_HOURS,
    Arrivals,
    RolloutTelemetry,
    TelemetryView,
    Unequal,
)
from update_server.service.telemetry.levels import ArmLevels
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.quarantine import counted
from update_server.web.admin.queries import number_asked
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("telemetry", __name__)

    @bp.get("/v1/admin/apps/<name:app>/telemetry")
    def get_telemetry(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        hours = number_asked("hours", default=MOST_HOURS, most=MOST_HOURS)
        return answered(body(services, app, hours))

    @bp.get("/v1/admin/apps/<name:app>/rollouts/<name:rollout>/telemetry")
    def get_of_rollout(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(rollout_body(services, app, RolloutId(rollout)))

    return bp


def body(services: AdminServices, app: str, hours: int = MOST_HOURS) -> JsonObject:
    """Return what arrived in the last *hours*, what did not, and how far to trust it."""
    view = services.telemetry.look(app, hours)
    return {**_view(view), "passed_on_to": services.passed_on_to(app)}


def rollout_body(services: AdminServices, app: str, rollout: RolloutId) -> JsonObject:
    """Return how far to trust what the installs of one rollout tell."""
    return trust(services, services.telemetry.of_rollout(app, rollout))


def trust(services: AdminServices, view: RolloutTelemetry) -> JsonObject:
    """Return *view* as values that JSON has, and to whom the app's reports are passed on."""
    return {**_rollout(view), "passed_on_to": services.passed_on_to(view.rollout.app)}


def _view(value: TelemetryView) -> JsonObject:
    return {
        "hours": value.hours,
        "step_seconds": value.step_seconds,
        "newest_at": None if value.newest_at is None else render_time(value.newest_at),
        "arrivals": [_arrivals(each) for each in value.arrivals],
        "rejected": value.rejected,
        "sdk_discards": value.discards,
        "clocks": {
            "median_drift_seconds": value.median_drift_seconds,
            "requests_by_drift_seconds": value.clocks,
        },
        "quarantine": [counted(each) for each in value.quarantine],
        "rollouts": [_rollout(each) for each in value.rollouts],
    }


def _arrivals(value: Arrivals) -> JsonObject:
    return {
        "at": render_time(value.at),
        "kind": value.kind,
        "events": value.events,
        "set_aside": value.set_aside,
        "rejected": value.rejected,
        "late_seconds": value.late_seconds,
    }


def _rollout(value: RolloutTelemetry) -> JsonObject:
    return {
        "rollout": value.rollout.id,
        "version": render_version(value.rollout.version),
        "channel": value.rollout.channel,
        "counted_at": None if value.counted_at is None else render_time(value.counted_at),
        "levels": [
            {"arm": each.arm, "level": each.level, "installs": each.installs}
            for each in value.levels
        ],
        "arms": [arm_levels(each) for each in value.arms],
        "age_gate": value.age_gate,
        "set_aside": [_unequal(each) for each in value.set_aside],
    }


def arm_levels(value: ArmLevels) -> JsonObject:
    """Return how many installs of an arm opted out, and how many tell of crashes."""
    return {
        "arm": value.arm,
        "installs": value.installs,
        "opted_out": value.opted_out,
        "send_crashes": value.send_crashes,
    }


def _unequal(value: Unequal) -> JsonObject:
    return {
        "rule": value.rule,
        "candidate": value.candidate,
        "control": value.control,
        "candidates_due": value.candidates_due,
        "log_e": value.log_e,
        "needed": value.needed,
    }
