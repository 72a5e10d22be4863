"""All pages, put on the admin app."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request, send_from_directory

from update_server.web.admin.services import AdminServices
from update_server.web.dashboard import account, sign_in
from update_server.web.dashboard.door import Door
from update_server.web.dashboard.pages import STATIC, Pages, static_url
from update_server.web.dashboard.views import now
from update_server.web.dashboard.words import FILTERS

_VIEWS = (now,)
_CONTROLS = (account, sign_in)
_FOR_A_YEAR = "public, max-age=31536000, immutable"  # their URLs name their content


def register(app: Flask, services: AdminServices, door: Door) -> None:
    """Add the pages to *app*. Their errors are pages as well; those of the API stay as they are."""
    pages = Pages(services, door)
    bp = Blueprint("dashboard", __name__, template_folder="templates")
    for module in (*_VIEWS, *_CONTROLS):
        bp.register_blueprint(module.blueprint(services, pages))

    @bp.get("/static/<name>")
    def static_file(name: str) -> Response:
        response = send_from_directory(STATIC, name)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = _FOR_A_YEAR if "v" in request.args else "no-cache"
        return response

    bp.register_error_handler(Exception, pages.refused)
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals["static_url"] = static_url
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(bp)
