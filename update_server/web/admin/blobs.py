"""``…/blobs/{sha256}``: uploads that can be taken up again where they broke off, and their bytes.

A publisher's command fetches older payloads here, to make deltas from them.
"""

from __future__ import annotations

import errno
from typing import BinaryIO, Final, cast

from flask import Blueprint, Response, request
from werkzeug.wsgi import wrap_file

from update_server.service.ports import Role, UnavailableError
from update_server.web.admin.services import AdminServices
from update_server.web.auth import Guard
from update_server.web.errors import NO_STORE, BadFieldError, StorageFullError

MAX_UPLOAD_BYTES: Final = 16 * 1024**3  # no artifact is meant to be larger
_MAX_DIGITS: Final = 15
_CHUNK_BYTES: Final = 64 * 1024
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def blueprint(services: AdminServices, guard: Guard) -> Blueprint:
    """Return the endpoints."""
    bp = Blueprint("blobs", __name__)

    @bp.route("/v1/admin/apps/<name:app>/blobs/<digest:sha256>", methods=["HEAD"])
    def head_blob(app: str, sha256: str) -> Response:
        guard.require(Role.PUBLISHER, app)
        offset_bytes, done = services.uploads.progress(app, sha256)
        return _progress(200, offset_bytes, done=done)

    # HEAD has a meaning of its own here, so GET does not bring it along.
    @bp.route("/v1/admin/apps/<name:app>/blobs/<digest:sha256>", methods=["GET"])
    def get_blob(app: str, sha256: str) -> Response:
        guard.require(Role.PUBLISHER, app)
        file, length_bytes = services.uploads.open(app, sha256)
        response = Response(
            wrap_file(request.environ, file, _CHUNK_BYTES),
            content_type="application/octet-stream",
            direct_passthrough=True,
        )
        response.content_length = length_bytes
        response.headers["Cache-Control"] = NO_STORE
        response.make_conditional(request, accept_ranges=True, complete_length=length_bytes)
        return response

    @bp.put("/v1/admin/apps/<name:app>/blobs/<digest:sha256>")
    def put_blob(app: str, sha256: str) -> Response:
        caller = guard.require(Role.PUBLISHER, app)
        offset_bytes, total_bytes = _number("Upload-Offset"), _number("Upload-Length")
        if not offset_bytes <= total_bytes <= MAX_UPLOAD_BYTES:
            raise BadFieldError("Upload-Length", f"from the offset to {MAX_UPLOAD_BYTES}")
        if (request.content_length or 0) > total_bytes - offset_bytes:
            raise BadFieldError("Content-Length", "more bytes than Upload-Length leaves")
        try:
            offset_bytes, done = services.uploads.append(
                caller, app, sha256, offset_bytes, total_bytes, cast("BinaryIO", request.stream)
            )
        except UnavailableError as error:
            if _is_full(error):
                raise StorageFullError from error
            raise
        return _progress(201 if done else 204, offset_bytes, done=done)

    return bp


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise BadFieldError(header, "a whole number of bytes")
    return int(text)


def _progress(status: int, offset_bytes: int, *, done: bool) -> Response:
    response = Response(status=status)
    del response.headers["Content-Type"]  # there is no content
    response.headers["Cache-Control"] = NO_STORE
    response.headers["Upload-Offset"] = str(offset_bytes)
    # A boolean of RFC 9651, as in the IETF's draft of resumable uploads.
    response.headers["Upload-Complete"] = "?1" if done else "?0"
    return response


def _is_full(error: UnavailableError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_ROOM
