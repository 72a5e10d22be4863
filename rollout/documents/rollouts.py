"""The rollout document: who gets which release now, on one channel. Signed online.

It names no install, and holds no salt, URL of a file, or hash.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from rollout.documents.audiences import read_audience, render_audience
from rollout.documents.fields import Fields, check_schema, check_unique, render_time
from rollout.documents.policies import check_ring
from rollout.first import rollout_behind
from rollout.model import Entry, Hold, OpenRing, RolloutDocument, RolloutId, RolloutState
from rollout.names import check_app, check_channel, check_rollout_id
from rollout.strict_json import parse_strict, render_canonical
from rollout.versions import parse_canonical_version, render_version

MAX_ENTRIES = 16
MAX_RINGS = 16
MAX_HOLDS = 64
MAX_FROM = 64
MAX_CHECK_IN_SECONDS = 7 * 86_400

_HOLD_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LINK = re.compile(r"https://([a-z0-9.-]{1,253})(?::[0-9]{1,5})?(?:[/?#][!-~]*)?")


def parse_rollout(data: bytes) -> RolloutDocument:
    """Return the rollout document in *data*.

    Raises:
        DocumentError: It is not one, or its fields contradict each other.
    """
    fields = Fields(parse_strict(data))
    check_schema(fields)
    entries = fields.objects("entries", _entry, at_most=MAX_ENTRIES)
    check_unique(fields, "entries", tuple(e.rollout for e in entries if e.rollout is not None))
    return RolloutDocument(
        app=fields.checked("app", check_app),
        channel=fields.checked("channel", check_channel),
        issued=fields.time("issued"),
        next_check_in_seconds=fields.integer(
            "next_check_in_seconds", lowest=1, highest=MAX_CHECK_IN_SECONDS
        ),
        entries=entries,
    )


def render_rollout(document: RolloutDocument) -> bytes:
    """Return the canonical bytes of *document*."""
    return render_canonical(
        {
            "schema": 1,
            "app": document.app,
            "channel": document.channel,
            "issued": render_time(document.issued),
            "next_check_in_seconds": document.next_check_in_seconds,
            "entries": [_render_entry(entry) for entry in document.entries],
        }
    )


def digest_of(*entries: Entry) -> str:
    """Return the SHA-256 of *entries*, in hex: equal of what a document says in the same words."""
    said = b"".join(render_canonical(_render_entry(entry)) for entry in entries)
    return hashlib.sha256(said).hexdigest()


def digests_of(document: RolloutDocument | None) -> dict[RolloutId, str]:
    """Return the digest of all that *document* says of each rollout, its first installs too."""
    said: dict[RolloutId, list[Entry]] = {}
    for entry in document.entries if document else ():
        rollout = rollout_behind(entry.rollout)
        if rollout is not None:
            said.setdefault(rollout, []).append(entry)
    return {rollout: digest_of(*entries) for rollout, entries in said.items()}


def check_hold(hold: Hold) -> Hold:
    """Return *hold* if an operator may place it; raise DocumentError otherwise.

    A selector that is not known is refused here: in a document it would hold everybody.
    """
    fields = Fields(_render_hold(hold))
    if hold.audience.unknown:
        raise fields.refuse("audience", "a selector that is not known")
    return _hold(fields)


def host_of(link: str) -> str | None:
    """Return the host of an https link; None if *link* is not one."""
    match = _LINK.fullmatch(link)
    return match[1] if match else None


def _entry(fields: Fields) -> Entry:
    rollback = fields.boolean("rollback") if fields.has("rollback") else False
    entry = Entry(
        version=fields.version("version"),
        state=fields.choice("state", RolloutState),
        exposure_bp=fields.basis_points("exposure_bp"),
        rollback=rollback,
        from_versions=frozenset(
            fields.texts("from", parse_canonical_version, at_most=MAX_FROM)
            if "from" in fields.names()
            else ()
        ),
        # A rollback stands in for a pulled release: it may lack what stages a release.
        rollout=None
        if rollback and not fields.has("rollout")
        else fields.checked("rollout", check_rollout_id),
        holdback_bp=0
        if rollback and not fields.has("holdback_bp")
        else fields.basis_points("holdback_bp"),
        rings=()
        if rollback and "rings" not in fields.names()
        else fields.objects("rings", read_ring, at_most=MAX_RINGS),
        holds=()
        if rollback and "holds" not in fields.names()
        else fields.objects("holds", _hold, at_most=MAX_HOLDS),
    )
    _check_entry(fields, entry)
    return entry


def _check_entry(fields: Fields, entry: Entry) -> None:
    if entry.state is RolloutState.SUPERSEDED:
        raise fields.refuse("state", "a superseded rollout leaves the document")
    if "from" in fields.names() and not entry.from_versions:
        raise fields.refuse("from", "empty")
    check_unique(fields, "rings", tuple(ring.name for ring in entry.rings))
    check_unique(fields, "holds", tuple(hold.id for hold in entry.holds))
    if entry.rollback:
        if not entry.from_versions:
            raise fields.refuse("from", "a rollback needs it")
        if entry.holds or entry.holdback_bp:
            raise fields.refuse("rollback", "takes no holds and no holdback")
        if not entry.rings:
            if "rings" in fields.names():
                raise fields.refuse("rings", "empty")
            return
    general = [ring.exposure_bp for ring in entry.rings if ring.audience.groups is None]
    if entry.exposure_bp != max(general, default=0):
        raise fields.refuse("exposure_bp", "not that of the widest general ring")


def read_ring(fields: Fields) -> OpenRing:
    """Return the open ring in *fields*; raise DocumentError if it is none."""
    return OpenRing(
        name=fields.checked("name", check_ring),
        exposure_bp=fields.basis_points("exposure_bp"),
        audience=read_audience(fields.object("audience")),
    )


def render_ring(ring: OpenRing) -> dict[str, Any]:
    """Return *ring* as a document says it."""
    return {
        "name": ring.name,
        "exposure_bp": ring.exposure_bp,
        "audience": render_audience(ring.audience),
    }


def _hold(fields: Fields) -> Hold:
    title = fields.text("title")
    if not title.strip() or any(unicodedata.category(char) == "Cc" for char in title):
        raise fields.refuse("title", "not plain text")
    link = fields.text("link")
    if host_of(link) is None:
        raise fields.refuse("link", "not an https link")
    return Hold(
        id=fields.text("id", pattern=_HOLD_ID),
        title=title,
        link=link,
        audience=read_audience(fields.object("audience")),
    )


def _render_entry(entry: Entry) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "version": render_version(entry.version),
        "state": entry.state,
        "exposure_bp": entry.exposure_bp,
    }
    if entry.from_versions:
        rendered["from"] = [render_version(version) for version in sorted(entry.from_versions)]
    if entry.rollback:
        rendered["rollback"] = True
    if entry.rollout is not None:
        rendered["rollout"] = entry.rollout
    if entry.rings or not entry.rollback:
        rendered["rings"] = [render_ring(ring) for ring in entry.rings]
    if not entry.rollback:
        rendered["holdback_bp"] = entry.holdback_bp
        rendered["holds"] = [_render_hold(hold) for hold in entry.holds]
    return rendered


def _render_hold(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "title": hold.title,
        "link": hold.link,
        "audience": render_audience(hold.audience),
    }
