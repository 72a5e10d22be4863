"""What agents send and are told, as JSON. Untrusted bytes become values here, once.

Wire shapes grow by appended fields with defaults; unknown fields are ignored, unknown
words of a closed set are refused. An event that is wrong is refused by its index, and
the others of its request are taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from packaging.version import Version

from rollout.errors import BadNameError, InvalidVersionError
from rollout.model import InstallId
from rollout.names import check_install_id
from rollout.versions import parse_version, render_version
from update_server.service.check_in import Answer, CheckIn
from update_server.service.ingest import Batch, Receipt, RejectCode, Rejected, Report
from update_server.service.ports import Phase
from update_server.web import wire
from update_server.web.errors import BadFieldError, TooLargeError

MAX_EVENTS: Final = 500
MAX_EVENT_BYTES: Final = 16 * 1024  # an agent cuts its events to this (AGENT.md section 12)
MAX_FRAMES: Final = 64
MAX_FRAME_TEXT: Final = 256

# No control characters: what is stored and shown is text.
_PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PLAIN)]
_Text = Annotated[str, msgspec.Meta(max_length=256, pattern=_PLAIN)]
_Uuid = Annotated[
    str,
    msgspec.Meta(
        min_length=36,
        max_length=36,
        pattern="^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    ),
]
_Install = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"format": "uuid"})]
_Version = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
_Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Sha256 = Annotated[str, msgspec.Meta(max_length=64, pattern="^([0-9a-f]{64})?$")]
_Source = Literal["agent", "launch", "feed", "sdk"]


# --- check-in ----------------------------------------------------------------------------


class StateIn(msgspec.Struct):
    """Where the agent stands."""

    phase: Literal["idle", "downloading", "staged", "trial"] = "idle"
    staged_version: _Version | None = None
    failed_versions: Annotated[list[_Version], msgspec.Meta(max_length=64)] = []
    timestamp_version: _Count | None = None
    snapshot_sha256: _Sha256 | None = None


class CheckInIn(msgspec.Struct):
    """The body of a check-in."""

    install_id: _Install
    version: _Version | None
    channel: _Name
    platform: _Name
    agent: _Text = ""
    attributes: Annotated[dict[_Name, _Text], msgspec.Meta(max_length=32)] = {}
    enrolments: Annotated[list[_Secret], msgspec.Meta(max_length=16)] = []
    self_selected: bool = False
    state: StateIn = msgspec.field(default_factory=StateIn)
    telemetry: Literal["off", "health", "crash"] = "crash"


class HoldOut(msgspec.Struct):
    """Why an install is held back, and where to read more."""

    title: str
    link: str


class AssignmentOut(msgspec.Struct, omit_defaults=True):
    """What the install should do."""

    action: str
    version: str | None
    reason: str
    ring: str | None
    rollout: str | None
    bucket: int | None
    detail: str | None = None
    hold: HoldOut | None = None


class MetadataOut(msgspec.Struct):
    """The newest signed state that the server knows of."""

    timestamp_version: int


class CheckInOut(msgspec.Struct):
    """The answer to a check-in."""

    assignment: AssignmentOut
    token: str
    next_check_in_seconds: int
    metadata: MetadataOut
    flags: dict[str, bool] = {}


_CHECK_IN: Final = msgspec.json.Decoder(CheckInIn)


def parse_check_in(data: bytes) -> CheckIn:
    """Return the check-in that *data* holds; raise MalformedError or BadFieldError."""
    body = wire.decode(data, _CHECK_IN)
    state = body.state
    if state.staged_version is not None:
        _version("state.staged_version", state.staged_version)
    return CheckIn(
        install_id=_install_id(body.install_id),
        version=None if body.version is None else _version("version", body.version),
        channel=body.channel,
        platform=body.platform,
        attributes=body.attributes,
        enrolments=tuple(body.enrolments),
        self_selected=body.self_selected,
        telemetry=body.telemetry,
        failed_versions=tuple(
            _version(f"state.failed_versions[{index}]", text)
            for index, text in enumerate(state.failed_versions)
        ),
        timestamp_version=state.timestamp_version or 0,
        snapshot_sha256=state.snapshot_sha256 or "",
    )


def render_answer(answer: Answer) -> bytes:
    """Return *answer* as the install is told it."""
    given = answer.assignment
    return wire.render(
        CheckInOut(
            assignment=AssignmentOut(
                action=given.action,
                version=render_version(given.version) if given.version else None,
                reason=given.reason,
                ring=given.ring,
                rollout=given.rollout,
                bucket=given.bucket,
                detail=given.detail,
                hold=HoldOut(given.hold.title, given.hold.link) if given.hold else None,
            ),
            token=answer.token,
            next_check_in_seconds=answer.next_check_in_seconds,
            metadata=MetadataOut(answer.timestamp_version),
        )
    )


# --- events ------------------------------------------------------------------------------


class SessionIn(msgspec.Struct, tag_field="kind", tag="session"):
    """One run of the app."""

    id: _Uuid
    at: _Instant
    version: _Version
    sid: _Name
    status: Literal["ok", "exited", "errored", "crashed", "abnormal"]
    started: _Instant | None = None
    duration_seconds: _Count | None = None
    cause: _Name | None = None
    source: _Source | None = None


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

    id: _Uuid
    at: _Instant
    version: _Version
    sid: _Name | None = None
    exception: ExceptionIn | None = None
    frames: list[FrameIn] = []
    source: _Source | None = None


class ErrorIn(msgspec.Struct):
    """Why a step failed."""

    category: _Name
    code: _Name


class UpdateIn(msgspec.Struct, tag_field="kind", tag="update", rename={"from_": "from"}):
    """One step of an update. ``from`` is null when nothing was installed before."""

    id: _Uuid
    at: _Instant
    to: _Version
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
    from_: _Version | None = None
    error: ErrorIn | None = None
    downloaded_bytes: _Count | None = None
    delta: bool | None = None
    duration_seconds: _Count | None = None
    source: _Source | None = None


class MetricIn(msgspec.Struct, tag_field="kind", tag="metric"):
    """One measured number."""

    id: _Uuid
    at: _Instant
    version: _Version
    name: Annotated[str, msgspec.Meta(max_length=64, pattern="^[a-z][a-z0-9_]{0,63}$")]
    value: float
    source: _Source | None = None


EventIn = SessionIn | CrashIn | UpdateIn | MetricIn


class EventsIn(msgspec.Struct):
    """The body of a batch of events."""

    install_id: _Install
    token: _Secret
    events: list[msgspec.Raw]
    sent_at: _Instant | None = None
    source: _Source = "agent"


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
        install_id=_install_id(body.install_id),
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
            _version("to", event.to)
            if isinstance(event, UpdateIn)
            else _version("version", event.version)
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
                "cause": event.cause,
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
    file = frame.file.replace("\\", "/").rpartition("/")[2] if frame.file else None
    kept = {
        "module": _cut(frame.module) if frame.module else None,
        "function": _cut(frame.function) if frame.function else None,
        "file": _cut(file) if file else None,
        "line": frame.line if frame.line is not None and 0 <= frame.line < 2**31 else None,
        "in_app": frame.in_app,
    }
    return {name: value for name, value in kept.items() if value is not None}


def _cut(text: str) -> str:
    return _CONTROL.sub("", text)[:MAX_FRAME_TEXT]


# --- enrol and forget --------------------------------------------------------------------


class EnrolIn(msgspec.Struct):
    """The body of an enrolment."""

    install_id: _Install
    code: _Secret


class EnrolOut(msgspec.Struct):
    """What an enrolled install keeps."""

    group: str
    credential: str


class ForgetIn(msgspec.Struct):
    """The body of a wish to be forgotten."""

    install_id: _Install
    token: _Secret


_ENROL: Final = msgspec.json.Decoder(EnrolIn)
_FORGET: Final = msgspec.json.Decoder(ForgetIn)


def parse_enrol(data: bytes) -> tuple[InstallId, str]:
    """Return the install and the code that *data* holds."""
    body = wire.decode(data, _ENROL)
    return _install_id(body.install_id), body.code


def parse_forget(data: bytes) -> tuple[InstallId, str]:
    """Return the install and the token that *data* holds."""
    body = wire.decode(data, _FORGET)
    return _install_id(body.install_id), body.token


# --- parts -------------------------------------------------------------------------------

_KINDS: Final[dict[type, str]] = {
    SessionIn: "session",
    CrashIn: "crash",
    UpdateIn: "update",
    MetricIn: "metric",
}

KINDS: Final[Sequence[str]] = tuple(_KINDS.values())


def _install_id(text: str) -> InstallId:
    try:
        return check_install_id(text.lower())
    except BadNameError as error:
        raise BadFieldError("install_id", error.rule) from error


def _version(field: str, text: str) -> Version:
    try:
        return parse_version(text)
    except InvalidVersionError as error:
        raise BadFieldError(field, error.rule) from error


def _canonical(field: str, text: str | None) -> str | None:
    return None if text is None else render_version(_version(field, text))


def _instant(field: str, at: datetime | None) -> str | None:
    if at is None:
        return None
    # Near the ends of the calendar the conversion to UTC would overflow.
    if not 1970 <= at.year <= 9998:  # noqa: PLR2004
        raise BadFieldError(field, "is no plausible time")
    return wire.render_time(at)
