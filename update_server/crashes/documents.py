"""JSON from strangers. Size and depth are bounded before anything is decoded.

The standard library's decoder calls itself for each level, and makes some 30 bytes in memory of one
in the text; so neither may be left to the sender.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from update_server.crashes.errors import BadDocumentError

MAX_DEPTH: Final = 64
MAX_BYTES: Final = 1024 * 1024
"""Of one document: Sentry's own limit for an event. Decoded it is at most some 40 MiB."""

MAX_BRACKETS: Final = 100_000
"""Of one document: each pair is an object or a list."""

Document = Mapping[str, Any]

_STRING: Final = re.compile(rb'"[^"]*"?')  # to the end, where the quotes are not closed
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_OPENING: Final = frozenset(b"[{")
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def document_of(data: bytes, *, max_bytes: int = MAX_BYTES) -> Document:
    """Return the JSON object in *data*; bytes that are no UTF-8 are replaced.

    Raises:
        BadDocumentError: There is none, or it goes beyond a limit.
    """
    if len(data) > max_bytes:
        raise BadDocumentError("too large")
    _check_depth(data)
    try:
        found = json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse)
    except ValueError as error:  # also a number of too many digits
        raise BadDocumentError("no JSON") from error
    if not isinstance(found, dict):
        raise BadDocumentError("no object")
    return found


def _check_depth(data: bytes) -> None:
    """Raise BadDocumentError if the JSON in *data* nests too deep.

    A backslash outside of a string ends the decoding, so what is behind it may be taken wrongly.
    """
    marks = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NEITHER)
    # Two quotes in a row change nothing of what is within a string and what is not.
    brackets = _STRING.sub(b"", marks.replace(b'""', b""))
    if len(brackets) > MAX_BRACKETS:
        raise BadDocumentError("too many parts")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            raise BadDocumentError("nested too deep")


def _refuse(constant: str) -> NoReturn:
    raise BadDocumentError(f"{constant} is no number")


# --- what is of another type is not there --------------------------------------------------


def mapping_of(value: object) -> Document:
    """Return *value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> Sequence[Document]:
    """Return the objects in a list, or in the ``values`` of an object, in order."""
    told = value.get("values") if isinstance(value, dict) else value
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else ()


def text_of(value: object, limit: int) -> str:
    """Return the first *limit* characters of a text, else ``""``. Any encoding can write it."""
    return _SURROGATES.sub("\ufffd", value[:limit]) if isinstance(value, str) else ""


def word_of(value: object, limit: int) -> str:
    """Return a text, or a number or truth value as a text; else ``""``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)[:limit] if abs(value) < 2**64 else ""
    return text_of(value, limit)


def whole_of(value: object, limit: int) -> int | None:
    """Return a whole number from 0 to *limit*, else None."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= limit else None


def number_of(value: object) -> float | None:
    """Return a finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
