"""``…/signing``: what a publisher builds upon, and what a publisher has signed."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web import wire, wire_admin
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import Reply, answered, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("signing", __name__)

    @bp.get("/v1/admin/apps/<name:app>/signing")
    def get_signing(app: str) -> Response:
        guard.require(Role.PUBLISHER, app)
        return answered(body(services, app))

    @bp.post("/v1/admin/apps/<name:app>/signing")
    def post_signing(app: str) -> Response:
        caller = guard.require(Role.PUBLISHER, app)
        data = wire.read_body(request, wire_admin.MAX_SIGNING_BODY_BYTES)
        asked = wire_admin.parse(data, wire_admin.Submission)
        metadata = {role: text.encode() for role, text in asked.metadata.items()}

        def submit() -> Reply:
            submitted = services.publisher.submit(caller, app, metadata, asked.base)
            return Reply(body=answers.submitted(submitted))

        return replayed(services.replays, caller, data, submit)

    return bp


def body(services: AdminServices, app: str) -> JsonObject:
    """Return what a publisher of *app* builds upon."""
    return answers.signing(services.publisher.view(app))
