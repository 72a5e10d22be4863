"""``…/explain``: what an install would get, and why, rule by rule."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response

from update_server.service.ports import App, Role
from update_server.service.rollouts.explain import Question
from update_server.web.admin import explanations
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import instant_asked, question_asked
from update_server.web.admin.replies import answered
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("explain", __name__)

    @bp.get("/v1/admin/apps/<name:app>/explain")
    def get_explain(app: str) -> Response:
        guard.require(Role.VIEWER, app)
        known = services.apps.named(app)
        question = question_asked(known.channels, known.platforms)
        return answered(body(services, known, question, at=instant_asked("at")))

    return bp


def body(
    services: AdminServices, app: App, question: Question, *, at: datetime | None = None
) -> JsonObject:
    """Return what the install in question would get now or *at* an instant, and why."""
    found = services.explain.explain(app.name, question, at=at, known=app)
    return explanations.explanation(app.name, question, found)
