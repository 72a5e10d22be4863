"""Column types: instants as whole microseconds, small JSON values as canonical text."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A UTC instant as microseconds since 1970: exact, ordered, the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds of *value*, which must be aware."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the instant of *value* microseconds."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """A JSON value as canonical text, so that equal values are equal bytes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return *value* as canonical JSON."""
        del dialect
        return None if value is None else canonical(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        """Return the value that *value* spells."""
        del dialect
        return None if value is None else json.loads(value)


class Told(TypeDecorator[str]):
    """Text that an install told us. PostgreSQL keeps no NUL, and no install may stop the digest."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return *value* with a replacement character for each NUL."""
        del dialect
        return without_nul(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        """Return the same as a plain function: the digest binds ten such texts a contact."""
        del dialect
        return without_nul


def without_nul(value: str | None) -> str | None:
    """Return *value* with a replacement character for each NUL."""
    return None if value is None else value.replace("\x00", "\ufffd")


def canonical(value: Any) -> str:
    """Return *value* as JSON with sorted keys, no white space, and nothing but ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
