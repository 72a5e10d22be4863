"""Sentry envelopes, read: what came in, reduced to what may be kept.

Pure. How the bytes come here (encodings, keys, limits of rate) is the route's business, and which
install they are of is the service's. The format: https://develop.sentry.dev/sdk/data-model/envelopes/
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from update_server.crashes.documents import text_of
from update_server.crashes.envelope import Envelope, Item, SdkDump
from update_server.crashes.errors import BadDocumentError, MalformedEnvelopeError
from update_server.crashes.instants import instant_of
from update_server.crashes.items import Part, Unreadable, split
from update_server.crashes.sdk_events import event_of
from update_server.crashes.sdk_sessions import OTHER, discards_of, id_of, session_of, sessions_of

MAX_EVENTS: Final = 10
"""Of one envelope. Sentry takes one; each costs some milliseconds."""

BAD: Final = "bad"

_MINIDUMP: Final = "event.minidump"
_MAX_DSN: Final = 1_024
_DSN: Final = re.compile(r"https?://([0-9A-Za-z]{1,64})(?::[0-9A-Za-z]*)?@", re.IGNORECASE)

# Types that Sentry has and this server does not take. They become labels, so there is an end.
_KNOWN: Final = frozenset(
    {
        *("attachment", "check_in", "feedback", "form_data", "log", "metric_buckets"),
        *("metric_meta", "nel", "otel_log", "profile", "profile_chunk", "raw_security"),
        *("replay_event", "replay_recording", "replay_video", "security", "span", "statsd"),
        *("trace_metric", "transaction", "unreal_report", "user_report"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What holds for all items of an envelope."""

    event_id: str | None
    received_at: datetime
    messages: bool
    tags: Sequence[str]
    events: Counter[str] = field(default_factory=Counter)


def parse_envelope(
    data: bytes, *, received_at: datetime, messages: bool, tags: Sequence[str]
) -> Envelope:
    """Return what is kept of the envelope in *data*.

    A bad item is counted, and the others are taken. *messages*: keep what exceptions say,
    scrubbed. *tags*: names of the tags to keep.

    Raises:
        MalformedEnvelopeError: The first line is no header.
    """
    try:
        header, parts = split(data)
    except BadDocumentError as error:
        raise MalformedEnvelopeError("the first line is no JSON object, or too long") from error
    reading = _Reading(
        event_id=id_of(header.get("event_id")) or None,
        received_at=received_at,
        messages=messages,
        tags=tags,
    )
    items: list[Item] = []
    skipped: Counter[str] = Counter()
    for part in parts:
        found = BAD if isinstance(part, Unreadable) else _item(part, reading)
        if isinstance(found, str):
            skipped[found] += 1
        else:
            items.append(found)
    dsn = _DSN.match(text_of(header.get("dsn"), _MAX_DSN))
    return Envelope(
        event_id=reading.event_id,
        key=dsn[1] if dsn else None,
        sent_at=instant_of(header.get("sent_at")),
        items=tuple(items),
        skipped=MappingProxyType(dict(skipped)),
    )


def _item(part: Part, reading: _Reading) -> Item | str:
    """Return what is kept of one item, or as what it is counted."""
    try:
        match part.type:
            case "event":
                reading.events["event"] += 1
                if reading.events["event"] > MAX_EVENTS:
                    return "event"
                return event_of(
                    part.document,
                    reading.event_id,
                    messages=reading.messages,
                    tags=reading.tags,
                )
            case "session":
                return session_of(part.document, reading.received_at)
            case "sessions":
                return sessions_of(part.document, part.payload)
            case "client_report":
                return discards_of(part.document)
            case "attachment" if part.header.get("attachment_type") == _MINIDUMP:
                return SdkDump(data=part.payload) if reading.event_id else BAD
            case _:
                return part.type if part.type in _KNOWN else OTHER
    except BadDocumentError:
        return BAD
