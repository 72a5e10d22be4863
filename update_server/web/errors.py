"""How errors look on the wire: RFC 9457 problem documents, and the one table behind them.

An error type that is not in ``TABLE`` becomes a 500 that says nothing, and is logged here,
once. No stack trace, path or secret leaves the server.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable

from signing import errors as signing
from update_server.crashes.errors import MalformedEnvelopeError
from update_server.service import errors as service
from update_server.service import ports

_log = logging.getLogger(__name__)

PROBLEM_TYPE: Final = "application/problem+json"
NO_STORE: Final = "no-store"


class WebError(Exception):
    """Base of what is wrong with a request itself. Never raised itself."""


class MalformedError(WebError):
    """The body is not what the route takes at all (no JSON, no UTF-8, nested too deep)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class BadFieldError(WebError):
    """One field of a request is missing or wrong. ``field`` is its dotted path."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field


class TooLargeError(WebError):
    """The request has more than the route takes. ``limit`` counts ``unit``."""

    def __init__(self, limit: int, unit: str) -> None:
        super().__init__(f"a request takes at most {limit} {unit}")
        self.limit = limit
        self.unit = unit


class UnauthorizedError(WebError):
    """No valid token came with the request."""

    def __init__(self) -> None:
        super().__init__("send a valid token as `Authorization: Bearer srn_…`")


class ForbiddenError(WebError):
    """The token is valid, but its role or its app does not allow this."""

    def __init__(self, needed: str) -> None:
        super().__init__(f"this needs the role {needed!r} for this app")
        self.needed = needed


class ForeignFormError(WebError):
    """A form was sent that no page of ours showed to who sent it."""

    def __init__(self) -> None:
        super().__init__("this form did not come from this site, in this session: open it again")


class OidcRefusedError(WebError):
    """The provider's answer does not say who this is, or says it to somebody else."""

    def __init__(self) -> None:
        super().__init__("the provider's answer lets nobody in: begin again")


class OidcUnavailableError(WebError):
    """The provider does not answer, or not as one does. Passwords work all the same."""

    def __init__(self) -> None:
        super().__init__("the provider does not answer: try again, or sign in with a password")


class ReusedKeyError(WebError):
    """The ``Idempotency-Key`` came with another body before."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another body before: take a new one")


class StorageFullError(WebError):
    """There is no room for more uploaded bytes; those that came are kept."""

    def __init__(self) -> None:
        super().__init__("the server has no room for this: what was sent so far is kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem document, and the headers that go with it."""

    status: int
    code: str
    detail: str
    data: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the document as JSON."""
        members = {
            "type": f"about:blank#{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        return msgspec.json.encode({**self.data, **members})

    def header_items(self) -> list[tuple[str, str]]:
        """Return all headers of the answer but its length."""
        headers = {"Content-Type": PROBLEM_TYPE, "Cache-Control": NO_STORE, **self.headers}
        return list(headers.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one error type becomes.

    ``code`` None: the error's own ``code``. ``data`` maps members of the document to
    attributes of the error (a Mapping in an attribute ``*`` is merged). ``retry_after`` is the
    attribute with the seconds until it may be tried again. ``detail`` replaces
    the error's text where that may name what is inside the server. ``logged``: it is our
    fault all the same.
    """

    error: type[Exception]
    status: int
    code: str | None
    data: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: str | None = None
    detail: str | None = None
    logged: bool = False


_FIELD: Final = {"field": "field"}
_WHERE: Final = {"where": "where"}
_SOON: Final = {"Retry-After": "2"}

