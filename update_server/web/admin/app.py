"""The admin app: what publishers, operators and dashboards speak to."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from flask import Flask, Request, Response
from werkzeug.routing import BaseConverter

from update_server.service.errors import PendingError, RolloutRefusedError
from update_server.web.admin import (
    apps,
    audit,
    blobs,
    crashes,
    decisions,
    enrolments,
    explain,
    fleet,
    groups,
    holds,
    metrics,
    notifications,
    openapi,
    operators,
    pending,
    policy,
    quarantine,
    releases,
    rollout_answers,
    rollouts,
    series,
    settings,
    signing,
    studies,
    telemetry,
    tokens,
    version_days,
    versions,
    waivers,
)
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.dashboard import site
from update_server.web.dashboard.door import Door
from update_server.web.errors import problem_for, register_error_handlers, to_response


class _Request(Request):
    """A request whose query is ASCII: other bytes, which no browser sends, count as escaped.

    Werkzeug decodes the query whenever somebody reads it, the pages about errors included.
    """

    def __init__(self, environ: dict[str, Any], *more: Any, **also: Any) -> None:
        query = environ.get("QUERY_STRING", "")
        if not query.isascii():
            environ["QUERY_STRING"] = quote(query.encode("latin-1"), safe=string.punctuation)
        super().__init__(environ, *more, **also)


class _NameConverter(BaseConverter):
    """One part of a path that may name something of ours. Anything else is not found."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"


class _DigestConverter(BaseConverter):
    """A SHA-256 in lower-case hex."""

    regex = r"[0-9a-f]{64}"


_WITH_SERVICES = (
    apps,
    audit,
    blobs,
    crashes,
    decisions,
    enrolments,
    explain,
    fleet,
    groups,
    holds,
    notifications,
    operators,
    pending,
    policy,
    quarantine,
    releases,
    rollouts,
    series,
    settings,
    signing,
    studies,
    telemetry,
    tokens,
    version_days,
    versions,
    waivers,
)


def create_app(services: AdminServices) -> Flask:
    """Return the admin app over ready *services*. Nothing is opened here."""
    app = Flask("update_server.web.admin", static_folder=None)
    app.request_class = _Request
    app.url_map.converters |= {"name": _NameConverter, "digest": _DigestConverter}
    register_error_handlers(app)
    guard = Guard(services.tokens.authenticate)
    for module in _WITH_SERVICES:
        app.register_blueprint(module.blueprint(services, guard))
    app.register_blueprint(metrics.blueprint(services, guard, app))
    app.register_blueprint(openapi.blueprint())

    def refused(error: RolloutRefusedError) -> Response:
        """Tell the operator how the rollout stands now, so that the next verb fits."""
        problem = problem_for(error)
        view = services.report.rollout(error.rollout.app, error.rollout.id)
        data = {**problem.data, "rollout": rollout_answers.rollout(view)}
        return to_response(replace(problem, data=data))

    app.register_error_handler(RolloutRefusedError, refused)
    app.register_error_handler(PendingError, pending.waits)
    site.register(app, services, Door(services))
    return app
