"""``…/settings``: what operators set for the telemetry of their app."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import App, Role
from update_server.service.ports.settings import AppSettings
from update_server.service.telemetry.settings import Change
from update_server.web import wire, wire_telemetry
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import Reply, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("settings", __name__)

    @bp.get("/v1/admin/apps/<name:app>/settings")
    def get_settings(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        known = services.apps.named(app)
        return Reply(body=_settings(known, services.settings.get(app))).response()

    @bp.patch("/v1/admin/apps/<name:app>/settings")
    def patch_settings(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        known = services.apps.named(app)  # not there: told before what is wrong with the body
        data = wire.read_body(request)
        body = wire_telemetry.parse_settings(data)
        change = Change(
            crash_messages=body.crash_messages,
            tags=body.tags,
            new_app_key=body.new_app_key,
            remove_app_key=body.remove_app_key,
            atom=body.atom,
            reason=body.reason,
        )

        def act() -> Reply:
            return Reply(body=_settings(known, services.settings.change(caller, app, change)))

        return replayed(services.replays, caller, data, act)

    return bp


def _settings(app: App, value: AppSettings) -> JsonObject:
    return {
        "project": app.number,
        "crash_messages": value.crash_messages,
        "tags": list(value.tags),
        "app_keys": list(value.app_keys),
        "atom": value.atom,
    }
