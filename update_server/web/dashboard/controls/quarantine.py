"""What becomes of reports that were set aside: accepted or dropped, of both arms alike."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web import wire_telemetry
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import forms
from update_server.web.dashboard.controls import presses
from update_server.web.dashboard.forms import Sent
from update_server.web.dashboard.pages import Pages
from update_server.web.dashboard.views.telemetry import shown

_FIELDS: Final = ("action", "rule", "version", "reason")


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return what the form of the telemetry page does."""
    bp = Blueprint("quarantine_form", __name__)

    @bp.post("/apps/<name:app>/quarantine")
    def decide(app: str) -> Response:
        visitor = pages.door.require_post(Role.OPERATOR, app)
        form = None
        try:
            form = forms.sent(_FIELDS)
            asked = decision_of(form)
            return presses.once(
                services,
                visitor.caller,
                form,
                lambda: services.quarantine.decide(
                    visitor.caller,
                    app,
                    asked.action,
                    asked.rule,
                    version=asked.version,
                    reason=asked.reason,
                ),
                f"/apps/{app}/telemetry#h-asides",
            )
        except presses.REFUSALS as error:
            refusal = presses.refusal_of(error)
            typed = {} if form is None else presses.shown_again(form)
            return shown(
                services, pages, visitor, app, status=refusal.status, refusal=refusal, typed=typed
            )

    return bp


def decision_of(form: Sent) -> wire_telemetry.DecideQuarantine:
    """Return what *form* decides, read as the API reads it. Raises BadFieldError."""
    told = {name: form.get(name) for name in ("action", "rule", "reason")}
    return forms.read_as(
        {**told, "version": form.get("version") or None}, wire_telemetry.parse_decision
    )
