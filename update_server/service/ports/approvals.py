"""Who approves what widens who gets a release, and how an operator's password says so.

A token says it by itself. A password comes with its name, as one text that is no token:
``srp_``, and both in Base64 for URLs. It is made by the page where it was typed, and read by the
signer, which checks it by itself; nobody else may read it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from update_server.service.ports.access import ApiToken
from update_server.service.ports.database import Stores
from update_server.service.ports.operators import Operator

PASSWORD: Final = "srp_"  # noqa: S105 - how it begins

_MAX_CHARACTERS: Final = 2_048  # 64 letters of a name and 1,024 bytes of a password, in Base64

Approver = ApiToken | Operator


def render_password(name: str, password: str) -> str:
    """Return what tells that *name* approves, by their *password*."""
    return f"{PASSWORD}{_text(name)}.{_text(password)}"


def parse_password(text: str) -> tuple[str, str] | None:
    """Return the name and the password that *text* tells; None if it tells none."""
    if len(text) > _MAX_CHARACTERS or not text.startswith(PASSWORD):
        return None
    name, _, password = text.removeprefix(PASSWORD).partition(".")
    try:
        told = _read(name), _read(password)
    except ValueError:  # also where it is not ASCII, or no UTF-8
        return None
    # One approval has one spelling, also where Base64 would have more.
    return told if render_password(*told) == text else None


def approvers(stores: Stores) -> Mapping[str, Approver]:
    """Return everybody who might approve something, now or once, by the ID of what they show."""
    tokens = {token.id: token for token in stores.access.tokens()}
    return {**tokens, **{operator.id: operator for operator in stores.operators.all()}}


def _text(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode(errors="surrogatepass")).rstrip(b"=").decode()


def _read(text: str) -> str:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
