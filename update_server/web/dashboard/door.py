"""Who is signed in: the cookie, the token in every form, and where a form came from.

A session opens pages and nothing of ``/v1``; bearer tokens (``web.auth``) open no page. What
widens who gets a release is approved by a password, which the signer checks by itself: nothing
that a web process knows is enough for it (docs/trust.md, 7).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

from flask import Response, request

from update_server.service.access.access import allows
from update_server.service.access.caller import Caller
from update_server.service.errors import BadSessionError
from update_server.service.ports import Role
from update_server.service.ports.approvals import render_password
from update_server.service.ports.operators import LONGEST, Operator, Session, SignedInBy
from update_server.web.admin.services import AdminServices
from update_server.web.errors import ForbiddenError, ForeignFormError

_COOKIE: Final = "serinus"
_SECURE_PREFIX: Final = "__Host-"  # RFC 6265bis: no other host, no plain HTTP can set it
_MAX_SECRET_CHARACTERS: Final = 256
_MAX_PATH: Final = 2_048  # a cookie bears it while somebody signs in elsewhere
_REMEMBERED: Final = 256
_SAME_SITE: Final = "same-origin"


class SignInNeededError(Exception):
    """Nobody is signed in. ``location`` is where to do so, and to come back from."""

    def __init__(self, location: str) -> None:
        super().__init__("sign in first")
        self.location = location


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who is signed in.

    ``csrf`` goes into every form; ``session`` names the session for caches, and tells nothing.
    """

    caller: Caller
    role: Role
    csrf: str = field(repr=False)
    session: str
    by: SignedInBy = SignedInBy.PASSWORD
    has_password: bool = True

    def may(self, role: Role) -> bool:
        """Whether they may do what *role* may."""
        return allows(self.role, role)


