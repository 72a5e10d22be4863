"""Events, as JSON: what an install may tell, and what of it is kept.

An event that is wrong is refused by its index, and the others of its request are taken.
What is kept is named field by field; nothing else goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from rollout.versions import render_version
from update_server.crashes.scrub import plain_name
from update_server.service.ports import Phase
from update_server.service.telemetry.ingest import Batch, Receipt, RejectCode, Rejected, Report
from update_server.web import wire
from update_server.web.errors import BadFieldError, TooLargeError
from update_server.web.wire_fields import (
    Count,
    InstallText,
    Instant,
    Name,
    Secret,
    Uuid,
    VersionText,
    install_id_of,
    version_of,
)

MAX_EVENTS: Final = 500
MAX_EVENT_BYTES: Final = 16 * 1024  # an agent cuts its events to this (docs/agent.md, 12)
MAX_FRAMES: Final = 64
MAX_FRAME_TEXT: Final = 256

Source = Literal["agent", "launch", "feed", "sdk"]

# What agents say; any other word could say anything.
_CAUSES: Final = frozenset({"reboot"})
# How a path begins that depends on the machine: with a scheme, a drive, or at the root.
_ELSEWHERE: Final = re.compile(r"[A-Za-z][0-9A-Za-z+.-]*:[\\/]|[\\/~]")


class SessionIn(msgspec.Struct, tag_field="kind", tag="session"):
    """One run of the app."""

    id: Uuid
    at: Instant
    version: VersionText
    sid: Name
    status: Literal["ok", "exited", "errored", "crashed", "abnormal"]
    started: Instant | None = None
    duration_seconds: Count | None = None
    cause: Name | None = None
    source: Source | None = None


class ExceptionIn(msgspec.Struct):
    """What was raised. Its message is not kept."""

    type: str


class FrameIn(msgspec.Struct):
    """One frame of a stack, innermost first."""

    module: str | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    in_app: bool | None = None


class CrashIn(msgspec.Struct, tag_field="kind", tag="crash"):
    """The app crashed. Long texts and stacks are cut: limits cost detail, never the count."""

    id: Uuid
    at: Instant
    version: VersionText
    sid: Name | None = None
    exception: ExceptionIn | None = None
    frames: list[FrameIn] = []
    source: Source | None = None


class ErrorIn(msgspec.Struct):
    """Why a step failed."""

    category: Name
    code: Name


class UpdateIn(msgspec.Struct, tag_field="kind", tag="update", rename={"from_": "from"}):
    """One step of an update. ``from`` is null when nothing was installed before."""

    id: Uuid
    at: Instant
    to: VersionText
    phase: Literal[
        "offered",
        "downloaded",
        "verified",
        "staged",
        "applied",
        "launched",
        "healthy",
        "rolled_back",
        "failed",
    ]
    from_: VersionText | None = None
    error: ErrorIn | None = None
    downloaded_bytes: Count | None = None
    delta: bool | None = None
    duration_seconds: Count | None = None
    source: Source | None = None


class MetricIn(msgspec.Struct, tag_field="kind", tag="metric"):
    """One measured number."""

    id: Uuid
    at: Instant
    version: VersionText
    name: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
    value: float
    source: Source | None = None


EventIn = SessionIn | CrashIn | UpdateIn | MetricIn


class EventsIn(msgspec.Struct):
    """The body of a batch of events."""

    install_id: InstallText
    token: Secret
    events: list[msgspec.Raw]
    sent_at: Instant | None = None
    source: Source = "agent"


class RejectedOut(msgspec.Struct, omit_defaults=True):
    """An event that was not taken."""

    index: int
    code: str
    field: str | None = None


class EventsOut(msgspec.Struct):
    """How many events are durable now."""

    accepted: int
    rejected: list[RejectedOut]


_EVENTS: Final = msgspec.json.Decoder(EventsIn)
_EVENT: Final = msgspec.json.Decoder(EventIn)


def parse_events(data: bytes) -> Batch:
    """Return the batch that *data* holds, its bad events by index.

    Raises:
        MalformedError, BadFieldError: The request itself is wrong.
        TooLargeError: It has too many events.
    """
    body = wire.decode(data, _EVENTS)
    if len(body.events) > MAX_EVENTS:
        raise TooLargeError(MAX_EVENTS, "events")
    reports: list[Report] = []
    rejected: list[Rejected] = []
    for index, raw in enumerate(body.events):
        one = _event(index, bytes(raw), body.source)
        if isinstance(one, Report):
            reports.append(one)
        else:
            rejected.append(one)
    return Batch(
        install_id=install_id_of(body.install_id),
        token=body.token,
        reports=reports,
        rejected=rejected,
        sent_at=body.sent_at,
    )


def render_receipt(receipt: Receipt) -> bytes:
    """Return *receipt* as the sender is told it."""
    return wire.render(
        EventsOut(
            accepted=receipt.accepted,
            rejected=[
                RejectedOut(index=one.index, code=one.code, field=one.field)
                for one in receipt.rejected
            ],
        )
    )


def _event(index: int, raw: bytes, source: str) -> Report | Rejected:
    if len(raw) > MAX_EVENT_BYTES:
        return Rejected(index=index, code=RejectCode.TOO_LARGE)
    try:
        event = wire.decode(raw, _EVENT)
        body = _body(event)
        phase = Phase(event.phase) if isinstance(event, UpdateIn) else None
        running = (
            version_of("to", event.to)
            if isinstance(event, UpdateIn)
            else version_of("version", event.version)
        )
    except BadFieldError as error:
        code = RejectCode.UNKNOWN_KIND if error.field == "kind" else RejectCode.BAD_FIELD
        return Rejected(index=index, code=code, field=error.field)
    return Report(
        index=index,
        id=event.id.lower(),
        at=event.at,
        kind=_KINDS[type(event)],
        version=render_version(running),
        source=event.source or source,
        phase=phase,
        body=body,
    )


def _body(event: EventIn) -> dict[str, Any]:
    """Return the fields that are kept: each is named here, nothing else is."""
    body: dict[str, Any]
    match event:
        case SessionIn():
            body = {
                "sid": event.sid,
                "status": event.status,
                "started": _instant("started", event.started),
                "duration_seconds": event.duration_seconds,
                "cause": event.cause if event.cause in _CAUSES else None,
            }
        case CrashIn():
            body = {
                "sid": event.sid,
                "exception": {"type": _cut(event.exception.type)} if event.exception else None,
                "frames": [_frame(frame) for frame in event.frames[:MAX_FRAMES]],
            }
        case UpdateIn():
            if event.error is None and event.phase in {"rolled_back", "failed"}:
                raise BadFieldError("error", f"is missing: {event.phase} needs it")
            body = {
                "from": _canonical("from", event.from_),
                "error": msgspec.to_builtins(event.error),
                "downloaded_bytes": event.downloaded_bytes,
                "delta": event.delta,
                "duration_seconds": event.duration_seconds,
            }
        case _:
            body = {"name": event.name, "value": event.value}
    return {name: value for name, value in body.items() if value is not None}


def _frame(frame: FrameIn) -> dict[str, Any]:
    # Absolute paths name people and machines: only the last part is kept.
    file = _last_part(frame.file) if frame.file else None
    module = frame.module.strip() if frame.module else None
    if module and _ELSEWHERE.match(module):  # native modules are files; others are named by dots
        module = _last_part(module)
    kept = {
        "module": _cut(module) if module else None,
        "function": _cut(frame.function) if frame.function else None,
        "file": _cut(file) if file else None,
        "line": frame.line if frame.line is not None and 0 <= frame.line < 2**31 else None,
        "in_app": frame.in_app,
    }
    return {name: value for name, value in kept.items() if value is not None}


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _cut(name: str) -> str:
    """Return a name without what it may hold of people and secrets, as far as that is known."""
    return plain_name(name, MAX_FRAME_TEXT)


_KINDS: Final[dict[type, str]] = {
    SessionIn: "session",
    CrashIn: "crash",
    UpdateIn: "update",
    MetricIn: "metric",
}

KINDS: Final[Sequence[str]] = tuple(_KINDS.values())


def _canonical(field: str, text: str | None) -> str | None:
    return None if text is None else render_version(version_of(field, text))


def _instant(field: str, at: datetime | None) -> str | None:
    if at is None:
        return None
    # Near the ends of the calendar the conversion to UTC would overflow.
    if not 1970 <= at.year <= 9998:  # noqa: PLR2004
        raise BadFieldError(field, "is no plausible time")
    return wire.render_time(at)
