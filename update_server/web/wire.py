"""JSON at the edge, for both apps: bytes to typed structs, values to bytes.

Structs stay in ``wire_public``, ``wire_events`` and ``wire_admin``; this is what they share.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar
from wsgiref.types import WSGIEnvironment

import msgspec
from flask import Request
from werkzeug.wsgi import get_input_stream

from update_server.web.errors import BadFieldError, MalformedError, TooLargeError

T = TypeVar("T")

MAX_BODY_BYTES = 1 << 20  # 1 MiB, for every JSON body (CONTRACT)

_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")


def read_body(request: Request, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of *request*; raise TooLargeError when it is over the limit."""
    return read_environ(request.environ, limit_bytes)


def read_environ(environ: WSGIEnvironment, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of a WSGI request, whatever length it claims.

    Raises:
        TooLargeError: There are more than *limit_bytes*.
    """
    data: bytes = get_input_stream(environ).read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise TooLargeError(limit_bytes, "bytes")
    return data


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return *data* as what *decoder* makes.

    Raises:
        MalformedError: It is no JSON at all.
        BadFieldError: A field is missing or of a wrong type; ``field`` names it.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError("the body is not valid JSON") from error
    except RecursionError as error:
        raise MalformedError("the body is nested too deep") from error


def render(value: Any) -> bytes:
    """Return *value* as JSON; structs, dates and mappings included."""
    return msgspec.json.encode(value)


def render_time(at: datetime) -> str:
    """Return *at* as RFC 3339, UTC, whole seconds, with ``Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bad_field(text: str) -> BadFieldError:
    """Turn msgspec's sentence into the field it is about.

    A wrong field stands in a path at the end; a missing one only in the text, and the path
    is then that of the object which lacks it.
    """
    path = ""
    found = _PATH.search(text)
    if found:
        path = found["path"].removeprefix(".")
        text = text[: found.start()]
    missing = _MISSING.fullmatch(text)
    if missing:
        field = f"{path}.{missing['field']}".removeprefix(".")
        return BadFieldError(field, "is missing")
    return BadFieldError(path or "body", text[:1].lower() + text[1:])
