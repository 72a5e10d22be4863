"""What a fake database holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from rollout.model import Arm, Rollout
from update_server.service.ports import (
    ApiToken,
    App,
    AuditRecord,
    Contact,
    Enrolment,
    EnrolmentCode,
    Group,
    JournalRow,
    NotFoundError,
    ReadOnlyError,
    StoredDocument,
    StoredHold,
    StoredRelease,
    StoredTarget,
)
from update_server.service.ports.arrivals import Arrived
from update_server.service.ports.crashes import (
    Alias,
    CrashGroup,
    Reported,
    Sample,
    SessionCount,
    SessionState,
)
from update_server.service.ports.operators import Failures, Operator, PasswordLink, Session
from update_server.service.ports.outbox import Alert, Attempt, Delivery, Message
from update_server.service.ports.pending import PendingVerb
from update_server.service.ports.quarantine import Kept
from update_server.service.ports.recounts import Recount
from update_server.service.ports.series import StudyPoint, VersionDay
from update_server.service.ports.settings import AppSettings
from update_server.service.ports.signatures import Sighting
from update_server.service.ports.studies import (
    History,
    StoredDecision,
    StoredLabel,
    StoredMember,
    StoredStudy,
    WindowsOfDay,
)
from update_server.service.ports.waivers import Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may write something until when. ``holder`` None: nobody."""

    holder: str | None
    expires_at: datetime
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an install came with a rollout. ``arm`` None: no contact was seen yet."""

    app: str
    ring: str | None
    arm: Arm | None
    steps: frozenset[str]
    last_at: datetime


@dataclass(slots=True, kw_only=True)
class State:
    """Dictionaries of frozen values; those of a state that is not writable only read."""

    writable: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    apps: dict[str, App] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    releases: dict[tuple[str, str, str, str], StoredRelease] = field(default_factory=dict)
    targets: dict[tuple[str, str], StoredTarget] = field(default_factory=dict)
    documents: dict[tuple[str, str, str], StoredDocument] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    holds: dict[tuple[str, str], StoredHold] = field(default_factory=dict)
    journal: dict[int, JournalRow] = field(default_factory=dict)
    tokens: dict[str, ApiToken] = field(default_factory=dict)
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    codes: dict[str, EnrolmentCode] = field(default_factory=dict)
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    audit: dict[int, AuditRecord] = field(default_factory=dict)
    contacts: dict[tuple[str, bytes], Contact] = field(default_factory=dict)
    progress: dict[tuple[str, bytes], Progress] = field(default_factory=dict)
    seen: dict[tuple[str, bytes, str], datetime] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    studies: dict[str, StoredStudy] = field(default_factory=dict)
    facts: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    study_log: dict[tuple[str, int], StoredLabel] = field(default_factory=dict)
    members: dict[tuple[str, bytes], StoredMember] = field(default_factory=dict)
    forgotten: dict[tuple[str, bytes], bool] = field(default_factory=dict)
    decisions: dict[str, StoredDecision] = field(default_factory=dict)
    histories: dict[tuple[str, bytes], History] = field(default_factory=dict)
    windows: list[tuple[str, WindowsOfDay]] = field(default_factory=list)
    sightings: dict[int, tuple[str, Sighting]] = field(default_factory=dict)
    reports: dict[int, Reported] = field(default_factory=dict)
    groups_of_crashes: dict[tuple[str, str], CrashGroup] = field(default_factory=dict)
    samples: dict[tuple[tuple[str, str, str, bool], bytes, str], Sample] = field(
        default_factory=dict
    )
    aliases: dict[tuple[str, str], Alias] = field(default_factory=dict)
    sessions: dict[tuple[str, bytes], SessionState] = field(default_factory=dict)
    hours: dict[SessionCount, int] = field(default_factory=dict)
    pending: dict[str, PendingVerb] = field(default_factory=dict)
    waivers: dict[str, Waiver] = field(default_factory=dict)
    settings: dict[str, AppSettings] = field(default_factory=dict)
    asides: dict[int, tuple[Kept, bool]] = field(default_factory=dict)
    aside_counts: dict[tuple[str, int, str, str], int] = field(default_factory=dict)
    arrivals: dict[tuple[str, datetime, str, str], Arrived] = field(default_factory=dict)
    counters: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = field(default_factory=dict)
    recounts: dict[str, Recount] = field(default_factory=dict)
    points: dict[tuple[str, int], StudyPoint] = field(default_factory=dict)
    days: dict[tuple[str, int, str, str], VersionDay] = field(default_factory=dict)
    messages: dict[str, tuple[Message, datetime | None]] = field(default_factory=dict)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    attempts: dict[int, tuple[Attempt, ...]] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    operators: dict[str, Operator] = field(default_factory=dict)
    links: dict[str, PasswordLink] = field(default_factory=dict)
    signed_in: dict[str, Session] = field(default_factory=dict)
    failures: dict[str, Failures] = field(default_factory=dict)

    def copy(self, *, writable: bool) -> State:
        """Return a state that can change without changing this one."""
        held: dict[str, Any] = {
            one.name: dict(value) if isinstance(value := getattr(self, one.name), dict) else value
            for one in fields(self)
        }
        return State(**{**held, "writable": writable})

    def write(self) -> None:
        """Raise ReadOnlyError unless this state may change."""
        if not self.writable:
            raise ReadOnlyError("a transaction that only reads cannot write")

    def require_app(self, name: str) -> None:
        """Raise NotFoundError unless there is an app called *name*."""
        if name not in self.apps:
            raise NotFoundError("app", name)