class Door:
    """Lets visitors pass who are signed in, have the role, and belong to the app."""

    def __init__(self, services: AdminServices) -> None:
        self._sign_in = services.sign_in
        self._clock = services.clock
        self._proxies = services.proxies
        self._url = services.dashboard.url
        self._known: OrderedDict[str, tuple[Visitor, Session]] = OrderedDict()
        self._lock = threading.Lock()

    # --- who is there --------------------------------------------------------------------

    def require(self, role: Role, app: str | None = None) -> Visitor:
        """Return who sent the request, for something of *app* (None: of no one app).

        Raises:
            SignInNeededError: Nobody is signed in.
            ForbiddenError: The role is too small, or they are for another app: told the same
                whether *app* exists or not.
        """
        return _allowed(self._visitor(), role, app)

    def require_post(self, role: Role, app: str | None = None) -> Visitor:
        """Return who sent the form, as ``require``.

        Raises:
            ForeignFormError: It is not one of ours, shown in this session.
            SignInNeededError, ForbiddenError: See ``require``.
        """
        self.check_origin()
        visitor = self._visitor()
        if not hmac.compare_digest(request.form.get("csrf", "").encode(), visitor.csrf.encode()):
            raise ForeignFormError
        return _allowed(visitor, role, app)

    def known(self) -> Visitor | None:
        """Return who is signed in as far as this process knows, without asking the database."""
        secret = self.secret()
        with self._lock:
            found = self._known.get(_hash(secret)) if secret else None
        if found is None or not found[1].is_live(self._clock.now()):
            return None
        return found[0]

    def approving(self, visitor: Visitor, password: str) -> Caller:
        """Return *visitor* as one who approves what widens, by their own *password*.

        Raises:
            WrongPasswordError, NoPasswordError, TooManyFailuresError: They do not.
        """
        operator = self._sign_in.confirm(visitor.caller.token_id, password)
        return replace(visitor.caller, secret=render_password(operator.name, password))

    def _visitor(self) -> Visitor:
        secret = self.secret()
        if not secret:
            raise SignInNeededError(_sign_in_path())
        try:
            session, operator = self._sign_in.check(secret)
        except BadSessionError as error:
            self.forget()
            raise SignInNeededError(_sign_in_path()) from error
        visitor = visitor_of(operator, session, secret)
        with self._lock:
            self._known[session.sha256] = visitor, session
            self._known.move_to_end(session.sha256)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return visitor

    # --- where it came from --------------------------------------------------------------

    def address(self) -> str:
        """Return where the request came from; empty when it cannot be known."""
        return self._proxies.client_of(request.environ) or ""

    def check_origin(self) -> None:
        """Return if a page of ours sent the form.

        Every browser of today says at least one of the two; what says neither is none.

        Raises:
            ForeignFormError: It did not, or nobody says so.
        """
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if origin is None and site is None:
            raise ForeignFormError
        if origin is not None and origin not in self._origins():
            raise ForeignFormError
        if site is not None and site != _SAME_SITE:
            raise ForeignFormError

    def _origins(self) -> frozenset[str]:
        told = urlsplit(self._url)
        own = {f"https://{request.host}"}
        if not self._proxies.is_https(request.environ):
            own.add(f"http://{request.host}")  # else: a proxy may not have told of its TLS
        return frozenset({*own, f"{told.scheme}://{told.netloc}"} - {"://"})

    # --- cookies -------------------------------------------------------------------------

    def secret(self) -> str:
        """Return what the session's cookie says; empty when there is none."""
        secret = self.cookie()
        return secret if len(secret) <= _MAX_SECRET_CHARACTERS and secret.isascii() else ""

    def let_in(self, response: Response, secret: str) -> Response:
        """Have the browser keep *secret*; the session that it had before ends."""
        before = self.secret()
        if before:
            self._sign_in.out(before)
            self.forget()
        return self.put_cookie(response, "", secret, LONGEST)

    def let_out(self, response: Response) -> Response:
        """Have the browser forget its session, which ends."""
        secret = self.secret()
        if secret:
            self._sign_in.out(secret)
            self.forget()
        return self.drop_cookie(response)

    def cookie(self, of: str = "") -> str:
        """Return what a cookie of ours says: the session's, or the one called *of*."""
        return request.cookies.get(self._cookie(of), "")

    def put_cookie(self, response: Response, of: str, value: str, life: timedelta) -> Response:
        """Have the browser keep a cookie of ours for *life*."""
        response.set_cookie(
            self._cookie(of),
            value,
            max_age=life,
            path="/",
            secure=self._is_secure(),
            httponly=True,
            samesite="Lax",  # a link in a message must arrive signed in
        )
        return response

    def drop_cookie(self, response: Response, of: str = "") -> Response:
        """Have the browser forget a cookie of ours."""
        response.delete_cookie(
            self._cookie(of), path="/", secure=self._is_secure(), httponly=True, samesite="Lax"
        )
        return response

    def forget(self) -> None:
        """Let this process know the request's session no more."""
        with self._lock:
            self._known.pop(_hash(self.secret()), None)

    def _cookie(self, of: str) -> str:
        name = f"{_COOKIE}-{of}" if of else _COOKIE
        return _SECURE_PREFIX + name if self._is_secure() else name

    def _is_secure(self) -> bool:
        return self._url.startswith("https://") or self._proxies.is_https(request.environ)


def _allowed(visitor: Visitor, role: Role, app: str | None) -> Visitor:
    if not visitor.may(role) or (app is not None and visitor.caller.app not in {None, app}):
        raise ForbiddenError(role.value)
    return visitor


def visitor_of(operator: Operator, session: Session, secret: str) -> Visitor:
    """Return *operator*, who is signed in by *secret*."""
    # Keyed with the secret itself: whoever reads the database can make no form.
    token = hmac.digest(secret.encode(), b"csrf", "sha256")
    return Visitor(
        caller=Caller(name=operator.name, token_id=operator.id, app=operator.app),
        role=operator.role,
        csrf=base64.urlsafe_b64encode(token).rstrip(b"=").decode(),
        session=_hash(session.sha256)[:32],
        by=session.by,
        has_password=operator.password is not None and not operator.must_change,
    )


def safe_path(text: str) -> str:
    """Return *text* if it is a path of this site, ``/`` otherwise: nobody is sent elsewhere."""
    # Browsers take a backslash for a slash, and drop tabs and line ends.
    is_path = text.startswith("/") and not text.startswith("//") and "\\" not in text
    if not is_path or not text.isascii() or not text.isprintable() or len(text) > _MAX_PATH:
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc else text


def _sign_in_path() -> str:
    query = request.query_string.decode(errors="replace")  # as it was sent, unlike full_path
    path = quote(request.path, safe="/") + (f"?{query}" if query else "")
    if request.method not in {"GET", "HEAD"} or path == "/":
        return "/sign-in"
    return f"/sign-in?to={quote(safe_path(path), safe='/')}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
