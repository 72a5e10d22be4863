"""``…/audit``: who did what, newest first."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import answered, listed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints: the record of one app, and of all."""
    bp = Blueprint("audit", __name__)

    @bp.get("/v1/admin/apps/<name:app>/audit")
    def get_audit(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.get("/v1/admin/audit")
    def get_whole_audit() -> Response:
        caller = guard.require(Role.VIEWER)
        return answered(page_body(services, caller.app, part_asked()))

    return bp


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the record of *app*, or of all that happened."""
    found, next_seq = services.audit.page(app, before_seq=part.cursor, limit=part.limit)
    return listed((answers.audit(record) for record in found), next_seq)
