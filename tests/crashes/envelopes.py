"""Envelopes as SDKs make them, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from update_server.crashes.envelope import (
    Envelope,
    SdkDiscards,
    SdkReport,
    SdkSession,
    SdkSessions,
)
from update_server.crashes.own_events import report_of
from update_server.crashes.sentry import parse_envelope
from update_server.crashes.signature import Signature, signature_of

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
EVENT_ID = "9ec79c33ec9942ab8353589fcb2e04dc"
SID = "b5c5f2a06d7a4e0d9c1f0a3b7e6d5c4b"


def envelope(*items: bytes, header: Mapping[str, Any] | None = None) -> bytes:
    header = {"event_id": EVENT_ID} if header is None else header
    return b"\n".join([json.dumps(header).encode(), *items])


def item(kind: str, document: Any, **header: Any) -> bytes:
    return raw_item(kind, json.dumps(document).encode(), **header)


def raw_item(kind: str, payload: bytes, **header: Any) -> bytes:
    return json.dumps({"type": kind, **header}).encode() + b"\n" + payload


def read(data: bytes, *, messages: bool = False, tags: Sequence[str] = ()) -> Envelope:
    return parse_envelope(data, received_at=NOW, messages=messages, tags=tags)


# --- sessions ----------------------------------------------------------------------------


def a_session(**changes: Any) -> dict[str, Any]:
    return {
        "sid": SID,
        "init": True,
        "started": "2026-12-01T11:59:00.000Z",
        "timestamp": "2026-12-01T11:59:30.000Z",
        "status": "exited",
        "errors": 0,
        "attrs": {"release": "notes@2.3.9", "environment": "production"},
        **changes,
    }


def session(**changes: Any) -> SdkSession:
    found = read(envelope(item("session", a_session(**changes)), header={})).items[0]
    assert isinstance(found, SdkSession)
    return found


def sessions(*buckets: Any, **changes: Any) -> SdkSessions:
    document = {"aggregates": list(buckets), "attrs": {"release": "notes@2.3.9"}, **changes}
    found = read(envelope(item("sessions", document), header={})).items[0]
    assert isinstance(found, SdkSessions)
    return found


def discards(*told: Any) -> SdkDiscards:
    document = {"timestamp": 1, "discarded_events": list(told)}
    found = read(envelope(item("client_report", document), header={})).items[0]
    assert isinstance(found, SdkDiscards)
    return found


# --- events ------------------------------------------------------------------------------


def a_frame(function: str, line: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "module": "notes.store",
        "function": function,
        "filename": "notes/store.py",
        "abs_path": "/home/someone/app/notes/store.py",
        "lineno": line,
        "in_app": True,
        "vars": {"self": "<Store>"},
        "context_line": "    raise",
        **changes,
    }


def an_exception(*frames: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """*frames* as SDKs order them, outermost first."""
    return {
        "type": "ValueError",
        "value": "42 apples",
        "mechanism": {"type": "generic", "handled": True},
        "stacktrace": {"frames": list(frames)},
        **changes,
    }


def an_event(*raised: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    values = raised or (an_exception(a_frame("main"), a_frame("load")),)
    return {
        "timestamp": "2026-12-01T11:59:30.000000Z",
        "platform": "python",
        "level": "error",
        "release": "notes@2.3.9",
        "exception": {"values": list(values)},
        **changes,
    }


def a_log(message: Any, **changes: Any) -> dict[str, Any]:
    return {"platform": "python", "level": "error", "logentry": message, **changes}


def report(event: Any, *, messages: bool = False, tags: Sequence[str] = ()) -> SdkReport:
    found = read(envelope(item("event", event)), messages=messages, tags=tags).items[0]
    assert isinstance(found, SdkReport)
    return found


def signed(event: Any, *, messages: bool = False) -> Signature:
    told = report_of(report(event, messages=messages).body)
    assert told is not None
    return signature_of(told)
