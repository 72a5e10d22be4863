"""``/apps/{app}/explain``: what one install would get, and why; and whether it is evidence.

The install's ID comes in a form's body and is used for the one answer: no address, log or kept
page has it, and the answer does not repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from flask import Blueprint, Response, render_template, request

from update_server.service.errors import ServiceError
from update_server.service.ports import App, Role
from update_server.web.admin import answers, explain
from update_server.web.admin.queries import instant_of, question_of
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.pages import Pages
from update_server.web.errors import BadFieldError, problem_for

FIELDS: Final = (
    "install_id",
    "channel",
    "platform",
    "version",
    "os_version",
    "locale",
    "country",
    "at",
    "attributes",
)
MOST_ATTRIBUTES: Final = 20

_ATTRIBUTE: Final = re.compile(r"([a-z][a-z0-9_]{0,31})\s*=\s*(.*)")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the form, and its answer."""
    bp = Blueprint("explain_page", __name__)

    def page(
        visitor: Visitor,
        known: App,
        *,
        typed: Mapping[str, str] = _NOTHING,
        found: Mapping[str, Any] | None = None,
        error: BadFieldError | ServiceError | None = None,
    ) -> Response:
        problem = None if error is None else problem_for(error)
        return pages.show(
            "explain.html",
            visitor,
            app=known.name,
            status=200 if problem is None else problem.status,
            known=answers.app(known),
            typed=typed,
            found=found,
            text=found and render_template("explain.txt", found=found).strip(),
            problem=problem,
            wrong=error.field if isinstance(error, BadFieldError) else None,
        )

    @bp.get("/apps/<name:app>/explain")
    def get_explain(app: str) -> Response:
        visitor = pages.door.require(Role.VIEWER, app)
        return page(visitor, services.apps.named(app))

    @bp.post("/apps/<name:app>/explain")
    def post_explain(app: str) -> Response:
        visitor = pages.door.require_post(Role.VIEWER, app)
        known, typed = services.apps.named(app), _typed()
        try:
            question = question_of(_given(typed), known.channels, known.platforms)
            found = explain.body(services, known, question, at=instant_of(_given(typed), "at"))
        except (BadFieldError, ServiceError) as error:
            return page(visitor, known, typed=typed, error=error)
        # What is asked next is about another install, of the same kind.
        asked = {name: text for name, text in typed.items() if name != "install_id"}
        return page(visitor, known, typed=asked, found=found)

    return bp


def _typed() -> dict[str, str]:
    """Return what was filled in, without what surrounds it when it is pasted."""
    filled = {name: request.form.get(name, "").strip() for name in FIELDS}
    return {name: text for name, text in filled.items() if text}


def _given(typed: Mapping[str, str]) -> dict[str, str]:
    """Return the fields by the names that the API has for them. Raises BadFieldError."""
    given = {name: text for name, text in typed.items() if name != "attributes"}
    lines = [line for line in typed.get("attributes", "").splitlines() if line.strip()]
    if len(lines) > MOST_ATTRIBUTES:
        raise BadFieldError("attributes", f"at most {MOST_ATTRIBUTES} lines")
    for line in lines:
        match = _ATTRIBUTE.fullmatch(line.strip())
        if match is None:
            raise BadFieldError("attributes", "one to a line, such as edition = pro")
        given[f"attribute.{match[1]}"] = match[2]
    return given
