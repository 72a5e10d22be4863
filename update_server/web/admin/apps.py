"""``/v1/admin/apps``: which apps there are, and taking one in."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.replies import Reply, page, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("apps", __name__)

    @bp.get("/v1/admin/apps")
    def get_apps() -> Response:
        caller = guard.require(Role.VIEWER)
        return page(services.apps.all(caller.app), answers.app)

    @bp.post("/v1/admin/apps")
    def post_app() -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddApp)
        name = wire_admin.app_name(body.app)
        guard.require(Role.ADMIN, name)
        channels = wire_admin.channel_names(body.channels)
        platforms = wire_admin.platform_names(body.platforms)

        def add() -> Reply:
            known, is_new = services.apps.add(caller, name, channels, platforms)
            return Reply(body=answers.known_app(known), status=201 if is_new else 200)

        return replayed(services.replays, caller, data, add)

    @bp.get("/v1/admin/apps/<name:app>")
    def get_app(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return Reply(body=answers.known_app(services.apps.get(app))).response()

    return bp
