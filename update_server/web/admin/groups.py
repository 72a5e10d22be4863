"""``…/groups``: named sets of installs."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import Reply, answered, nothing, paged, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("groups", __name__)

    @bp.get("/v1/admin/apps/<name:app>/groups")
    def get_groups(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.post("/v1/admin/apps/<name:app>/groups")
    def post_group(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddGroup)
        name = wire_admin.group_name(body.name, "name")

        def add() -> Reply:
            group, is_new = services.groups.add(caller, app, name)
            return Reply(body=answers.group(group), status=201 if is_new else 200)

        return replayed(services.replays, caller, data, add)

    @bp.delete("/v1/admin/apps/<name:app>/groups/<name:group>")
    def delete_group(app: str, group: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.groups.remove(caller, app, group)
        return nothing()

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the app's groups."""
    return paged(services.groups.all(app), answers.group, part)
