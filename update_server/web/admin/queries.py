"""What requests ask in their query strings: text to values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from flask import request

from rollout.errors import BadNameError
from rollout.names import check_install_id
from update_server.service.rollouts.explain import Question
from update_server.web.errors import BadFieldError
from update_server.web.wire_admin import optional_version

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500

_MAX_DIGITS: Final = 12
_MAX_REASON_CHARACTERS: Final = 500
_MAX_ATTRIBUTE_CHARACTERS: Final = 256
_ATTRIBUTE: Final = re.compile(r"attribute\.([a-z][a-z0-9_]{0,31})")
_INSTANT: Final = "an instant such as 2026-11-22T03:07:00Z"
_FIRST_YEAR, _LAST_YEAR = 2000, 9998
_ATTRIBUTES: Final = ("os_version", "locale", "country")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a list that is wanted: so many items, from *cursor* on; None: from its start."""

    limit: int = DEFAULT_LIMIT
    cursor: int | None = None


def part_asked() -> Part:
    """Return the part of a list that the request wants."""
    return Part(limit=limit_asked(), cursor=cursor_asked())


def limit_asked() -> int:
    """Return how many items the request wants at once."""
    limit = _number("limit", DEFAULT_LIMIT)
    if limit == 0:
        raise BadFieldError("limit", f"a whole number from 1 to {MAX_LIMIT}")
    return min(limit, MAX_LIMIT)


def cursor_asked() -> int | None:
    """Return where the request wants a list to go on; None: at its start."""
    return _number("cursor", 0) or None


def reason_asked() -> str:
    """Return why the request is made; empty when it does not say."""
    return _text("reason", _MAX_REASON_CHARACTERS) or ""


def one_of(field: str, allowed: Sequence[str]) -> str:
    """Return what the request names; it need not say where there is but one."""
    return one_given(request.args, field, allowed)


def one_given(given: Mapping[str, str], field: str, allowed: Sequence[str]) -> str:
    """Return what a field of *given* names, as ``one_of``."""
    text = given.get(field)
    if text is None and len(allowed) == 1:
        return allowed[0]
    if text is None:
        raise BadFieldError(field, "is missing")
    if text not in allowed:
        raise BadFieldError(field, f"one of {', '.join(allowed)}")
    return text


def optional_one_of(field: str, allowed: Sequence[str]) -> str | None:
    """Return what the request names, None where it names nothing."""
    return None if request.args.get(field) is None else one_of(field, allowed)


def number_asked(field: str, *, default: int, most: int) -> int:
    """Return the number that the request names, from 1 to *most*."""
    number = _number(field, default)
    if not 1 <= number <= most:
        raise BadFieldError(field, f"a whole number from 1 to {most}")
    return number


def optional_number(field: str, *, least: int) -> int | None:
    """Return the number that the request names, None where it names none."""
    number = _number(field, -1)
    if 0 <= number < least:
        raise BadFieldError(field, f"a whole number, {least} or more")
    return None if number < 0 else number


def metric_asked() -> str:
    """Return the metric that the request names; crashes when it does not say."""
    return _text("metric", _MAX_ATTRIBUTE_CHARACTERS) or "crash"


def question_asked(channels: Sequence[str], platforms: Sequence[str]) -> Question:
    """Return the install that the request asks about.

    ``os_version``, ``locale``, ``country`` and ``attribute.<key>`` are what it would tell.
    """
    return question_of(request.args, channels, platforms)


def question_of(
    given: Mapping[str, str], channels: Sequence[str], platforms: Sequence[str]
) -> Question:
    """Return the install that is asked about by *given* fields, as ``question_asked``.

    Raises:
        BadFieldError: As named.
    """
    try:
        install_id = check_install_id(given.get("install_id", "").lower())
    except BadNameError as error:
        raise BadFieldError("install_id", error.rule) from error
    fields = {field: field for field in _ATTRIBUTES}
    fields |= {name: match[1] for name in given if (match := _ATTRIBUTE.fullmatch(name))}
    attributes = {
        key: text
        for field, key in fields.items()
        if (text := printable(given, field, _MAX_ATTRIBUTE_CHARACTERS)) is not None
    }
    return Question(
        install_id=install_id,
        channel=one_given(given, "channel", channels),
        platform=one_given(given, "platform", platforms),
        version=optional_version(given.get("version"), "version"),
        attributes=MappingProxyType(attributes),
    )


def instant_asked(field: str) -> datetime | None:
    """Return the instant that the request names; None where it names none."""
    return instant_of(request.args, field)


def instant_of(given: Mapping[str, str], field: str) -> datetime | None:
    """Return the instant (RFC 3339) in a field of *given*; None where it is not there.

    Raises:
        BadFieldError: It is no instant.
    """
    text = given.get(field)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadFieldError(field, _INSTANT) from error
    if at.tzinfo is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise BadFieldError(field, _INSTANT)
    return at.astimezone(UTC)


def _number(field: str, default: int) -> int:
    text = request.args.get(field)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise BadFieldError(field, "a whole number")
    return int(text)


def _text(field: str, most_characters: int) -> str | None:
    return printable(request.args, field, most_characters)


def printable(given: Mapping[str, str], field: str, most_characters: int) -> str | None:
    """Return the text in a field of *given*; None where it is not there."""
    text = given.get(field)
    if text is not None and (len(text) > most_characters or not (text + " ").isprintable()):
        raise BadFieldError(field, f"at most {most_characters} printable characters")
    return text
