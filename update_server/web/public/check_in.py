"""``POST /v1/apps/{app}/check-in``: an install asks what to run."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.web.public import answers
from update_server.web.public.services import PublicServices


def blueprint(services: PublicServices) -> Blueprint:
    """Return the check-in endpoint."""
    bp = Blueprint("check_in", __name__)

    @bp.post("/v1/apps/<app>/check-in")
    def post_check_in(app: str) -> Response:
        answered = answers.answer(answers.check_in, services, app, request.environ)
        return answers.to_flask(answered)

    return bp
