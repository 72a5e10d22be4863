"""What admins send about operators: JSON to values."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec

from update_server.service.ports import Role
from update_server.web.wire import decode
from update_server.web.wire_admin import Line, Word

T = TypeVar("T")

Password = Annotated[str, msgspec.Meta(max_length=1_024)]


class AddOperator(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/admin/operators``. ``app`` None: for all apps.

    ``identity`` is what the OpenID Connect provider calls them. A ``password`` is one that must be
    changed at the first sign-in; without it there is a link to set one.
    """

    name: Word
    role: Role
    app: Word | None = None
    identity: Line | None = None
    password: Password | None = None


class ChangeOperator(msgspec.Struct, frozen=True, kw_only=True):
    """``PATCH /v1/admin/operators/{operator}``."""

    role: Role


class NewLink(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /v1/admin/operators/{operator}/link``: there is nothing to say."""


_DECODERS: Final[dict[type[Any], msgspec.json.Decoder[Any]]] = {
    body: msgspec.json.Decoder(body) for body in (AddOperator, ChangeOperator, NewLink)
}


def parse(data: bytes, body: type[T]) -> T:
    """Return *data* as *body*. Raises MalformedError or BadFieldError."""
    parsed: T = decode(data, _DECODERS[body])
    return parsed
