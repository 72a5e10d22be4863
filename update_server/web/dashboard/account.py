"""``/account``: one's own password, and one's other sessions."""

from __future__ import annotations

from flask import Blueprint, Response, request

from update_server.service.access.passwords import MIN_CHARACTERS
from update_server.service.errors import (
    BadValueError,
    NoPasswordError,
    ServiceError,
    TooManyFailuresError,
    WrongPasswordError,
)
from update_server.service.ports import Role
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import Visitor
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.dashboard.sign_in import check_twice, told
from update_server.web.errors import problem_for

_REFUSED = (BadValueError, NoPasswordError, TooManyFailuresError, WrongPasswordError)


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the page and its forms."""
    bp = Blueprint("account", __name__)
    door = pages.door

    def page(visitor: Visitor, error: ServiceError | None = None, said: str = "") -> Response:
        problem = None if error is None else problem_for(error)
        response = pages.show(
            "account.html",
            visitor,
            status=200 if problem is None else problem.status,
            error=told(error),
            said=said,
            min_characters=MIN_CHARACTERS,
        )
        if problem is not None and "Retry-After" in problem.headers:
            response.headers["Retry-After"] = problem.headers["Retry-After"]
        return response

    @bp.get("/account")
    def get_account() -> Response:
        changed = "changed" in request.args
        return page(door.require(Role.VIEWER), said="The password was changed." if changed else "")

    @bp.post("/account/password")
    def post_password() -> Response:
        visitor = door.require_post(Role.VIEWER)
        old, new = request.form.get("old", ""), request.form.get("new", "")
        try:
            check_twice(new, request.form.get("again", ""))
            known = services.own_password.change(visitor.caller.token_id, old, new)
        except _REFUSED as error:
            return page(visitor, error)
        return door.let_in(see_other("/account?changed"), known.secret)

    @bp.post("/account/sessions")
    def post_sessions() -> Response:
        visitor = door.require_post(Role.VIEWER)
        ended = services.own_password.end_other_sessions(visitor.caller.token_id, door.secret())
        return page(visitor, said=f"Other sessions that were ended: {ended}.")

    return bp
