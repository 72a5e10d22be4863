"""``…/versions``: what runs out there, and how often."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers
from update_server.web.admin.replies import page
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("versions", __name__)

    @bp.get("/v1/admin/apps/<name:app>/versions")
    def get_versions(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return page(services.report.versions(app), answers.version)

    return bp
