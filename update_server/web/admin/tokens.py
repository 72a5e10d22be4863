"""``/v1/admin/tokens``: API tokens. One of an app's tokens sees and makes only its app's."""

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
from update_server.web.errors import ForbiddenError


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("tokens", __name__)

    @bp.get("/v1/admin/tokens")
    def get_tokens() -> Response:
        caller = guard.require(Role.ADMIN)
        return answered(page_body(services, caller.app, part_asked()))

    @bp.post("/v1/admin/tokens")
    def post_token() -> Response:
        caller = guard.require(Role.ADMIN)
        data = wire.read_body(request)
        body = wire_admin.parse(data, wire_admin.AddToken)
        app = None if body.app is None else wire_admin.app_name(body.app)
        if caller.app is not None and app != caller.app:
            raise ForbiddenError(Role.ADMIN.value)

        def issue() -> Reply:
            token, secret = services.tokens.issue(
                caller, body.name, body.role, app, body.expires_in_seconds
            )
            shown = {**answers.token(token), "token": secret}
            return Reply(body=shown, status=201, secrets=("token",))

        return replayed(services.replays, caller, data, issue)

    @bp.delete("/v1/admin/tokens/<name:token>")
    def delete_token(token: str) -> Response:
        caller = guard.require(Role.ADMIN)
        services.tokens.revoke(caller, token)
        return nothing()

    return bp


def page_body(services: AdminServices, app: str | None, part: Part) -> JsonObject:
    """Return a part of the tokens, of one app or of all."""
    return paged(services.tokens.all(app), answers.token, part)
