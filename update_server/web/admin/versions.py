"""``…/versions``: what runs out there, and how often."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import answered, paged
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("versions", __name__)

    @bp.get("/v1/admin/apps/<name:app>/versions")
    def get_versions(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the counts of what runs."""
    return paged(services.report.versions(app), answers.version, part)
