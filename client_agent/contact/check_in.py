"""The check-in: what is told, and what the answer means. Untrusted bytes become values here.

The answer is a hint. It carries the token under which events are reported and the time of the
next check-in; about versions it can only hold this install back (``client_agent.trust.decision``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packaging.version import Version

from client_agent.config import AppSettings, Telemetry
from client_agent.contact.identity import Identity
from client_agent.errors import Code, NetworkError
from client_agent.network.transport import USER_AGENT
from client_agent.schedule import MAX_PERIOD_SECONDS, MIN_PERIOD_SECONDS
from client_agent.trust.decision import Hint
from rollout.errors import InvalidVersionError
from rollout.model import Action, Reason
from rollout.versions import parse_version, render_version

MAX_TOKEN_CHARACTERS = 128
MAX_FAILED_VERSIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the agent stands, as a check-in tells it. ``phase`` is a word of docs/protocol.md."""

    version: Version | None
    phase: str
    staged: Version | None = None
    failed: Sequence[Version] = ()
    timestamp_version: int = 0
    snapshot_sha256: str = ""
    self_selected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a check-in. ``project`` is the server's number of the app, for crash SDKs."""

    hint: Hint
    token: str
    next_check_in_seconds: int
    project: int | None = None


def render_check_in(
    app: AppSettings,
    identity: Identity,
    standing: Standing,
    attributes: Mapping[str, str],
    telemetry: Telemetry,
) -> dict[str, Any]:
    """Return the body of a check-in."""
    failed = [render_version(version) for version in standing.failed][:MAX_FAILED_VERSIONS]
    return {
        "install_id": identity.install_id,
        "version": None if standing.version is None else render_version(standing.version),
        "channel": app.channel,
        "platform": app.platform,
        "agent": USER_AGENT,
        "attributes": dict(attributes),
        "enrolments": [enrolment.credential for enrolment in identity.enrolments],
        # Whoever asks for an update, or has no lasting ID, is no random sample.
        "self_selected": standing.self_selected or identity.volatile,
        "telemetry": telemetry.value,
        "state": {
            "phase": standing.phase,
            "staged_version": None if standing.staged is None else render_version(standing.staged),
            "failed_versions": failed,
            "timestamp_version": standing.timestamp_version,
            "snapshot_sha256": standing.snapshot_sha256,
        },
    }


def parse_answer(body: bytes, now: datetime) -> Answered:
    """Return the answer in *body*, received at *now*.

    Raises:
        NetworkError: ``unexpected_answer``: it is none, as from a captive portal.
    """
    try:
        said = json.loads(body)
        given = said["assignment"]
        period = said["next_check_in_seconds"]
        version = None if given["version"] is None else parse_version(given["version"])
        hint = Hint(
            action=Action(given["action"]),
            version=version,
            reason=_reason(given["reason"]),
            received_at=now,
            good_for_seconds=min(max(int(period), MIN_PERIOD_SECONDS), MAX_PERIOD_SECONDS),
        )
        return Answered(
            hint=hint,
            token=_token(said["token"]),
            next_check_in_seconds=int(period),
            project=_project(said.get("project")),
        )
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
        InvalidVersionError,
    ) as error:
        raise NetworkError(Code.UNEXPECTED_ANSWER, "check-in") from error


def _reason(word: Any) -> Reason:
    """A reason only explains. One that is not known must not make a hold-back void."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.STALE_SERVER


def _project(number: Any) -> int | None:
    """It becomes part of a URL, and nothing else depends on it."""
    is_one = isinstance(number, int) and not isinstance(number, bool) and number > 0
    return number if is_one else None


def _token(text: Any) -> str:
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise ValueError("token")
    if not 0 < len(text) <= MAX_TOKEN_CHARACTERS:
        raise ValueError("token")
    return text
