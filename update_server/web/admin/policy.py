"""``…/policy``: the signed bounds of a channel."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import one_of
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("policy", __name__)

    @bp.get("/v1/admin/apps/<name:app>/policy")
    def get_policy(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        channel = one_of("channel", services.apps.named(app).channels)
        return answered(body(services, app, channel))

    return bp


def body(services: AdminServices, app: str, channel: str) -> JsonObject:
    """Return the policy in force on a channel."""
    return answers.policy(services.report.policy(app, channel))
