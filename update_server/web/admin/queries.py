"""What requests ask in their query strings: text to values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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
    text = request.args.get(field)
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


def metric_asked() -> str:
    """Return the metric that the request names; crashes when it does not say."""
    return _text("metric", _MAX_ATTRIBUTE_CHARACTERS) or "crash"


def question_asked(channels: Sequence[str], platforms: Sequence[str]) -> Question:
    """Return the install that the request asks about.

    ``os_version``, ``locale``, ``country`` and ``attribute.<key>`` are what it would tell.
    """
    try:
        install_id = check_install_id(request.args.get("install_id", "").lower())
    except BadNameError as error:
        raise BadFieldError("install_id", error.rule) from error
    fields = {field: field for field in _ATTRIBUTES}
    fields |= {name: match[1] for name in request.args if (match := _ATTRIBUTE.fullmatch(name))}
    attributes = {
        key: text
        for field, key in fields.items()
        if (text := _text(field, _MAX_ATTRIBUTE_CHARACTERS)) is not None
    }
    return Question(
        install_id=install_id,
        channel=one_of("channel", channels),
        platform=one_of("platform", platforms),
        version=optional_version(request.args.get("version"), "version"),
        attributes=MappingProxyType(attributes),
    )


def _number(field: str, default: int) -> int:
    text = request.args.get(field)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise BadFieldError(field, "a whole number")
    return int(text)


def _text(field: str, most_characters: int) -> str | None:
    text = request.args.get(field)
    if text is not None and (len(text) > most_characters or not (text + " ").isprintable()):
        raise BadFieldError(field, f"at most {most_characters} printable characters")
    return text
