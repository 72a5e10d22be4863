"""``/audit``: who did what, and why; ``/audit.jsonl``: all of it, for those who keep a copy."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, request

from update_server.service.ports import Role
from update_server.web.admin import audit
from update_server.web.admin.queries import Part, optional_number
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.pages import Pages

AT_ONCE: Final = 50


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page, and the file."""
    bp = Blueprint("audit_page", __name__)

    @bp.get("/audit")
    def get_audit() -> Response:
        visitor, app = _asked(pages)
        part = Part(limit=AT_ONCE, cursor=optional_number("before", least=0) or None)
        return pages.show(
            "audit.html",
            visitor,
            of=app,
            records=audit.page_body(services, app, part),
            chain=audit.chain_body(services),
        )

    @bp.get("/audit.jsonl")
    def get_lines() -> Response:
        _, app = _asked(pages)
        response = audit.exported(services, app)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return bp


def _asked(pages: Pages) -> tuple[Visitor, str | None]:
    """Return who asks, and of which app: one that they name, else the only one that they see."""
    app = request.args.get("app") or None
    visitor = pages.door.require(Role.VIEWER, app)
    return visitor, app or visitor.caller.app
