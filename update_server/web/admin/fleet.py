"""``…/fleet``: the installs as a whole, and those that should have moved on."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from flask import Blueprint, Response

from rollout.versions import render_version
from update_server.service.ports import Role
from update_server.service.rollouts.fleet import FleetView
from update_server.service.rollouts.stragglers import BelowFloor, OnPulled
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


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
    behind = services.stragglers.look(app)
    return {
        **rendered(services.fleets.view(app)),
        "floors": [_floor(each) for each in behind.floors],
        "pulled": [_pulled(each) for each in behind.pulled],
    }


def rendered(view: FleetView) -> JsonObject:
    """Return *view* as values that JSON has."""
    gaps = view.gaps
    return {
        "installs": view.installs,
        "platforms": dict(view.platforms),
        "sampled": view.sampled,
        "sampled_at": render_time(datetime.fromtimestamp(view.sampled_at, UTC)),
        "aged": view.aged,
        "gap_seconds": gaps and {"p10": gaps.p10, "p50": gaps.p50, "p90": gaps.p90},
        "check_ins_a_day": view.check_ins_a_day,
        "crash_a_day": view.crash_a_day,
        "install_days": view.install_days,
    }


def _floor(value: BelowFloor) -> JsonObject:
    return {
        "channel": value.channel,
        "installs": value.installs,
        "floor": value.floor and render_version(value.floor),
        "below": value.below,
        "must_reach": [
            {
                "version": render_version(each.must_reach.version),
                "after": render_time(each.must_reach.after),
                "below": each.installs,
            }
            for each in value.behind
        ],
    }


def _pulled(value: OnPulled) -> JsonObject:
    it, recount = value.rollout, value.recount
    plan = None if recount is None else recount.pull
    return {
        "rollout": it.id,
        "channel": it.channel,
        "version": render_version(it.version),
        "pulled_at": render_time(it.changed_at),
        "replacement": it.replacement and render_version(it.replacement),
        "running": value.running,
        "counted_at": render_time(recount.counted_at) if recount and plan else None,
        "counts": plan and asdict(plan),
    }
