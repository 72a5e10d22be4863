"""``/tuf`` and ``/targets``: signed metadata and the files that it names.

In production a CDN or a proxy serves these; here they are right for one machine too:
strong validators, byte ranges, and never a content encoding.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from update_server.service.agents.files import FoundFile
from update_server.web.errors import NO_STORE
from update_server.web.public.answers import JSON
from update_server.web.public.byte_ranges import (
    CHUNK_BYTES,
    ByteRange,
    FileBody,
    Multipart,
    UnsatisfiableRangeError,
    parse_ranges,
)
from update_server.web.public.services import Offload, PublicServices

_BYTES: Final = "application/octet-stream"
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_TIMESTAMP: Final = "public, max-age=60"


def blueprint(services: PublicServices) -> Blueprint:
    """Return the file endpoints. Flask answers HEAD through them."""
    bp = Blueprint("files", __name__)

    @bp.get("/v1/apps/<app>/tuf/<name>")
    def get_metadata(app: str, name: str) -> Response:
        metadata = services.files.metadata(app, name)
        response = _start(metadata.sha256, _IMMUTABLE if metadata.immutable else _TIMESTAMP, JSON)
        if not _is_known(metadata.sha256):
            response.set_data(metadata.data)
        return response

    @bp.get("/v1/apps/<app>/targets/<path:path>")
    def get_target(app: str, path: str) -> Response:
        authorization = request.authorization
        credential = authorization.token if authorization else None
        found = services.files.target(app, path, credential)
        response = _start(found.sha256, NO_STORE if found.private else _IMMUTABLE, _BYTES)
        response.headers["Accept-Ranges"] = "bytes"
        if _is_known(found.sha256):
            return response
        if services.offload is not None:
            return _hand_over(response, found, services.offload)
        ranges = _ranges(found)
        _describe(response, found, ranges)
        if request.method != "HEAD":
            _send(response, services, found, ranges)
        return response

    return bp


def _start(sha256: str, cache: str, media_type: str) -> Response:
    status = 304 if _is_known(sha256) else 200
    response = Response(status=status, content_type=media_type)
    response.set_etag(sha256)
    response.headers["Cache-Control"] = cache
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _is_known(sha256: str) -> bool:
    """Whether the one who asks has these bytes already (``If-None-Match``)."""
    return bool(request.if_none_match) and request.if_none_match.contains_weak(sha256)


def _ranges(found: FoundFile) -> tuple[ByteRange, ...] | None:
    header = request.headers.get("Range")
    # RFC 9110 section 14.2: a range is of a GET only.
    if header is None or request.method != "GET":
        return None
    if "If-Range" in request.headers and request.headers["If-Range"] != f'"{found.sha256}"':
        return None  # another file than the one begun, or a date, which we do not give
    try:
        return parse_ranges(header, found.length_bytes)
    except UnsatisfiableRangeError as error:
        raise RequestedRangeNotSatisfiable(length=error.size_bytes) from error


def _describe(response: Response, found: FoundFile, ranges: tuple[ByteRange, ...] | None) -> None:
    if ranges is None:
        response.content_length = found.length_bytes
        return
    response.status_code = 206
    if len(ranges) == 1:
        response.headers["Content-Range"] = ranges[0].content_range(found.length_bytes)
        response.content_length = ranges[0].length
        return
    multipart = _multipart(found, ranges)
    response.content_type = multipart.content_type
    response.content_length = multipart.content_length


def _send(
    response: Response,
    services: PublicServices,
    found: FoundFile,
    ranges: tuple[ByteRange, ...] | None,
) -> None:
    file = services.files.open(found)
    response.direct_passthrough = True
    if ranges is None:
        # The server's own file sending where it has one (sendfile).
        response.response = wrap_file(request.environ, file, CHUNK_BYTES)
    elif len(ranges) == 1:
        response.response = FileBody(file, iter(ranges))
    else:
        response.response = FileBody(file, _multipart(found, ranges).pieces())


def _multipart(found: FoundFile, ranges: tuple[ByteRange, ...]) -> Multipart:
    return Multipart(
        ranges=ranges, size_bytes=found.length_bytes, sha256=found.sha256, media_type=_BYTES
    )


def _hand_over(response: Response, found: FoundFile, offload: Offload) -> Response:
    """Let the proxy send the file; it answers ranges by itself."""
    response.headers[offload.header] = offload.prefix + quote(found.key)
    return response