# The first row whose type fits wins: subclasses stand before their bases.
TABLE: Final[tuple[Row, ...]] = (
    # what is wrong with a request itself
    Row(error=MalformedError, status=400, code="malformed"),
    Row(error=MalformedEnvelopeError, status=400, code="malformed"),
    Row(error=BadFieldError, status=400, code="bad_field", data=_FIELD),
    Row(error=TooLargeError, status=413, code="too_large", data={"limit": "limit", "unit": "unit"}),
    Row(
        error=UnauthorizedError,
        status=401,
        code="unauthorized",
        headers={"WWW-Authenticate": 'Bearer realm="serinus"'},
    ),
    Row(error=ForbiddenError, status=403, code="forbidden", data={"needed": "needed"}),
    Row(error=ForeignFormError, status=403, code="foreign_form"),
    Row(error=OidcRefusedError, status=403, code="oidc_refused"),
    Row(error=OidcUnavailableError, status=502, code="oidc_unavailable"),
    Row(error=ReusedKeyError, status=422, code="idempotency_key_reused"),
    Row(error=StorageFullError, status=507, code="insufficient_storage"),
    # what agents may meet
    Row(error=service.UnknownAppError, status=404, code="unknown_app", data={"app": "app"}),
    Row(error=service.UnknownChannelError, status=422, code="unknown_channel", data=_FIELD),
    Row(error=service.UnknownPlatformError, status=422, code="unknown_platform", data=_FIELD),
    Row(error=service.BadTokenError, status=403, code="bad_token", data=_FIELD),
    Row(error=service.ExpiredTokenError, status=403, code="expired_token", data=_FIELD),
    Row(error=service.BadKeyError, status=403, code="bad_key"),
    Row(error=service.BadCodeError, status=403, code="bad_code", data=_FIELD),
    Row(
        error=service.NoNextRootError,
        status=404,
        code="not_found",
        headers={"Cache-Control": "public, max-age=60"},  # docs/trust.md, 8
    ),
    Row(error=service.NoFileError, status=404, code="not_found"),
    Row(error=service.PulledError, status=410, code="pulled", data={"version": "version"}),
    Row(error=service.NotReadyError, status=503, code="not_ready", headers=_SOON),
    # what people who sign in may meet
    Row(error=service.BadSignInError, status=403, code="bad_sign_in"),
    Row(error=service.BadSessionError, status=403, code="bad_session"),
    Row(error=service.WrongPasswordError, status=403, code="wrong_password"),
    Row(error=service.NoPasswordError, status=403, code="no_password"),
    Row(error=service.BadLinkError, status=404, code="bad_link"),
    Row(
        error=service.TooManyFailuresError,
        status=429,
        code="too_many_failures",
        data={"retry_after_seconds": "retry_after_seconds"},
        retry_after="retry_after_seconds",
    ),
    # what publishers and operators may meet
    Row(
        error=service.RevisionError,
        status=412,
        code="precondition_failed",
        data={"current": "current"},
    ),
    Row(error=service.ConflictError, status=409, code="conflict"),
    Row(
        error=service.IllegalVerbError,
        status=409,
        code="illegal_transition",
        data={"verb": "verb", "legal": "legal"},
    ),
    Row(error=service.NotNewerError, status=409, code="not_newer", data={"version": "version"}),
    Row(
        error=service.ApprovalsMissingError,
        status=403,
        code="approvals_missing",
        data={"needed": "needed", "why": "why", "hint": "hint"},
    ),
    Row(
        error=service.TooManyPendingError,
        status=409,
        code="too_many_pending",
        data={"limit": "limit"},
    ),
    Row(error=service.NeverAllowedError, status=409, code="never", data={"why": "why"}),
    Row(error=service.InexpressibleError, status=409, code="inexpressible", data=_WHERE),
    Row(
        error=service.NotRegisteredError,
        status=409,
        code="not_registered",
        data={"missing": "missing"},
    ),
    Row(error=service.NotReleasedError, status=422, code="not_released", data=_FIELD),
    Row(error=service.BadValueError, status=422, code="bad_value", data=_FIELD),
    Row(
        error=service.BrokenStateError,
        status=500,
        code="broken_state",
        detail="stored files are not what was signed: run serinus fsck",
        logged=True,
    ),
    Row(
        error=signing.StaleBaseError,
        status=409,
        code="stale_base",
        data={"role": "role", "versions": "current"},
    ),
    Row(
        error=signing.SubmissionError, status=422, code=None, data={"role": "role", "path": "path"}
    ),
    # what a port may raise
    Row(error=ports.ExistsError, status=409, code="exists", data={"kind": "kind"}),
    Row(error=ports.ChangedError, status=409, code="conflict", data={"kind": "kind"}),
    Row(
        error=ports.LeaseLostError,
        status=503,
        code="busy",
        headers=_SOON,
        detail="the app's repository is being written: try again",
    ),
    Row(error=ports.SignerRefusedError, status=409, code=None, data={"*": "data"}),
    Row(
        error=ports.OffsetMismatchError,
        status=409,
        code="offset_mismatch",
        data={"offset": "expected_bytes"},
    ),
    Row(
        error=ports.DigestMismatchError,
        status=422,
        code="digest_mismatch",
        data={"expected": "expected", "found": "found"},
    ),
    Row(
        error=ports.BusyError,
        status=503,
        code="busy",
        headers=_SOON,
        detail="somebody else is sending this file: try again",
    ),
    Row(
        error=ports.UnavailableError,
        status=503,
        code="unavailable",
        headers=_SOON,
        detail="the server cannot do this now: try again",
    ),
)

