"""``…/rollouts/{rollout}/series`` and ``…/crashes/{signature}/hours``: what is drawn over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from flask import Blueprint, Response, request

from rollout.model import RolloutId
from update_server.service.ports import Role
from update_server.service.ports.series import StudyPoint
from update_server.service.studies.series import Hours, SeriesView
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time
from update_server.web.wire_admin import rollout_id

_APP: Final = "/v1/admin/apps/<name:app>"


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("series", __name__)

    @bp.get(f"{_APP}/rollouts/<name:rollout>/series")
    def get_series(app: str, rollout: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app, RolloutId(rollout)))

    @bp.get(f"{_APP}/crashes/<name:signature>/hours")
    def get_hours(app: str, signature: str) -> Response:
        guard.require(Role.VIEWER, app)
        named = request.args.get("rollout")
        rollout = None if named is None else rollout_id(named)
        services.apps.named(app)
        return answered(hours_body(services, app, [signature], rollout))

    return bp


def body(services: AdminServices, app: str, rollout: RolloutId) -> JsonObject:
    """Return the evidence about a rollout over time, oldest first, and its crashes by hour."""
    return rendered(services.series.of_rollout(app, rollout))


def rendered(view: SeriesView) -> JsonObject:
    """Return *view* as values that JSON has."""
    return {
        "rollout": view.rollout.id,
        "version": str(view.rollout.version),
        "alpha": view.alpha,
        "metrics": [
            {
                "metric": each.metric,
                "weight": each.weight,
                "needed": each.needed,
                "advisory": each.advisory,
            }
            for each in view.limits
        ],
        "points": [_point(each) for each in view.points],
        "gaps": [{"from": render_time(a), "to": render_time(b)} for a, b in view.gaps],
        "crashes": _crashes(view.since, view.crashes),
    }


def hours_body(
    services: AdminServices, app: str, signatures: Sequence[str], rollout: RolloutId | None = None
) -> JsonObject:
    """Return in which hours installs first had these crashes, in one *rollout* or in any."""
    since, hours = services.series.of_crash(app, signatures, rollout)
    return _crashes(since, hours)


def _point(value: StudyPoint) -> JsonObject:
    told = value.body
    return {
        "at": _instant(value.at),
        "hours": told["hours"],
        "marked": value.marked,
        "ring": told["ring"],
        "epoch": told["epoch"],
        "verdict": told["verdict"],
        "no_verdict": told["no_verdict"],
        "log_e": told["log_e"],
        "candidate": _arm(told["candidate"]),
        "control": _arm(told["control"]),
    }


def _instant(at: datetime) -> str:
    """Return *at* to the millisecond: a demonstration makes several points a second."""
    return f"{at.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _arm(value: Sequence[Any]) -> JsonObject:
    crashed, installs, low, high = value
    return {"crashed": crashed, "installs": installs, "share_interval_95": [low, high]}


def _crashes(since: datetime, hours: Sequence[Hours]) -> JsonObject:
    return {
        "since": render_time(since),
        "signatures": [
            {
                "signature": each.signature,
                "hours": [{"at": render_time(at), **arms} for at, arms in each.hours.items()],
            }
            for each in hours
        ],
    }
