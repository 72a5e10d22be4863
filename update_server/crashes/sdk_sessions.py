"""What SDKs tell of sessions, and of what they dropped themselves."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import datetime
from types import MappingProxyType
from typing import Final

from update_server.crashes.documents import (
    Document,
    mapping_of,
    number_of,
    objects_of,
    text_of,
    whole_of,
    word_of,
)
from update_server.crashes.envelope import SdkDiscards, SdkSession, SdkSessions
from update_server.crashes.errors import BadDocumentError
from update_server.crashes.instants import clamped, instant_of
from update_server.crashes.releases import version_told

MAX_BUCKETS: Final = 100
MAX_COUNT: Final = 2**31 - 1
MAX_DROPPED: Final = 1_000_000
"""Of one reason and category, in one report. Sums of larger ones could outgrow their counter."""

_MAX_USER: Final = 256

# Words of ours that Sentry has, too.
_STATUSES: Final = frozenset({"ok", "exited", "errored", "crashed", "abnormal"})
_COUNTED: Final = {**{word: word for word in _STATUSES - {"ok"}}, "unhandled": "errored"}

# https://develop.sentry.dev/sdk/telemetry/client-reports/ ; they become labels, so there is an end.
_REASONS: Final = frozenset(
    {
        *("backpressure", "before_send", "buffer_overflow", "cache_overflow", "event_processor"),
        *("ignored", "insufficient_data", "internal_sdk_error", "invalid", "network_error"),
        *("queue_overflow", "ratelimit_backoff", "sample_rate", "send_error", "too_large"),
    }
)
_CATEGORIES: Final = frozenset(
    {
        *("attachment", "default", "error", "feedback", "internal", "log_byte", "log_item"),
        *("metric_bucket", "monitor", "profile", "profile_chunk", "replay", "security"),
        *("session", "span", "trace_metric", "transaction", "user_report"),
    }
)
OTHER: Final = "other"

_SID: Final = re.compile(r"[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}")
_WORD: Final = re.compile(r"[a-z_]{1,32}")


def id_of(told: object) -> str:
    """Return a UUID as 32 hex digits in lower case, with or without dashes; ``""`` for none."""
    text = text_of(told, 40).strip().lower()
    return text.replace("-", "") if _SID.fullmatch(text) else ""


def user_of(user: Document) -> str:
    """Return by what SDKs tell people apart: they take the same for a session's ``did``."""
    told = (word_of(user.get(name), _MAX_USER) for name in ("id", "email", "username"))
    return next(filter(None, told), "")


def session_of(told: Document, received_at: datetime) -> SdkSession:
    """Return the state of a session.

    Raises:
        BadDocumentError: It has no ``sid``.
    """
    sid = id_of(told.get("sid"))
    if not sid:
        raise BadDocumentError("a session has no sid")
    errors = whole_of(told.get("errors"), MAX_COUNT) or 0
    said = told.get("status", "ok")  # a first state often has none
    word = said if isinstance(said, str) and _WORD.fullmatch(said) else OTHER
    return SdkSession(
        sid=sid,
        status=_status(word, errors),
        said=word,
        release=version_told(mapping_of(told.get("attrs")).get("release")),
        user=word_of(told.get("did"), _MAX_USER),
        at=instant_of(told.get("timestamp")),
        started=clamped(instant_of(told.get("started")), received_at),
        duration_seconds=number_of(told.get("duration")),
        errors=errors,
    )


def sessions_of(told: Document, payload: bytes) -> SdkSessions:
    """Return the sum of an item of counts."""
    counts: Counter[str] = Counter()
    for bucket in objects_of(told.get("aggregates"))[:MAX_BUCKETS]:
        for name, status in _COUNTED.items():
            counts[status] += whole_of(bucket.get(name), MAX_COUNT) or 0
    return SdkSessions(
        digest=hashlib.sha256(payload).hexdigest(),
        release=version_told(mapping_of(told.get("attrs")).get("release")),
        counts=MappingProxyType({status: min(n, MAX_COUNT) for status, n in (+counts).items()}),
    )


def discards_of(told: Document) -> SdkDiscards:
    """Return what a client report says was dropped, for words that Sentry knows."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in objects_of(told.get("discarded_events"))[:MAX_BUCKETS]:
        reason, category = one.get("reason"), one.get("category")
        pair = (
            reason if isinstance(reason, str) and reason in _REASONS else OTHER,
            category if isinstance(category, str) and category in _CATEGORIES else OTHER,
        )
        counts[pair] += whole_of(one.get("quantity"), MAX_COUNT) or 0
    return SdkDiscards(
        counts=MappingProxyType({pair: min(n, MAX_DROPPED) for pair, n in (+counts).items()})
    )


def _status(said: str, errors: int) -> str:
    """Return the word of ours: what ended well after errors is ``errored``, as Sentry counts it."""
    if said not in _STATUSES:
        return "errored"
    return "errored" if errors and said in {"ok", "exited"} else said
