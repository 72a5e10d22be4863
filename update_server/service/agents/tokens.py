"""Install tokens: what a check-in hands out and events bring back (docs/protocol.md).

A token proves a check-in and binds an install of an app to the release it ran and the
one it was assigned. It is checked without a database, and has the same bytes for the
same install and releases until the next step of the expiry grid.

    format u8 | MAC key u8 | install tag 8 | running u32 | assigned u32 | rollout u32
    | expiry u32 (unix days) | MAC 10                       36 bytes, 58 characters
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from rollout.model import RolloutId
from update_server.service.errors import BadTokenError, ExpiredTokenError

LIFE_DAYS: Final = 90
GRID_DAYS: Final = 30
TEXT_CHARACTERS: Final = 58
TAG_BYTES: Final = 8

_FORMAT: Final = 1
_MAC_BYTES: Final = 10  # 80 bits: forging one needs 2^79 requests
_BODY: Final = struct.Struct(f">BB{TAG_BYTES}sIIII")
_TEXT: Final = re.compile(rf"[A-Za-z2-7]{{{TEXT_CHARACTERS}}}")
_PADDING: Final = "======"  # base32 text is a multiple of 8 characters
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """MAC keys by number (0 to 255). The highest number signs, all verify."""

    by_number: Mapping[int, bytes]

    @classmethod
    def of(cls, *keys: bytes) -> TokenKeys:
        """Return *keys*, numbered from 1."""
        return cls(MappingProxyType(dict(enumerate(keys, start=1))))


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallToken:
    """What a token says. Numbers are 0 where there is no release or rollout to name."""

    running: int
    assigned: int
    rollout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who a token was issued to: the install whose key begins with *tag*. It may be too old."""

    tag: bytes
    token: InstallToken
    is_expired: bool


def rollout_number(rollout: RolloutId | None) -> int:
    """Return the number that stands for *rollout* in a token, 0 for none.

    It is taken from the ID's hash, so that no table has to hold it; whoever looks one up
    compares it with the rollouts of the app, of which few are live.
    """
    if rollout is None:
        return 0
    return int.from_bytes(hashlib.sha256(rollout.encode()).digest()[:4]) or 1


def issue(
    keys: TokenKeys, *, app: str, install_key: bytes, token: InstallToken, now: datetime
) -> str:
    """Return *token* for this install as 58 characters of upper-case base32."""
    number = max(keys.by_number)
    body = _BODY.pack(
        _FORMAT,
        number,
        install_key[:TAG_BYTES],
        token.running,
        token.assigned,
        token.rollout,
        _expiry_day(now),
    )
    raw = body + _mac(keys.by_number[number], app, body)
    return base64.b32encode(raw).decode().rstrip("=")


def check(
    keys: TokenKeys, text: str, *, app: str, install_key: bytes, now: datetime
) -> InstallToken:
    """Return what *text* says, if this server issued it to this install of *app*.

    Raises:
        BadTokenError: It did not, or the text was changed.
        ExpiredTokenError: It did, too long ago.
    """
    bearer = read(keys, text, app=app, now=now)
    if not hmac.compare_digest(bearer.tag, install_key[:TAG_BYTES]):
        raise BadTokenError
    if bearer.is_expired:
        raise ExpiredTokenError
    return bearer.token


def read(keys: TokenKeys, text: str, *, app: str, now: datetime) -> Bearer:
    """Return whom this server issued *text* to, in whichever case it is spelled.

    Raises:
        BadTokenError: To nobody, or for another app, or the text was changed.
    """
    body, mac = _split(text)
    form, number, tag, running, assigned, rollout, expiry_day = _BODY.unpack(body)
    key = keys.by_number.get(number)
    if form != _FORMAT or key is None:
        raise BadTokenError
    if not hmac.compare_digest(mac, _mac(key, app, body)):
        raise BadTokenError
    return Bearer(
        tag=tag,
        token=InstallToken(running=running, assigned=assigned, rollout=rollout),
        is_expired=now >= _EPOCH + expiry_day * _DAY,
    )


def _split(text: str) -> tuple[bytes, bytes]:
    if not _TEXT.fullmatch(text):
        raise BadTokenError
    raw = base64.b32decode(text.upper() + _PADDING)
    return raw[: _BODY.size], raw[_BODY.size :]


def _mac(key: bytes, app: str, body: bytes) -> bytes:
    # The app is in the MAC only: a token of one app means nothing to another.
    return hmac.digest(key, app.encode() + b"\0" + body, "sha256")[:_MAC_BYTES]


def _expiry_day(now: datetime) -> int:
    # The running day does not count, so that a token lives 90 full days at least.
    earliest = (now - _EPOCH).days + 1 + LIFE_DAYS
    return -(-earliest // GRID_DAYS) * GRID_DAYS
