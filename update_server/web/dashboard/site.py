"""All pages, put on the admin app."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask, Response, abort, request
from werkzeug.exceptions import HTTPException

from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import account, forms, oidc, operators, sign_in
from update_server.web.dashboard.controls import asks, holds, quarantine, verbs, waivers
from update_server.web.dashboard.door import Door
from update_server.web.dashboard.pages import STATIC, Pages, static_url
from update_server.web.dashboard.views import (
    audit,
    crashes,
    evidence,
    explain,
    fleet,
    now,
    policy,
    release,
    releases,
    telemetry,
)
from update_server.web.dashboard.words import FILTERS
from update_server.web.errors import problem_for, to_response

_VIEWS = (now, release, crashes, releases, audit, explain, fleet, telemetry, policy, evidence)
_CONTROLS = (account, asks, holds, oidc, quarantine, operators, sign_in, verbs, waivers)
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NOT_FOR_PEOPLE: Final = ("/v1/", "/metrics")
_FOR_A_YEAR = "public, max-age=31536000, immutable"  # their URLs name their content


def register(app: Flask, services: AdminServices, door: Door) -> None:
    """Add the pages to *app*. Their errors are pages as well; those of the API stay as they are."""
    pages = Pages(services, door)
    bp = Blueprint("dashboard", __name__, template_folder="templates")
    bp.before_request(forms.limit_bytes)
    for module in (*_VIEWS, *_CONTROLS):
        bp.register_blueprint(module.blueprint(services, pages))

    # Kept in memory: all are small, and a file of an answer that is not read stays open.
    files = {each.name: each.read_bytes() for each in STATIC.iterdir() if each.suffix in _TYPES}

    @bp.get("/static/<name>")
    def static_file(name: str) -> Response:
        if name not in files:
            abort(404)
        response = Response(files[name], content_type=_TYPES[(STATIC / name).suffix])
        response.add_etag()
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = _FOR_A_YEAR if "v" in request.args else "no-cache"
        response.make_conditional(request)
        return response

    def unknown(error: HTTPException) -> Response:
        if request.path.startswith(_NOT_FOR_PEOPLE):
            return to_response(problem_for(error))
        return pages.refused(error)

    bp.register_error_handler(Exception, pages.refused)
    for status in (404, 405):  # of routes that nothing has
        app.register_error_handler(status, unknown)
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals["static_url"] = static_url
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(bp)
