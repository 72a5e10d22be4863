"""How every page is shown: what all of them have, their headers, and the pieces that stay live.

A view gathers what the API answers and names a template; the rest is here. A live page asks
every second for its *pieces*: blocks of its own template, each of which stands in an element
whose ``id`` is the block's name. No piece holds a form or a ``<details>``: what somebody
types, has open or has in focus is never touched.

When the database does not answer, whoever was shown a page is shown it again, with its age.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import Response, render_template, request, url_for
from flask.globals import current_app
from markupsafe import Markup

from update_server.service.ports import Role
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Door, SignInNeededError, Visitor, safe_path
from update_server.web.errors import Problem, problem_for
from update_server.web.wire import render_time

_log = logging.getLogger(__name__)

STATIC: Final = Path(__file__).parent / "static"

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # no-referrer would have browsers send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page."""

LIVE: Final = "live"
"""The query parameter that asks for a page's pieces alone."""

_BASE: Final = "base.html"  # of all live pages
_HTML: Final = "text/html; charset=utf-8"
_SUFFIX: Final = " · Serinus"  # of all titles
_KEPT: Final = 64
_UNAVAILABLE: Final = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What somebody was shown, and when."""

    at: datetime
    main: Markup
    title: Markup


class Pages:
    """Shows pages to whoever the door lets in."""

    def __init__(self, services: AdminServices, door: Door) -> None:
        self._services = services
        self.door = door
        self._kept: OrderedDict[tuple[str, str, bytes], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the instant of a page: one for all that it shows."""
        return self._services.clock.now()

    def show(
        self,
        template: str,
        visitor: Visitor,
        *,
        app: str | None = None,
        pieces: Sequence[str] = (),
        status: int = 200,
        **context: Any,
    ) -> Response:
        """Return the page, or its *pieces* where the request asks for these alone.

        Templates know ``visitor``, ``app`` (the one that the page is about), ``apps`` (names,
        where it is about none) and ``now``.
        """
        now = context.pop("now", None) or self.now()
        shared = {
            "visitor": visitor,
            "apps": ()
            if app
            else [each.name for each in self._services.apps.all(visitor.caller.app)],
            "app": app,
            "now": now,
            "pieces": tuple(pieces),
            "may_act": visitor.may(Role.OPERATOR),
            **context,
        }
        if pieces and LIVE in request.args:
            return html(_pieces_of(template, pieces, shared), status)
        text = render_template(template, **shared)
        if status < 400 and request.method == "GET":  # noqa: PLR2004 - HTTP's
            self._keep(visitor, now, text)
        return html(text, status)

    def refused(self, error: Exception) -> Response:
        """Return the page that says why there is none: one sentence, a code, a way back."""
        if isinstance(error, SignInNeededError):
            return self._to_sign_in(error)
        problem = problem_for(error)
        if problem.status == _UNAVAILABLE:
            return self._without_database(problem)
        return self.problem(problem)

    def problem(self, problem: Problem) -> Response:
        """Return *problem* as a page of its own."""
        number = secrets.token_hex(6)
        _log.info("request %s was answered %s %s", number, problem.status, problem.code)
        if LIVE in request.args:
            return html("", 204)
        text = render_template(
            "problem.html", problem=problem, number=number, now=self.now(), back=_back()
        )
        response = html(text, problem.status)
        for name in ("Retry-After", "Allow"):
            if name in problem.headers:
                response.headers[name] = problem.headers[name]
        return response

    def _to_sign_in(self, error: SignInNeededError) -> Response:
        if LIVE in request.args:  # the piece that every live page has
            return html(render_template("signed_out_piece.html", now=self.now()))
        response = html("", 303)
        response.headers["Location"] = error.location
        return response

    def _keep(self, visitor: Visitor, now: datetime, text: str) -> None:
        title, main = _between(text, "<title>", "</title>"), _between(text, "<main", "</main>")
        title = title.removesuffix(_SUFFIX)
        with self._lock:
            key = (visitor.session, request.path, request.query_string)
            kept = _Kept(at=now, main=Markup(main), title=Markup(title))  # noqa: S704 - ours
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _without_database(self, problem: Problem) -> Response:
        """Show what was shown before, to a session that this process knows."""
        if LIVE in request.args:
            return html(render_template("unavailable_piece.html", now=self.now()))
        visitor = self.door.known()
        # A form's answer is never what was shown before: nobody would know what became of it.
        key = None
        if visitor is not None and request.method == "GET":
            key = (visitor.session, request.path, request.query_string)
        with self._lock:
            kept = None if key is None else self._kept.get(key)
        if kept is None or visitor is None:
            return self.problem(problem)
        text = render_template(
            "kept.html",
            visitor=visitor,
            apps=(),
            app=None,
            now=self.now(),
            pieces=(),
            kept=kept,
            kept_at=render_time(kept.at),
        )
        return html(text, _UNAVAILABLE)


def html(text: str, status: int = 200) -> Response:
    """Return *text* with the headers of a page."""
    response = Response(text, status=status, content_type=_HTML)
    response.headers.update(HEADERS)
    return response


def see_other(path: str) -> Response:
    """Return what sends a browser to *path* after a form was taken."""
    response = html("", 303)
    response.headers["Location"] = path
    return response


@cache
def static_url(name: str) -> str:
    """Return where a static file is, by its content: it may be kept for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return url_for("dashboard.static_file", name=name, v=digest)


def _pieces_of(template: str, pieces: Sequence[str], context: dict[str, Any]) -> str:
    """Return blocks of *template*, each in an element that htmx puts in place of the old one's."""
    # Macros that a template imports for the whole of itself are there when all of it is rendered:
    # its blocks import by themselves what they use.
    env = current_app.jinja_env
    found = env.get_template(template)
    blocks = {**env.get_template(_BASE).blocks, **found.blocks}
    current_app.update_template_context(context)
    frame = found.new_context(context)
    parts = (
        f'<div id="{name}" hx-swap-oob="innerMorph">{"".join(blocks[name](frame))}</div>'
        for name in ("age", *pieces)
    )
    return "\n".join(parts)


def _between(text: str, start: str, end: str) -> str:
    """Return what stands between a tag and its end, the tag's own attributes left out."""
    _, _, rest = text.partition(start)
    if not start.endswith(">"):
        _, _, rest = rest.partition(">")
    return rest.rpartition(end)[0] if end != "</title>" else rest.partition(end)[0]


def _back() -> str:
    """Return where a refused request came from, if that is a page of ours; else the first page."""
    referrer = request.referrer or ""
    own = request.host_url
    return safe_path("/" + referrer.removeprefix(own)) if referrer.startswith(own) else "/"
