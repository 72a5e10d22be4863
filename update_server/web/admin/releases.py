"""``…/releases``: what was published."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire_admin
from update_server.web.admin import answers
from update_server.web.admin.replies import Reply, page
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("releases", __name__)

    @bp.get("/v1/admin/apps/<name:app>/releases")
    def get_releases(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return page(services.report.releases(app), answers.release)

    @bp.get("/v1/admin/apps/<name:app>/releases/<name:version>")
    def get_release(app: str, version: str) -> Response:
        guard.require(Role.VIEWER, app)
        text = request.args.get("channel")
        channel = None if text is None else wire_admin.channel_name(text)
        found = services.report.release(app, wire_admin.version_of(version), channel)
        return Reply(body=answers.release(found)).response()

    return bp
