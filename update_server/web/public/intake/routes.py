"""``POST /api/{project}/envelope/`` and ``…/minidump/``: apps report crashes and sessions.

Keys stand in queries and paths, so neither is written down here, nor by the web server.
"""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.types import WSGIEnvironment

from flask import Blueprint, Response, request

from update_server.web.public import answers
from update_server.web.public.answers import Bytes
from update_server.web.public.intake import replies
from update_server.web.public.intake.bodies import Turns
from update_server.web.public.intake.dump_forms import parse_dump
from update_server.web.public.intake.key import key_of, query_of
from update_server.web.public.services import PublicServices


def blueprint(services: PublicServices) -> Blueprint:
    """Return the endpoints of crash intake."""
    bp = Blueprint("intake", __name__)
    turns = Turns()

    @bp.route("/api/<int:project>/envelope/", methods=["POST", "OPTIONS"])
    def post_envelope(project: int) -> Response:
        return _answer(lambda environ: envelope(services, turns, project, environ))

    @bp.route("/api/<int:project>/minidump/", methods=["POST", "OPTIONS"])
    def post_minidump(project: int) -> Response:
        return _answer(lambda environ: minidump(services, turns, project, None, environ))

    @bp.route("/api/<int:project>/minidump/<token>", methods=["POST", "OPTIONS"])
    def post_minidump_with_token(project: int, token: str) -> Response:
        return _answer(lambda environ: minidump(services, turns, project, token, environ))

    return bp


def envelope(
    services: PublicServices, turns: Turns, project: int, environ: WSGIEnvironment
) -> Bytes:
    """Take in an envelope of a crash SDK."""
    reports, key = services.reports, key_of(environ)
    if key is not None:
        reports.sender(project, key)  # with a wrong one, nothing is worth reading
    address = services.proxies.client_of(environ)
    with turns.body(environ, is_form=False) as body:
        taken = reports.take(project, key, body, address=address)
    return replies.taken(taken.id, taken.shed)


def minidump(
    services: PublicServices,
    turns: Turns,
    project: int,
    token: str | None,
    environ: WSGIEnvironment,
) -> Bytes:
    """Take in a form of a crash handler."""
    sender = services.reports.sender(project, token or key_of(environ))
    with turns.body(environ, is_form=True) as body:
        query = {name: texts[0] for name, texts in query_of(environ).items()}
        form = parse_dump(body, environ.get("CONTENT_TYPE", ""), query)
        address = services.proxies.client_of(environ)
        taken = services.reports.take_dump(sender, form, address=address)
    return replies.dump_taken(taken.id or "", taken.shed)


def _answer(take: Callable[[WSGIEnvironment], Bytes]) -> Response:
    if request.method == "OPTIONS":
        return answers.to_flask(replies.preflight())
    try:
        return answers.to_flask(take(request.environ))
    except Exception as error:  # noqa: BLE001 - the edge: problem_for logs what is our fault
        return answers.to_flask(replies.refused(error))
