"""Exact-path dispatch of the two hot routes in front of Flask (docs/adr/0008).

Flask costs some 150 µs a request, a check-in about 6. This is a second road to the same
functions, and nothing else: whatever is not exactly one of them goes to Flask.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from update_server.web.public import answers
from update_server.web.public.answers import Handler
from update_server.web.public.services import PublicServices

_PREFIX: Final = "/v1/apps/"
_HANDLERS: Final[dict[str, Handler]] = {"check-in": answers.check_in, "events": answers.events}
_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class FastPath:
    """A WSGI app that answers check-ins and events, and leaves the rest to *other*."""

    def __init__(self, other: WSGIApplication, services: PublicServices) -> None:
        self._other = other
        self._services = services

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] == "POST" and path.startswith(_PREFIX):
            app, _, route = path[len(_PREFIX) :].partition("/")
            handler = _HANDLERS.get(route)
            # Names beyond ASCII have two spellings in a WSGI path: Flask knows which is meant.
            if handler is not None and app and app.isascii():
                answered = answers.answer(handler, self._services, app, environ)
                start_response(_STATUS_LINES[answered.status], list(answered.headers))
                return [answered.body]
        return self._other(environ, start_response)
