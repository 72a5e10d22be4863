"""Take in events: believe only a token of ours, acknowledge only what is durable.

What an event may say is checked before (``web.wire_events``); here is when it happened and
under which release. Counting is the digest's, for an event may arrive twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from rollout.model import InstallId, Release
from rollout.versions import parse_version
from update_server.evidence.facts import Rule
from update_server.service.agents.pseudonyms import install_key
from update_server.service.agents.table import AppTable, Tables
from update_server.service.agents.tokens import InstallToken, check
from update_server.service.errors import BadTokenError, ExpiredTokenError
from update_server.service.ports import Clock, Event, Phase, Spool
from update_server.service.telemetry.drifts import Drifts
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND, note_of
from update_server.service.telemetry.plausible import ENDED_BADLY, Launches, why_not

# Event ids are remembered for 35 days, so a retry within 30 is always recognized.
OLDEST: Final = timedelta(days=30)
# A clock may run a little ahead; beyond this the time says nothing.
FUTURE: Final = timedelta(minutes=5)


class RejectCode(StrEnum):
    """Why one event of a request was not taken."""

    BAD_FIELD = "bad_field"
    UNKNOWN_KIND = "unknown_kind"
    TOO_OLD = "too_old"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The event at ``index`` of the request was not taken."""

    index: int
    code: RejectCode
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One well-formed event, at ``index`` of its request. ``body`` has allowed fields only.

    ``version`` is the version that was running; of an update step the one it leads to.
    """

    index: int
    id: str
    at: datetime
    kind: str
    version: str
    source: str = "agent"
    phase: Phase | None = None
    body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The events of one request. ``sent_at`` is the install's clock when it sent them."""

    install_id: InstallId
    token: str
    reports: Sequence[Report]
    rejected: Sequence[Rejected] = ()
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How many events are durable now, and which were not taken."""

    accepted: int
    rejected: tuple[Rejected, ...] = ()


class Ingest:
    """The events use-case of one process."""

    def __init__(self, tables: Tables, spool: Spool, clock: Clock) -> None:
        self._tables = tables
        self._spool = spool
        self._clock = clock
        self._launches = Launches()
        self._drifts = Drifts()

    def accept(self, app: str, batch: Batch) -> Receipt:
        """Make the events of *batch* durable, then say so.

        Raises:
            NotReadyError, UnknownAppError: As named.
            BadTokenError, ExpiredTokenError: The whole batch is refused.
            UnavailableError: Nothing was taken; the sender keeps the events.
        """
        table = self._tables.of(app).table
        secrets = self._tables.secrets
        now = self._clock.now()
        key = install_key(secrets.pepper, app, batch.install_id)
        try:
            token = check(secrets.tokens, batch.token, app=app, install_key=key, now=now)
        except (BadTokenError, ExpiredTokenError) as error:
            rule = Rule.BAD_TOKEN if isinstance(error, BadTokenError) else Rule.EXPIRED_TOKEN
            self._note(app, REJECTED_KIND, now, {rule: len(batch.reports) + len(batch.rejected)})
            raise
        release = _release_of(table, token)
        events: list[Event] = []
        rejected = list(batch.rejected)
        for report in batch.reports:
            at = happened_at(report.at, received_at=now, sent_at=batch.sent_at)
            if at is None:
                rejected.append(Rejected(index=report.index, code=RejectCode.TOO_OLD))
                continue
            event = _event(app, key, report, at=at, received_at=now, release=release)
            aside = self._why_aside(table, token, event, _started_at(report, at))
            events.append(replace(event, quarantine=aside) if aside else event)
        if events:
            self._spool.events(events)
        self._note(app, REJECTED_KIND, now, Counter(one.code for one in rejected))
        if batch.sent_at is not None:
            drift = (now - batch.sent_at).total_seconds()
            self._note(app, CLOCK_KIND, now, self._drifts.add(app, drift, now))
        rejected.sort(key=lambda one: one.index)
        return Receipt(accepted=len(events), rejected=tuple(rejected))

    def _why_aside(
        self, table: AppTable, token: InstallToken, event: Event, started_at: datetime
    ) -> str:
        """Return the rule by which *event* is set aside; empty when it is not.

        Nor is a start that ended badly one too many: a release that crashes has hundreds an hour,
        and to set them aside would suspend what is to be pulled.
        """
        if event.kind == "update":
            return ""
        if event.kind == "session" and event.body.get("status") not in ENDED_BADLY:
            name = str(event.body.get("sid", event.id))
            if not self._launches.is_plausible(event.install_key, started_at, name):
                return Rule.IMPLAUSIBLE
        return why_not(table, token, parse_version(event.version)) or ""

    def _note(self, app: str, kind: str, now: datetime, counts: Mapping[str, int]) -> None:
        """Let the digest know of *counts*, without waiting for that."""
        if counts:
            self._spool.note(note_of(app, kind, counts, now))


def happened_at(
    at: datetime, *, received_at: datetime, sent_at: datetime | None
) -> datetime | None:
    """Return when an event happened by our clock, or None when that is too long ago.

    The install's clock may be wrong, but hardly changed between the event and sending it:
    an event noted an hour before it was sent happened an hour before it came.
    """
    age = (sent_at or received_at) - at
    if age > OLDEST:
        return None
    if age < -FUTURE:
        return received_at
    return received_at - age


def _release_of(table: AppTable, token: InstallToken) -> Release | None:
    """Return the release by which the token says where the install belongs."""
    return table.by_number.get(token.assigned) or table.by_number.get(token.running)


def _started_at(report: Report, at: datetime) -> datetime:
    """Return when a session began, by our clock as far as its report says; it was told *at*."""
    try:
        began = datetime.fromisoformat(str(report.body["started"]))
        return at - (report.at - began)
    except (KeyError, TypeError, ValueError, OverflowError):
        return at


def _event(
    app: str,
    key: bytes,
    report: Report,
    *,
    at: datetime,
    received_at: datetime,
    release: Release | None,
) -> Event:
    return Event(
        app=app,
        install_key=key,
        id=report.id,
        at=at,
        received_at=received_at,
        kind=report.kind,
        version=report.version,
        source=report.source,
        phase=report.phase,
        channel=release.channel if release else None,
        platform=release.platform if release else None,
        body=report.body,
    )
