"""``…/releases``: what was published."""

from __future__ import annotations

from flask import Blueprint, Response, request
from packaging.version import Version

from update_server.service.ports import Role
from update_server.web import wire_admin
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part, part_asked
from update_server.web.admin.replies import answered, cut
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("releases", __name__)

    @bp.get("/v1/admin/apps/<name:app>/releases")
    def get_releases(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(page_body(services, app, part_asked()))

    @bp.get("/v1/admin/apps/<name:app>/releases/<name:version>")
    def get_release(app: str, version: str) -> Response:
        guard.require(Role.VIEWER, app)
        text = request.args.get("channel")
        channel = None if text is None else wire_admin.channel_name(text)
        return answered(body(services, app, wire_admin.version_of(version), channel))

    return bp


def page_body(services: AdminServices, app: str, part: Part) -> JsonObject:
    """Return a part of the app's releases."""
    start = part.cursor or 0
    found = services.report.releases(app, start=start, limit=part.limit + 1)
    return cut(found, answers.release, part)


def body(
    services: AdminServices, app: str, version: Version, channel: str | None = None
) -> JsonObject:
    """Return one version, on *channel* or on whichever has it."""
    return answers.release(services.report.release(app, version, channel))
