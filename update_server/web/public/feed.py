"""``/v1/apps/{app}/rollouts.atom``: what becomes of an app's rollouts, for feed readers.

Atom (RFC 4287). IDs stay the same for the same change.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from flask import Blueprint, Response, request

from update_server.service.notices.feed import Entry
from update_server.web.public.services import PublicServices

ATOM: Final = "application/atom+xml; charset=utf-8"
_NAMESPACE: Final = "http://www.w3.org/2005/Atom"
_CACHE: Final = "public, max-age=60"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def blueprint(services: PublicServices) -> Blueprint:
    """Return the endpoint."""
    bp = Blueprint("feed", __name__)

    @bp.get("/v1/apps/<app>/rollouts.atom")
    def get_feed(app: str) -> Response:
        body = render_feed(app, services.feed.entries(app))
        response = Response(body, content_type=ATOM)
        response.set_etag(hashlib.sha256(body).hexdigest())
        response.headers["Cache-Control"] = _CACHE
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.make_conditional(request)
        return response

    return bp


def render_feed(app: str, entries: Sequence[Entry]) -> bytes:
    """Return the feed; the same entries give the same bytes."""
    feed = ET.Element("feed", xmlns=_NAMESPACE)
    _add(feed, "id", _id(app))
    _add(feed, "title", f"Rollouts of {app}")
    _add(feed, "updated", _time(max((each.at for each in entries), default=_NEVER)))
    _add(_add(feed, "author"), "name", app)
    _add(feed, "link", rel="self", href="rollouts.atom")
    for each in entries:
        entry = _add(feed, "entry")
        _add(entry, "id", _id(app, each.id))
        _add(entry, "title", each.title)
        _add(entry, "updated", _time(each.at))
        _add(entry, "category", term=each.kind)
        _add(entry, "content", each.evidence or each.title, type="text")
    document: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return document


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, attributes)
    child.text = text or None
    return child


def _id(*names: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("serinus", *names))).urn


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
