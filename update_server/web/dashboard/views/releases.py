"""``/apps/{app}``: what was published, and what was rolled out. Both newest first, in parts."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from update_server.service.ports import Role
from update_server.web.admin import answers, releases, rollouts
from update_server.web.admin.queries import Part, optional_number
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.pages import Pages

AT_ONCE: Final = 25
"""Of each list: 50 rows a page, which is what fits into its 50 kB."""


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page."""
    bp = Blueprint("releases", __name__)

    @bp.get("/apps/<name:app>")
    def get_app(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        return pages.show(
            "releases.html",
            visitor,
            app=app,
            known=answers.app(services.apps.named(app)),
            rollouts=rollouts.brief_body(services, app, part_asked("rollouts")),
            releases=releases.page_body(services, app, part_asked("releases")),
        )

    return bp


def part_asked(name: str) -> Part:
    """Return which part of a list the address names: *name* is how many stand before it."""
    return Part(limit=AT_ONCE, cursor=optional_number(name, least=0) or None)
