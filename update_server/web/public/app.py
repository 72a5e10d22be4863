"""The public app: what agents speak to."""

from __future__ import annotations

from flask import Flask

from update_server.web.errors import register_error_handlers
from update_server.web.public import check_in, enrol, events, feed, files, health, openapi
from update_server.web.public.fast_path import FastPath
from update_server.web.public.intake import routes as intake
from update_server.web.public.intake.prefix import Prefixed
from update_server.web.public.services import PublicServices


def create_app(services: PublicServices, *, fast_path: bool = True) -> Flask:
    """Return the public app over ready *services*. Nothing is opened here.

    Without *fast_path* the hot routes go through Flask, too, to the same answers.
    """
    app = Flask("update_server.web.public", static_folder=None)
    register_error_handlers(app)
    for module in (check_in, events, intake, enrol, files, feed, health):
        app.register_blueprint(module.blueprint(services))
    app.register_blueprint(openapi.blueprint())
    app.wsgi_app = Prefixed(app.wsgi_app)  # type: ignore[method-assign]
    if fast_path:
        app.wsgi_app = FastPath(app.wsgi_app, services)  # type: ignore[method-assign]
    return app
