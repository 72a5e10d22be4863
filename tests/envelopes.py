"""Envelopes as SDKs send them, with good values where a test gives none."""

from __future__ import annotations

import json
from typing import Any

EVENT_ID = "0123456789abcdef0123456789abcdef"
SID = "fedcba9876543210fedcba9876543210"
HOST = "updates.example.org"


def an_envelope(*items: bytes, **header: Any) -> bytes:
    """Return an envelope of *items*; a header that is None is left out."""
    known = {"event_id": EVENT_ID, **header}
    told = {name: value for name, value in known.items() if value is not None}
    return b"".join([json.dumps(told).encode(), b"\n", *items])


def an_item(kind: str, payload: Any, **header: Any) -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return json.dumps({"type": kind, **header}).encode() + b"\n" + data + b"\n"


def an_event(**fields: Any) -> bytes:
    """Return an item with a crash that the app did not handle."""
    known: dict[str, Any] = {
        "event_id": EVENT_ID,
        "timestamp": "2026-11-22T03:07:00Z",
        "platform": "python",
        "level": "error",
        "release": "demo@2.0.0",
        "exception": {
            "values": [
                {
                    "type": "ValueError",
                    "value": "no",
                    "mechanism": {"type": "excepthook", "handled": False},
                    "stacktrace": {"frames": [{"module": "a", "function": "f", "in_app": True}]},
                }
            ]
        },
    }
    return an_item("event", {**known, **fields})


def a_session(**fields: Any) -> bytes:
    known: dict[str, Any] = {
        "sid": SID,
        "init": True,
        "status": "exited",
        "started": "2026-11-22T03:00:00Z",
        "timestamp": "2026-11-22T03:07:00Z",
        "duration": 420,
        "attrs": {"release": "demo@2.0.0"},
    }
    return an_item("session", {**known, **fields})


def a_dump(data: bytes = b"MDMP" + bytes(60)) -> bytes:
    return an_item(
        "attachment",
        data,
        length=len(data),
        attachment_type="event.minidump",
        filename="minidump.dmp",
    )


def a_dsn(key: str, project: int = 1) -> str:
    return f"https://{key}@{HOST}/{project}"
