"""``…/waivers``: crashes that are known and accepted for some time."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.service.ports.waivers import Waiver
from update_server.web import wire, wire_admin
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked, reason_asked
from update_server.web.admin.replies import Reply, answered, nothing, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.wire import render_time


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("waivers", __name__)

    @bp.get("/v1/admin/apps/<name:app>/waivers")
    def get_waivers(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.post("/v1/admin/apps/<name:app>/waivers")
    def post_waiver(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddWaiver)
        channel = wire_admin.channel_name(body.channel)
        version = wire_admin.version_of(body.version)

        def add() -> Reply:
            waiver = services.waivers.add(
                caller,
                app,
                channel,
                version,
                body.signature,
                expires_at=wire_admin.utc(body.expires_at),
                reason=body.reason,
            )
            return Reply(body=_waiver(waiver), status=201)

        return replayed(services.replays, caller, data, add)

    @bp.delete("/v1/admin/apps/<name:app>/waivers/<name:waiver>")
    def delete_waiver(app: str, waiver: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.waivers.remove(caller, app, waiver, reason=reason_asked())
        return nothing()

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the waivers in force."""
    return paged(services.waivers.all(app), _waiver, part)


def _waiver(value: Waiver) -> JsonObject:
    return {
        "id": value.id,
        "channel": value.channel,
        "version": str(value.version),
        "signature": value.signature,
        "expires_at": render_time(value.expires_at),
        "reason": value.reason,
        "created_at": render_time(value.created_at),
        "created_by": value.created_by,
    }
