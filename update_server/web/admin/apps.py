"""``/v1/admin/apps``: which apps there are, and taking one in."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import Reply, answered, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("apps", __name__)

    @bp.get("/v1/admin/apps")
    def get_apps() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.post("/v1/admin/apps")
    def post_app() -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        asked = wire_admin.parse(data, wire_admin.AddApp)
        name = wire_admin.app_name(asked.app)
        guard.require(Role.ADMIN, name)
        channels = wire_admin.channel_names(asked.channels)
        platforms = wire_admin.platform_names(asked.platforms)

        def add() -> Reply:
            known, is_new = services.apps.add(caller, name, channels, platforms)
            return Reply(body=answers.known_app(known), status=201 if is_new else 200)

        return replayed(services.replays, caller, data, add)

    @bp.get("/v1/admin/apps/<name:app>")
    def get_app(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app))

    return bp


def body(services: AdminServices, app: str) -> JsonObject:
    """Return one app with its online keys."""
    return answers.known_app(services.apps.get(app))


def names(services: AdminServices, app: str | None) -> list[str]:
    """Return which apps somebody sees: all, or the only one that may be seen."""
    return [each.name for each in services.apps.all(app)]


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the list of apps: all, or the only one that may be seen."""
    return paged(services.apps.all(app), answers.app, part)
