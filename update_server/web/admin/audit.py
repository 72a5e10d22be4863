"""``…/audit``: who did what, newest first."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers
from update_server.web.admin.queries import cursor_asked, limit_asked
from update_server.web.admin.replies import listing
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints: the record of one app, and of all."""
    bp = Blueprint("audit", __name__)

    def records(app: str | None) -> Response:
        found, next_seq = services.audit.page(app, before_seq=cursor_asked(), limit=limit_asked())
        return listing((answers.audit(record) for record in found), next_seq)

    @bp.get("/v1/admin/apps/<name:app>/audit")
    def get_audit(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return records(app)

    @bp.get("/v1/admin/audit")
    def get_whole_audit() -> Response:
        caller = guard.require(Role.VIEWER)
        return records(caller.app)

    return bp
