"""Which keys a blob store takes. A key is never a way out of the store's folder."""

from __future__ import annotations

import re

from update_server.service.ports import NotFoundError

UPLOADS = "uploads"
"""The first segment of what is not yet a blob. No key may begin with it."""

BLOBS = "blobs"
"""The first segment of finished uploads."""

# No segment begins with a dot, so "." and ".." are no segments, nor are our own hidden folders.
# 255 bytes is what file systems take for a name.
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,254}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_LENGTH = 1024  # what object stores take for a key


class BadKeyError(NotFoundError):
    """No blob can have such a key, so there is none, and none can be made."""


def check_key(key: str) -> str:
    """Return *key* if a blob may have it, else raise BadKeyError."""
    segments = key.split("/")
    if (
        len(key) > _MAX_LENGTH
        or segments[0] == UPLOADS
        or not all(_SEGMENT.fullmatch(segment) for segment in segments)
    ):
        raise BadKeyError("blob", key)
    return key


def check_prefix(prefix: str) -> str:
    """Return *prefix* if keys may begin with it, else raise BadKeyError."""
    head, slash, tail = prefix.rpartition("/")
    if slash:
        check_key(head)
    if tail:
        check_key(tail)
    return prefix


def check_app_segment(app: str) -> str:
    """Return *app* if it can be one segment without a dot, else raise BadKeyError."""
    if not _SEGMENT.fullmatch(app) or "." in app:
        raise BadKeyError("upload", app)
    return app


def check_sha256(sha256: str) -> str:
    """Return *sha256* if it is a digest in lower-case hex, else raise BadKeyError."""
    if not _SHA256.fullmatch(sha256):
        raise BadKeyError("upload", sha256)
    return sha256


def blob_key(app: str, sha256: str) -> str:
    """Return the key of an app's finished upload of these bytes.

    Uploads are each app's own: who knows a digest from another app's public metadata must
    not come by the bytes, nor learn that they are here.
    """
    return f"{BLOBS}/{check_app_segment(app)}/{check_sha256(sha256)}"