# Codes whose status differs from their row's.
_STATUS_OF_CODE: Final = {"approvals_missing": 403}

# What people name, and where they see which there are.
_LISTED_BY: Final = {
    "app": "serinus app list",
    "group": "serinus group list",
    "operator": "serinus operator list",
    "hold": "serinus hold list",
    "waiver": "serinus waiver list",
    "pending verb": "serinus rollout pending",
    "release": "serinus release list",
    "signature": "serinus crash list",
    "rollout": "serinus rollout list",
}

_INTERNAL: Final = Problem(
    status=500, code="internal", detail="the server failed; its log says more"
)

_HTTP_CODES: Final = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}


def problem_for(error: Exception) -> Problem:
    """Return the problem document for *error*. Logs what is our fault, as all without a row is."""
    if isinstance(error, ports.NotFoundError):
        code = "unknown_" + error.kind.replace(" ", "_").replace("-", "_")
        command = _LISTED_BY.get(error.kind)
        if command is None:  # its key may be a secret's hash
            return Problem(status=404, code=code, detail=f"there is no such {error.kind}")
        detail = f"there is no {error.kind} {error.key!r}"
        return Problem(status=404, code=code, detail=detail, data={"hint": command})
    for row in TABLE:
        if isinstance(error, row.error):
            if row.logged:
                _log.error("request failed", exc_info=error)
            return _from_row(row, error)
    if isinstance(error, HTTPException) and error.code is not None:
        return _from_http(error, error.code)
    # No path goes into the log: it may hold a token or an install ID.
    _log.error("request failed", exc_info=error)
    return _INTERNAL


def register_error_handlers(app: Flask) -> None:
    """Make *app* answer every error with a problem document, unknown routes included."""
    # A redirect to a tidier path would be an answer that is no problem document.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.register_error_handler(Exception, _answer)


def _answer(error: Exception) -> Response:
    return to_response(problem_for(error))


def to_response(problem: Problem) -> Response:
    """Return *problem* as Flask sends it."""
    response = Response(problem.body(), status=problem.status)
    for name, value in problem.header_items():
        response.headers[name] = value
    return response


def _from_row(row: Row, error: Exception) -> Problem:
    data: dict[str, Any] = {}
    for member, attribute in row.data.items():
        value = getattr(error, attribute)
        if member == "*":
            data.update(value)
        else:
            data[member] = value
    headers = dict(row.headers)
    if row.retry_after is not None:
        headers["Retry-After"] = str(getattr(error, row.retry_after))
    code = row.code if row.code is not None else str(getattr(error, "code"))  # noqa: B009
    return Problem(
        status=_STATUS_OF_CODE.get(code, row.status),
        code=code,
        detail=row.detail or str(error),
        data=data,
        headers=headers,
    )


def _from_http(error: HTTPException, status: int) -> Problem:
    phrase = HTTPStatus(status).phrase
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        headers["Content-Range"] = f"bytes */{error.length}"
    return Problem(
        status=status,
        code=_HTTP_CODES.get(status, phrase.lower().replace(" ", "_").replace("-", "_")),
        detail=phrase.lower(),
        headers=headers,
    )
