"""``/sign-in/oidc``: signing in through an OpenID Connect provider.

What must be known again when somebody comes back is in a cookie of theirs, for ten minutes and
under a key of the server's: so it works in whichever process they come back to, and only in the
browser that began.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta
from typing import Final

import msgspec
from flask import Blueprint, Response, request

from update_server.service.errors import BadSignInError
from update_server.web.admin.services import AdminServices
from update_server.web.dashboard.door import safe_path
from update_server.web.dashboard.pages import Pages, see_other
from update_server.web.dashboard.provider import Begun, Provider
from update_server.web.dashboard.sign_in import sign_in_page
from update_server.web.errors import OidcRefusedError, OidcUnavailableError

LIFE: Final = timedelta(minutes=10)
BACK: Final = "/sign-in/oidc/back"

_COOKIE: Final = "oidc"
_MAX_COOKIE: Final = 4_000
_MAX_CODE: Final = 4_096
_ERRORS: Final = (BadSignInError, OidcRefusedError, OidcUnavailableError)


class _Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in that was begun."""

    state: str
    nonce: str
    verifier: str
    to: str
    expires_at: datetime


def blueprint(services: AdminServices, pages: Pages) -> Blueprint:
    """Return the two pages. There are none without a provider."""
    bp = Blueprint("oidc", __name__)
    settings, door = services.dashboard.oidc, pages.door
    if settings is None:
        return bp
    provider = Provider(settings, services.dashboard.url + BACK)

    @bp.get("/sign-in/oidc")
    def begin() -> Response:
        to = safe_path(request.args.get("to", "/"))
        try:
            begun = provider.begin()
        except OidcUnavailableError as error:
            return sign_in_page(services, to, error=error)
        flow = _Flow(
            state=begun.state,
            nonce=begun.nonce,
            verifier=begun.verifier,
            to=to,
            expires_at=services.clock.now() + LIFE,
        )
        response = see_other(begun.url)
        door.put_cookie(response, _COOKIE, _sealed(services.sign_in.key("oidc"), flow), LIFE)
        return response

    @bp.get(BACK)
    def back() -> Response:
        flow = None
        try:
            flow = _flow_of(services, door.cookie(_COOKIE))
            code = _code_of(flow, settings.issuer)
            begun = Begun(url="", state=flow.state, nonce=flow.nonce, verifier=flow.verifier)
            known = services.sign_in.by_identity(provider.finish(begun, code))
        except _ERRORS as error:
            response = sign_in_page(services, flow.to if flow else "/", error=error)
        else:
            response = door.let_in(see_other(flow.to), known.secret)
        return door.drop_cookie(response, _COOKIE)

    return bp


def _flow_of(services: AdminServices, text: str) -> _Flow:
    """Return the flow that this browser began. Raises OidcRefusedError."""
    flow = _unsealed(services.sign_in.key("oidc"), text)
    if flow is None or services.clock.now() >= flow.expires_at:
        raise OidcRefusedError
    return flow


def _code_of(flow: _Flow, issuer: str) -> str:
    """Return the code that the provider sent this browser back with. Raises OidcRefusedError."""
    told = request.args
    state, code = told.get("state", ""), told.get("code", "")
    if not hmac.compare_digest(state.encode(), flow.state.encode()):
        raise OidcRefusedError
    # RFC 9207: another provider's answer, brought to us.
    if told.get("iss", issuer) != issuer:
        raise OidcRefusedError
    if "error" in told or not code or len(code) > _MAX_CODE:
        raise OidcRefusedError
    return code


def _sealed(key: bytes, flow: _Flow) -> str:
    body = msgspec.json.encode(flow)
    return f"{_text(body)}.{_text(hmac.digest(key, body, 'sha256'))}"


def _unsealed(key: bytes, text: str) -> _Flow | None:
    if len(text) > _MAX_COOKIE:
        return None
    try:
        body, mac = (_bytes(part) for part in text.split(".", 1))
        if not hmac.compare_digest(hmac.digest(key, body, "sha256"), mac):
            return None
        return msgspec.json.decode(body, type=_Flow)
    except (ValueError, msgspec.MsgspecError):
        return None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
