"""Answers of crash intake: as SDKs expect them, readable from every web page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from update_server.service.crashes.limits import Kind
from update_server.web import wire
from update_server.web.errors import NO_STORE, problem_for
from update_server.web.public.answers import Bytes, json_bytes

CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "X-Sentry-Rate-Limits, Retry-After"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "X-Sentry-Auth, Content-Type, Content-Encoding"),
    ("Allow", "POST, OPTIONS"),
    ("Content-Length", "0"),
)

RATE_LIMITS: Final = "X-Sentry-Rate-Limits"
# With a 429 SDKs would drop sessions, too: 200 and this, and they drop what they are asked to.
_LIMITS: Final[Mapping[Kind, str]] = {
    Kind.ATTACHMENT: "60:attachment:key:burst",
    Kind.ERROR: "60:error;default:key:burst",
    Kind.SESSION: "60:session:key:burst",
}


def preflight() -> Bytes:
    """Return the answer to a browser that asks whether a page may report here."""
    return Bytes(200, b"", (*_PREFLIGHT, *CORS))


def taken(event_id: str | None, shed: Iterable[Kind]) -> Bytes:
    """Return that an envelope was taken in, and what to hold back for now."""
    answer = json_bytes(200, wire.render({} if event_id is None else {"id": event_id}))
    return _with(answer, shed)


def dump_taken(event_id: str, shed: Iterable[Kind]) -> Bytes:
    """Return that a minidump was taken in: crash handlers show the text to people."""
    body = event_id.encode()
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", NO_STORE),
    )
    return _with(Bytes(200, body, headers), shed)


def refused(error: Exception) -> Bytes:
    """Return what is wrong, as everywhere here and with ``causes``, where SDKs look for it."""
    problem = problem_for(error)
    body = replace(problem, data={**problem.data, "causes": []}).body()
    headers = (*problem.header_items(), ("Content-Length", str(len(body))))
    return Bytes(problem.status, body, (*headers, *CORS))


def _with(answer: Bytes, shed: Iterable[Kind]) -> Bytes:
    held_back = [limit for kind, limit in _LIMITS.items() if kind in shed]
    limits = ((RATE_LIMITS, ", ".join(held_back)),) if held_back else ()
    return replace(answer, headers=(*answer.headers, *limits, *CORS))
