"""``/enrol`` and ``/forget``: an install joins a group, or wants nothing known of it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.web import wire, wire_public
from update_server.web.errors import NO_STORE
from update_server.web.public import answers
from update_server.web.public.services import PublicServices


def blueprint(services: PublicServices) -> Blueprint:
    """Return both endpoints."""
    bp = Blueprint("enrol", __name__)

    @bp.post("/v1/apps/<app>/enrol")
    def post_enrol(app: str) -> Response:
        install_id, code = wire_public.parse_enrol(wire.read_body(request))
        enrolled = services.enrol.enrol(app, install_id, code)
        body = wire_public.EnrolOut(group=enrolled.group, credential=enrolled.credential)
        return answers.to_flask(answers.json_bytes(200, wire.render(body)))

    @bp.post("/v1/apps/<app>/forget")
    def post_forget(app: str) -> Response:
        install_id, token = wire_public.parse_forget(wire.read_body(request))
        services.forget.forget(app, install_id, token)
        return Response(status=204, headers={"Cache-Control": NO_STORE})

    return bp
