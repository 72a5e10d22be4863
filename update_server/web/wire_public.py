"""Check-ins, enrolments and forgetting, as JSON: untrusted bytes become values here, once.

Wire shapes grow by appended fields with defaults; unknown fields are ignored, unknown
words of a closed set are refused.

Not here: events (``wire_events``).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from rollout.model import InstallId
from rollout.versions import render_version
from update_server.service.agents.check_in import Answer, CheckIn
from update_server.web import wire
from update_server.web.wire_fields import (
    Count,
    InstallText,
    Name,
    Secret,
    Sha256,
    Text,
    VersionText,
    install_id_of,
    version_of,
)

# --- check-in ----------------------------------------------------------------------------


class StateIn(msgspec.Struct):
    """Where the agent stands."""

    phase: Literal["idle", "downloading", "staged", "trial"] = "idle"
    staged_version: VersionText | None = None
    failed_versions: Annotated[list[VersionText], msgspec.Meta(max_length=64)] = []
    timestamp_version: Count | None = None
    snapshot_sha256: Sha256 | None = None


class CheckInIn(msgspec.Struct):
    """The body of a check-in."""

    install_id: InstallText
    version: VersionText | None
    channel: Name
    platform: Name
    agent: Text = ""
    attributes: Annotated[dict[Name, Text], msgspec.Meta(max_length=32)] = {}
    enrolments: Annotated[list[Secret], msgspec.Meta(max_length=16)] = []
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
    """The answer to a check-in.

    With ``project``, the app's number, and ``token`` an install tells where its crash SDK reports.
    """

    assignment: AssignmentOut
    token: str
    next_check_in_seconds: int
    metadata: MetadataOut
    project: int
    flags: dict[str, bool] = {}


_CHECK_IN: Final = msgspec.json.Decoder(CheckInIn)


def parse_check_in(data: bytes) -> CheckIn:
    """Return the check-in that *data* holds; raise MalformedError or BadFieldError."""
    body = wire.decode(data, _CHECK_IN)
    state = body.state
    staged = state.staged_version
    return CheckIn(
        install_id=install_id_of(body.install_id),
        version=None if body.version is None else version_of("version", body.version),
        channel=body.channel,
        platform=body.platform,
        attributes=body.attributes,
        enrolments=tuple(body.enrolments),
        self_selected=body.self_selected,
        telemetry=body.telemetry,
        failed_versions=tuple(
            version_of(f"state.failed_versions[{index}]", text)
            for index, text in enumerate(state.failed_versions)
        ),
        staged_version=None if staged is None else version_of("state.staged_version", staged),
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
            project=answer.project,
        )
    )


# --- enrol and forget --------------------------------------------------------------------


class EnrolIn(msgspec.Struct):
    """The body of an enrolment."""

    install_id: InstallText
    code: Secret


class EnrolOut(msgspec.Struct):
    """What an enrolled install keeps."""

    group: str
    credential: str


class ForgetIn(msgspec.Struct):
    """The body of a wish to be forgotten."""

    install_id: InstallText
    token: Secret


_ENROL: Final = msgspec.json.Decoder(EnrolIn)
_FORGET: Final = msgspec.json.Decoder(ForgetIn)


def parse_enrol(data: bytes) -> tuple[InstallId, str]:
    """Return the install and the code that *data* holds."""
    body = wire.decode(data, _ENROL)
    return install_id_of(body.install_id), body.code


def parse_forget(data: bytes) -> tuple[InstallId, str]:
    """Return the install and the token that *data* holds."""
    body = wire.decode(data, _FORGET)
    return install_id_of(body.install_id), body.token
