"""``…/fleet``: the installs as a whole, for rehearsals."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.service.rollouts.fleet import FleetView
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("fleet", __name__)

    @bp.get("/v1/admin/apps/<name:app>/fleet")
    def get_fleet(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app))

    return bp


def body(services: AdminServices, app: str) -> JsonObject:
    """Return the app's installs as a whole."""
    return rendered(services.fleets.view(app))


def rendered(view: FleetView) -> JsonObject:
    """Return *view* as values that JSON has."""
    gaps = view.gaps
    return {
        "installs": view.installs,
        "platforms": dict(view.platforms),
        "sampled": view.sampled,
        "aged": view.aged,
        "gap_seconds": gaps and {"p10": gaps.p10, "p50": gaps.p50, "p90": gaps.p90},
        "check_ins_a_day": view.check_ins_a_day,
        "crash_a_day": view.crash_a_day,
        "install_days": view.install_days,
    }
