"""``…/holds``: known risks that keep a slice of installs where they are."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked, reason_asked
from update_server.web.admin.replies import Reply, answered, nothing, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("holds", __name__)

    @bp.get("/v1/admin/apps/<name:app>/holds")
    def get_holds(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.post("/v1/admin/apps/<name:app>/holds")
    def post_hold(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddHold)
        channel = wire_admin.channel_name(body.channel)
        rollout = None if body.rollout is None else wire_admin.rollout_id(body.rollout)

        def add() -> Reply:
            held = services.holds.add(
                caller,
                app,
                channel,
                title=body.title,
                link=body.link,
                audience=wire_admin.audience_of(body.audience),
                reason=body.reason,
                rollout=rollout,
            )
            return Reply(body=answers.hold(held), status=201)

        return replayed(services.replays, caller, data, add)

    @bp.delete("/v1/admin/apps/<name:app>/holds/<name:hold>")
    def delete_hold(app: str, hold: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.holds.lift(caller, app, hold, reason=reason_asked())
        return nothing()

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the holds in force."""
    return paged(services.holds.all(app), answers.hold, part)
