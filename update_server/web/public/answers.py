"""The two hot routes as bytes in, bytes out: both roads to them call these.

``check_in.py`` and ``events.py`` are the plain Flask views, ``fast_path.py`` is the way
around Flask (docs/adr/0008). A test proves that both give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from wsgiref.types import WSGIEnvironment

from flask import Response

from update_server.web import wire, wire_events, wire_public
from update_server.web.errors import NO_STORE, problem_for
from update_server.web.public.services import PublicServices

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Bytes:
    """A finished answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


Handler = Callable[[PublicServices, str, bytes, WSGIEnvironment], Bytes]
"""Answers (services, app, body of the request, the request)."""


def json_bytes(status: int, body: bytes) -> Bytes:
    """Return a JSON answer that no cache may keep."""
    headers = (
        ("Content-Type", JSON),
        ("Content-Length", str(len(body))),
        ("Cache-Control", NO_STORE),
    )
    return Bytes(status, body, headers)


def check_in(services: PublicServices, app: str, body: bytes, environ: WSGIEnvironment) -> Bytes:
    """Answer a check-in."""
    address = services.proxies.client_of(environ)
    answer = services.check_ins.answer(app, wire_public.parse_check_in(body), address=address)
    return json_bytes(200, wire_public.render_answer(answer))


def events(services: PublicServices, app: str, body: bytes, _: WSGIEnvironment) -> Bytes:
    """Take events in; 202 once they are durable."""
    receipt = services.ingest.accept(app, wire_events.parse_events(body))
    return json_bytes(202, wire_events.render_receipt(receipt))


def answer(handler: Handler, services: PublicServices, app: str, environ: WSGIEnvironment) -> Bytes:
    """Read the request's body and return what *handler* answers, or the problem with it."""
    try:
        return handler(services, app, wire.read_environ(environ), environ)
    except Exception as error:  # noqa: BLE001 - the edge: problem_for logs what is our fault
        problem = problem_for(error)
        body = problem.body()
        headers = (*problem.header_items(), ("Content-Length", str(len(body))))
        return Bytes(problem.status, body, headers)


def to_flask(answered: Bytes) -> Response:
    """Return *answered* as Flask sends it."""
    return Response(answered.body, status=answered.status, headers=list(answered.headers))
