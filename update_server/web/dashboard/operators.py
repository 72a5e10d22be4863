"""``/operators``: who signs in, for admins; each change asks for the admin's own password again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Response, request

from update_server.service.errors import (
    BadValueError,
    NoPasswordError,
    TooManyFailuresError,
    WrongPasswordError,
)
from update_server.service.ports import ExistsError, NotFoundError, Role
from update_server.web import wire, wire_operators
from update_server.web.admin import operators
from update_server.web.admin.queries import MAX_LIMIT, Part
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.dashboard.sign_in import told
from update_server.web.errors import BadFieldError, ForbiddenError, problem_for

_REFUSED: Final = (
    BadFieldError,
    BadValueError,
    ExistsError,
    NoPasswordError,
    NotFoundError,
    TooManyFailuresError,
    WrongPasswordError,
)
_ROLES: Final = tuple(role.value for role in Role)
_FIELDS: Final = ("name", "role", "app", "identity")


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the pages and their forms."""
    bp = Blueprint("operators", __name__)
    door = pages.door

    def listed(visitor: Visitor, **more: Any) -> Response:
        part = Part(limit=MAX_LIMIT)
        body = operators.page_body(services, visitor.caller.app, part)
        context = {"items": body["items"], "roles": _ROLES, "typed": {}, "error": "", **more}
        return pages.show("operators.html", visitor, **context)

    def one(visitor: Visitor, operator: str, **more: Any) -> Response:
        shown = operators.body(services, visitor.caller.app, operator)
        context = {"operator": shown, "roles": _ROLES, "error": "", **more}
        return pages.show("operator.html", visitor, **context)

    def act(act: Callable[[Visitor], Response], refused: Callable[..., Response]) -> Response:
        """Let an admin do something whose password is right; else show the form again."""
        visitor = door.require_post(Role.ADMIN)
        try:
            password = request.form.get("password", "")
            services.sign_in.confirm(visitor.caller.token_id, password)
            return act(visitor)
        except _REFUSED as error:
            problem = problem_for(error)
            response = refused(visitor, status=problem.status, error=told(error))
            if "Retry-After" in problem.headers:
                response.headers["Retry-After"] = problem.headers["Retry-After"]
            return response

    @bp.get("/operators")
    def get_operators() -> Response:
        return listed(door.require(Role.ADMIN))

    @bp.post("/operators")
    def post_operator() -> Response:
        typed = {name: request.form[name] for name in _FIELDS if request.form.get(name)}

        def add(visitor: Visitor) -> Response:
            body = wire_operators.parse(wire.render(typed), wire_operators.AddOperator)
            if visitor.caller.app not in {None, body.app}:
                raise ForbiddenError(Role.ADMIN.value)
            made, secret = services.operators.add(
                visitor.caller, body.name, body.role, body.app, identity=body.identity
            )
            link = whole(operators.link_to(services, secret))
            return listed(visitor, status=201, made=operators.render(made), link=link)

        return act(add, lambda visitor, **more: listed(visitor, typed=typed, **more))

    @bp.get("/operators/<name:operator>")
    def get_operator(operator: str) -> Response:
        return one(door.require(Role.ADMIN), operator)

    @bp.post("/operators/<name:operator>/role")
    def post_role(operator: str) -> Response:
        def change(visitor: Visitor) -> Response:
            typed = {"role": request.form.get("role", "")}
            body = wire_operators.parse(wire.render(typed), wire_operators.ChangeOperator)
            services.operators.change(visitor.caller, operator, body.role)
            return see_other("/operators")

        return act(change, lambda visitor, **more: one(visitor, operator, **more))

    @bp.post("/operators/<name:operator>/link")
    def post_link(operator: str) -> Response:
        def reset(visitor: Visitor) -> Response:
            _, secret = services.operators.reset(visitor.caller, operator)
            return one(visitor, operator, link=whole(operators.link_to(services, secret)))

        return act(reset, lambda visitor, **more: one(visitor, operator, **more))

    @bp.post("/operators/<name:operator>/remove")
    def post_remove(operator: str) -> Response:
        def remove(visitor: Visitor) -> Response:
            services.operators.remove(visitor.caller, operator)
            return see_other("/operators")

        return act(remove, lambda visitor, **more: one(visitor, operator, **more))

    return bp


def whole(link: str | None) -> str:
    """Return *link* with where this site was reached, if it says no other place."""
    link = link or ""
    return request.host_url.rstrip("/") + link if link.startswith("/") else link
