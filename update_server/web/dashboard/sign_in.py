"""``/sign-in``, ``/sign-out`` and ``/set-password``: the pages that open without a session."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, render_template, request

from update_server.service.access.passwords import MIN_CHARACTERS
from update_server.service.access.sign_in import BROWSER_LIFE, MustChange
from update_server.service.errors import (
    BadSignInError,
    BadValueError,
    TooManyFailuresError,
)
from update_server.service.ports import Role
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import SignInNeededError, safe_path
from update_server.web.dashboard.pages import Pages, html, see_other
from update_server.web.errors import problem_for

_BROWSER: Final = "browser"
_PASSWORDS: Final = frozenset({"again", "new", "password"})


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the pages."""
    bp = Blueprint("sign_in", __name__)
    door = pages.door

    @bp.get("/sign-in")
    def get_sign_in() -> Response:
        to = safe_path(request.args.get("to", "/"))
        if _is_signed_in(pages):
            return see_other(to)
        return sign_in_page(services, to)

    @bp.post("/sign-in")
    def post_sign_in() -> Response:
        door.check_origin()
        to = safe_path(request.form.get("to", "/"))
        name, password = request.form.get("name", ""), request.form.get("password", "")
        try:
            known = services.sign_in.by_password(
                name, password, door.address(), door.cookie(_BROWSER)
            )
        except (BadSignInError, TooManyFailuresError) as error:
            return sign_in_page(services, to, name=name, error=error)
        if isinstance(known, MustChange):
            return see_other(f"/set-password/{known.link}")
        response = door.let_in(see_other(to), known.secret)
        browser = services.sign_in.browser_of(known.operator)
        return door.put_cookie(response, _BROWSER, browser, BROWSER_LIFE)

    @bp.post("/sign-out")
    def post_sign_out() -> Response:
        door.require_post(Role.VIEWER)
        return door.let_out(see_other("/sign-in"))

    @bp.get("/set-password/<name:link>")
    def get_set_password(link: str) -> Response:
        return _set_password_page(services.own_password.offered(link).name)

    @bp.post("/set-password/<name:link>")
    def post_set_password(link: str) -> Response:
        door.check_origin()
        operator = services.own_password.offered(link)
        new, again = request.form.get("password", ""), request.form.get("again", "")
        try:
            check_twice(new, again)
            known = services.own_password.set_by_link(link, new)
        except BadValueError as error:
            return _set_password_page(operator.name, error=error)
        return door.let_in(see_other("/"), known.secret)

    return bp


def check_twice(new: str, again: str) -> None:
    """Return if a new password was typed the same twice. Raises BadValueError."""
    if new != again:
        raise BadValueError("again", "the two are not the same: type them again")


def told(error: Exception | None) -> str:
    """Return what a form says of *error*, as a sentence; nothing where there is none."""
    if error is None:
        return ""
    text = str(error)
    if isinstance(error, BadValueError) and error.field in _PASSWORDS:
        text = error.detail  # it says so by itself
    return f"{text[:1].upper()}{text[1:]}."


def _is_signed_in(pages: Pages) -> bool:
    try:
        pages.door.require(Role.VIEWER)
    except SignInNeededError:
        return False
    return True


def sign_in_page(
    services: AdminServices, to: str, *, name: str = "", error: Exception | None = None
) -> Response:
    """Return the page on which people sign in, to go on to the path *to*."""
    oidc = services.dashboard.oidc
    text = render_template("sign_in.html", to=to, name=name, error=told(error), oidc=oidc)
    return _page(text, error)


def _set_password_page(name: str, *, error: Exception | None = None) -> Response:
    text = render_template(
        "set_password.html", name=name, error=told(error), min_characters=MIN_CHARACTERS
    )
    return _page(text, error)


def _page(text: str, error: Exception | None) -> Response:
    if error is None:
        return html(text)
    problem = problem_for(error)
    response = html(text, problem.status)
    if "Retry-After" in problem.headers:
        response.headers["Retry-After"] = problem.headers["Retry-After"]
    return response
