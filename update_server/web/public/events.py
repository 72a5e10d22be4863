"""``POST /v1/apps/{app}/events``: an install tells what happened."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.web.public import answers
from update_server.web.public.services import PublicServices


def blueprint(services: PublicServices) -> Blueprint:
    """Return the events endpoint."""
    bp = Blueprint("events", __name__)

    @bp.post("/v1/apps/<app>/events")
    def post_events(app: str) -> Response:
        answered = answers.answer(answers.events, services, app, request.environ)
        return answers.to_flask(answered)

    return bp
