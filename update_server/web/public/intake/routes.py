"""``POST /api/{project}/envelope/`` and ``…/minidump/``: apps report crashes and sessions.

Keys stand in queries and paths, so neither is written down here, nor by the web server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from wsgiref.types import WSGIEnvironment

from flask import Blueprint, Response, request

from update_server.service.errors import BadKeyError
from update_server.web.public import answers
from update_server.web.public.answers import Bytes
from update_server.web.public.intake import replies
from update_server.web.public.intake.bodies import Turns
from update_server.web.public.intake.dump_forms import parse_dump
from update_server.web.public.intake.key import key_of, query_of
from update_server.web.public.services import PublicServices

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


def blueprint(services: PublicServices) -> Blueprint:
    """Return the endpoints of crash intake."""
    bp = Blueprint("intake", __name__)
    turns = Turns()

    @bp.route("/api/<project>/envelope/", methods=["POST", "OPTIONS"])
    def post_envelope(project: str) -> Response:
        return _answer(lambda environ: envelope(services, turns, project, environ))

    @bp.route("/api/<project>/minidump/", methods=["POST", "OPTIONS"])
    def post_minidump(project: str) -> Response:
        return _answer(lambda environ: minidump(services, turns, project, None, environ))

    @bp.route("/api/<project>/minidump/<token>", methods=["POST", "OPTIONS"])
    def post_minidump_with_token(project: str, token: str) -> Response:
        return _answer(lambda environ: minidump(services, turns, project, token, environ))

    return bp


def envelope(
    services: PublicServices, turns: Turns, project: str, environ: WSGIEnvironment
) -> Bytes:
    """Take in an envelope of a crash SDK."""
    reports, key, number = services.reports, key_of(environ), _number(project)
    if key is not None:
        reports.sender(number, key)  # with a wrong one, nothing is worth reading
    address = services.proxies.client_of(environ)
    with turns.body(environ, is_form=False, network=reports.network(address)) as body:
        taken = reports.take(number, key, body, address=address)
        if services.tee is not None:
            services.tee.pass_on(taken.app, body)
    return replies.taken(taken.id, taken.shed)


def minidump(
    services: PublicServices,
    turns: Turns,
    project: str,
    token: str | None,
    environ: WSGIEnvironment,
) -> Bytes:
    """Take in a form of a crash handler."""
    reports = services.reports
    sender = reports.sender(_number(project), token or key_of(environ))
    address = services.proxies.client_of(environ)
    with turns.body(environ, is_form=True, network=reports.network(address)) as body:
        query = {name: texts[0] for name, texts in query_of(environ).items()}
        form = parse_dump(body, environ.get("CONTENT_TYPE", ""), query)
        taken = reports.take_dump(sender, form, address=address)
    return replies.dump_taken(taken.id or "", taken.shed)


def _number(project: str) -> int:
    if not _NUMBER.fullmatch(project):
        raise BadKeyError
    return int(project)


def _answer(take: Callable[[WSGIEnvironment], Bytes]) -> Response:
    if request.method == "OPTIONS":
        return answers.to_flask(replies.preflight())
    try:
        return answers.to_flask(take(request.environ))
    except Exception as error:  # noqa: BLE001 - the edge: problem_for logs what is our fault
        return answers.to_flask(replies.refused(error))
