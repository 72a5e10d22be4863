"""``…/explain``: what an install would get, and why, rule by rule."""

from __future__ import annotations

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.service.rollouts.explain import Question
from update_server.web.admin import answers
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import question_asked
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
        return answered(body(services, app, question))

    return bp


def body(services: AdminServices, app: str, question: Question) -> JsonObject:
    """Return what the install in question would get, and why."""
    return answers.explanation(services.explain.explain(app, question))
