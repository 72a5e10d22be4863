"""``…/enrolments``: codes that let installs into a group."""

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
    bp = Blueprint("enrolments", __name__)

    @bp.get("/v1/admin/apps/<name:app>/enrolments")
    def get_enrolments(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.post("/v1/admin/apps/<name:app>/enrolments")
    def post_enrolment(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddEnrolment)
        group = wire_admin.group_name(body.group, "group")

        def issue() -> Reply:
            code, secret = services.groups.issue_code(
                caller, app, group, body.uses, body.expires_in_seconds
            )
            shown = {**answers.enrolment(code), "code": secret}
            return Reply(body=shown, status=201, secrets=("code",))

        return replayed(services.replays, caller, data, issue)

    @bp.delete("/v1/admin/apps/<name:app>/enrolments/<name:code>")
    def delete_enrolment(app: str, code: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        services.groups.revoke_code(caller, app, code)
        return nothing()

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the app's enrolment codes."""
    return paged(services.groups.codes(app), answers.enrolment, part)
