"""Instants as SDKs spell them: ISO 8601, or seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from update_server.crashes.documents import number_of

MAX_AGE: Final = timedelta(days=5)
"""How long a session may go on; what began before it is told as having begun then."""

MAX_AHEAD: Final = timedelta(minutes=5)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Near the ends of the calendar the conversion to UTC would overflow.
_YEARS: Final = range(1970, 9999)
_MAX_SECONDS: Final = 2.5e11
_MAX_TEXT: Final = 40


def instant_of(told: object) -> datetime | None:
    """Return the instant, in UTC, that *told* spells; None when it spells none."""
    if isinstance(told, str):
        return _from_text(told)
    seconds = number_of(told)
    if seconds is None or not 0 <= seconds <= _MAX_SECONDS:
        return None
    return _EPOCH + timedelta(seconds=seconds)


def clamped(at: datetime | None, received_at: datetime) -> datetime | None:
    """Return *at*, no earlier than 5 days before *received_at* and no later than 5 min after."""
    if at is None:
        return None
    return min(max(at, received_at - MAX_AGE), received_at + MAX_AHEAD)


def _from_text(text: str) -> datetime | None:
    if len(text) > _MAX_TEXT:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.year not in _YEARS:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
