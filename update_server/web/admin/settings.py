"""``…/settings``: what operators set for the telemetry of their app."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.ports import App, Role
from update_server.service.ports.settings import AppSettings
from update_server.service.telemetry.settings import Change
from update_server.web import wire, wire_telemetry
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.replies import Reply, answered, replayed
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("settings", __name__)

    @bp.get("/v1/admin/apps/<name:app>/settings")
    def get_settings(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        return answered(body(services, app))

    @bp.patch("/v1/admin/apps/<name:app>/settings")
    def patch_settings(app: str) -> Response:
        caller = guard.require(Role.OPERATOR, app)
        known = services.apps.named(app)  # not there: told before what is wrong with the body
        data = wire.read_body(request)
        asked = wire_telemetry.parse_settings(data)
        change = Change(
            crash_messages=asked.crash_messages,
            tags=asked.tags,
            new_app_key=asked.new_app_key,
            remove_app_key=asked.remove_app_key,
            atom=asked.atom,
            reason=asked.reason,
        )

        def act() -> Reply:
            return Reply(body=_settings(known, services.settings.change(caller, app, change)))

        return replayed(services.replays, caller, data, act)

    return bp


def body(services: AdminServices, app: str) -> JsonObject:
    """Return what is set for the telemetry of *app*."""
    return _settings(services.apps.named(app), services.settings.get(app))


def _settings(app: App, value: AppSettings) -> JsonObject:
    return {
        "project": app.number,
        "crash_messages": value.crash_messages,
        "tags": list(value.tags),
        "app_keys": list(value.app_keys),
        "atom": value.atom,
    }
