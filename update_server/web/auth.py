"""Who sent a request of the admin app, and whether that token may do it.

Nothing here writes: a token's last use is not worth a transaction per request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import request

from update_server.service.access.access import allows
from update_server.service.access.caller import Caller
from update_server.service.errors import BadApiTokenError
from update_server.service.ports import ApiToken, Role
from update_server.web.errors import ForbiddenError, UnauthorizedError

_SCHEME: Final = "bearer "
_MAX_SECRET_CHARACTERS: Final = 256


class Guard:
    """Lets requests pass whose token has the role, and is for the app.

    Endpoints call it before they read anything else of the request.
    """

    def __init__(self, authenticate: Callable[[str], ApiToken]) -> None:
        self._authenticate = authenticate

    def require(self, role: Role, app: str | None = None) -> Caller:
        """Return who sent the request, for something of *app* (None: of no one app).

        Raises:
            UnauthorizedError: There is no valid token.
            ForbiddenError: The token's role is too small, or it is for another app. A token
                for another app is told the same whether *app* exists or not.
        """
        secret = _bearer()
        try:
            token = self._authenticate(secret)
        except BadApiTokenError as error:
            raise UnauthorizedError from error
        if not allows(token.role, role):
            raise ForbiddenError(role.value)
        if app is not None and token.app is not None and token.app != app:
            raise ForbiddenError(role.value)
        name = f"{token.name} ({token.id})"
        return Caller(name=name, token_id=token.id, app=token.app, secret=secret)


def _bearer() -> str:
    header = request.headers.get("Authorization", "")
    secret = header[len(_SCHEME) :].strip()
    if header[: len(_SCHEME)].lower() != _SCHEME or not secret:
        raise UnauthorizedError
    if len(secret) > _MAX_SECRET_CHARACTERS or not secret.isascii():
        raise UnauthorizedError
    return secret
