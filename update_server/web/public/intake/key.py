"""Where a report's key stands outside its body: in the query, else in a header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

_NAME: Final = "sentry_key"
# Some handlers put a second query behind the one that their URL has already.
_IN_QUERY: Final = re.compile(r"[A-Za-z0-9]+")
_IN_HEADER: Final = re.compile(r"(?:^|[\s,])sentry_key\s*=\s*([A-Za-z0-9]+)", re.IGNORECASE)
_MAX_FIELDS: Final = 100


def query_of(environ: WSGIEnvironment) -> Mapping[str, Sequence[str]]:
    """Return the query's fields; none where there are more than anybody sends."""
    query: str = environ.get("QUERY_STRING", "")
    try:
        return parse_qs(query, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return {}


def key_of(environ: WSGIEnvironment) -> str | None:
    """Return the key that came with the request; None where the envelope may hold one."""
    for told in query_of(environ).get(_NAME, ()):
        found = _IN_QUERY.match(told)
        if found:
            return found[0]
    found = _IN_HEADER.search(environ.get("HTTP_X_SENTRY_AUTH", ""))
    return found[1] if found else None
