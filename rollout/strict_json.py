"""JSON, read strictly and written canonically (docs/trust.md, 3).

Two readers that disagree about one text are a hole in a signature; so what is ambiguous
is refused: duplicate keys, floats, exponents, odd numbers, broken Unicode.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from rollout.errors import DocumentError

MAX_DEPTH = 8
MAX_STRING = 512
MAX_DOCUMENT_BYTES = 65_536
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_MAX_DIGITS = len(str(MAX_INTEGER))


def parse_strict(
    data: bytes,
    *,
    max_bytes: int = MAX_DOCUMENT_BYTES,
    max_depth: int = MAX_DEPTH,
    max_string: int = MAX_STRING,
) -> dict[str, Any]:
    """Return the JSON object in *data*; only integers, strings, booleans, null, lists, objects.

    Args:
        data: The text, UTF-8. Nothing but white space may stand around the object.
        max_bytes: The cap on *data*.
        max_depth: The cap on nested lists and objects.
        max_string: The cap on characters in a string or key.

    Raises:
        DocumentError: It breaks a rule of docs/trust.md, 3.
    """
    if len(data) > max_bytes:
        raise DocumentError(f"over {max_bytes} bytes")
    pieces = _pieces(data)
    # Before decoding: a recursive decoder must not meet a thousand open brackets.
    if _depth(pieces) > max_depth:
        raise DocumentError(f"nested over {max_depth} levels")
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except ValueError as error:
        raise DocumentError(f"not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError("not an object")
    # Hardly a document needs the walk: a string has no more characters than its piece has bytes,
    # and what is forbidden comes by an escape only.
    if rb"\u" in data or max(map(len, pieces)) > max_string:
        _check_strings(value, max_string, "")
    return value


def render_canonical(value: Any) -> bytes:
    """Return *value* as JSON: keys sorted by code point, no white space, ASCII with escapes.

    Raises:
        DocumentError: It holds what JSON cannot say.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(f"cannot be rendered: {error}") from error
    return text.encode("ascii")


def _pieces(data: bytes) -> list[bytes]:
    """Return what stands outside of strings and what stands in them, in turn.

    Copies, and no pattern: one for whole strings would keep a state for each of their characters.
    """
    return data.replace(rb"\\", b"__").replace(rb"\"", b"__").split(b'"')


def _depth(pieces: list[bytes]) -> int:
    depth = deepest = 0
    for bracket in b"".join(pieces[::2]).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_number(text: str) -> NoReturn:
    raise DocumentError(f"only whole numbers, not {text[:40]}")


def _integer(text: str) -> int:
    if text.startswith("-") or len(text) > _MAX_DIGITS or int(text) > MAX_INTEGER:
        raise DocumentError(f"a number outside 0..2^53-1: {text[:40]}")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise DocumentError(f"the key {twice[:40]!r} stands twice")
    return value


def _check_strings(value: Any, max_string: int, where: str) -> None:
    if isinstance(value, str):
        if len(value) > max_string:
            raise DocumentError(f"a string over {max_string} characters", where)
        if _FORBIDDEN.search(value):
            raise DocumentError("holds NUL or a lone surrogate", where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_strings(item, max_string, f"{where}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key, max_string, where)
            _check_strings(item, max_string, f"{where}.{key}" if where else key)
