"""Take in what crash SDKs and crash handlers report: whose it is, about which version, how much.

What a report may say decides ``crashes.sentry``. Counting is the digest's, for a report may arrive
twice; and only the digest knows which installs were ever seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from update_server.crashes.envelope import (
    Item,
    SdkDiscards,
    SdkDump,
    SdkReport,
    SdkSession,
    SdkSessions,
)
from update_server.crashes.minidump import is_minidump
from update_server.crashes.sentry import parse_envelope
from update_server.evidence.facts import Rule
from update_server.service.agents.pseudonyms import network_hash
from update_server.service.agents.table import AppTable, Tables
from update_server.service.agents.tokens import read
from update_server.service.crashes.arrival import SOURCE, Arrival, Received, Sender
from update_server.service.crashes.limits import Kind, ReportLimits
from update_server.service.errors import BadKeyError, BadTokenError
from update_server.service.ports import Clock, Event, Spool, UnavailableError
from update_server.service.ports.dumps import DumpFiles
from update_server.service.telemetry.drifts import Drifts
from update_server.service.telemetry.ingest import FUTURE
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND, note_of

# SDKs update a session for five days at most.
_OLDEST_START: Final = timedelta(days=5)
_ID_CHARACTERS: Final = 32  # of an event's id, as SDKs have it


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpForm:
    """A minidump as a crash handler sends it. ``releases`` are what it may be of, surest first.

    ``reporter`` is what the handler calls this install; ``said`` goes on as it is.
    """

    data: bytes
    releases: Sequence[str] = ()
    reporter: str = ""
    said: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """``id`` is what the sender may know it by; ``shed`` is what it shall send less of."""

    app: str
    id: str | None
    shed: frozenset[Kind] = frozenset()


class Reports:
    """The crash reports use-case of one process."""

    def __init__(
        self,
        tables: Tables,
        spool: Spool,
        clock: Clock,
        dumps: DumpFiles,
        limits: ReportLimits | None = None,
    ) -> None:
        self._tables = tables
        self._spool = spool
        self._clock = clock
        self._dumps = dumps
        self._limits = limits or ReportLimits()
        self._drifts = Drifts()

    def sender(self, project: int, key: str | None) -> Sender:
        """Return whose reports *key* opens. It is not told whether there is such an app.

        Raises:
            NotReadyError: This process has read nothing yet.
            BadKeyError: It opens none to that app.
        """
        table, now = self._table(project), self._clock.now()
        if key is not None and key.lower() in table.settings.app_keys:
            return Sender(table=table, bearer=None)
        try:
            bearer = read(self._tables.secrets.tokens, key or "", app=table.name, now=now)
        except BadTokenError as error:
            self._note(table, REJECTED_KIND, {Rule.BAD_TOKEN: 1}, now)
            raise BadKeyError from error
        return Sender(table=table, bearer=bearer)

    def network(self, address: str | None) -> bytes:
        """Return a name for the network around *address*; empty where it tells nobody apart.

        Raises:
            NotReadyError: This process has read nothing yet.
        """
        return network_hash(self._tables.secrets.pepper, "", address) if address else b""

    def take(self, project: int, key: str | None, data: bytes, *, address: str | None) -> Taken:
        """Make what the envelope in *data* tells durable, then say so.

        *key* is the one that came with it; None: the one in the envelope counts.

        Raises:
            NotReadyError, BadKeyError: As ``sender`` does.
            MalformedEnvelopeError: It is none.
            UnavailableError: Nothing was taken.
        """
        settings = self._table(project).settings
        envelope = parse_envelope(
            data,
            received_at=self._clock.now(),
            messages=settings.crash_messages,
            tags=settings.tags,
        )
        sender = self.sender(project, key if key is not None else envelope.key)
        arrival = self._arrival(sender, address, envelope.sent_at)
        for skipped, count in envelope.skipped.items():
            arrival.refused[f"item_{skipped}"] += count
        reports = [item for item in envelope.items if isinstance(item, SdkReport)]
        digest = _sha256(data)
        for index, item in enumerate(envelope.items):
            if isinstance(item, SdkDump):
                self._take_attached(arrival, item, reports[0] if reports else None)
            else:
                self._take_item(arrival, item, f"{digest}:{index}")
        self._keep(arrival)
        return Taken(app=sender.table.name, id=envelope.event_id, shed=frozenset(arrival.shed))

    def take_dump(self, sender: Sender, form: DumpForm, *, address: str | None) -> Taken:
        """Make a minidump durable, then say so; what is none is counted.

        Raises:
            UnavailableError: Nothing was taken.
        """
        arrival = self._arrival(sender, address, None)
        name = _sha256(form.data)
        if _is_dump(arrival, form.data):
            event = arrival.event("minidump", name, form.releases, form.reporter, None)
            self._take_data(arrival, form.data, event, form.said)
        self._keep(arrival)
        return Taken(app=sender.table.name, id=name[:_ID_CHARACTERS], shed=frozenset(arrival.shed))

    def _take_item(self, arrival: Arrival, item: Item, name: str) -> None:
        """Keep what *item* says. *name* is what it is known by if it has no name itself."""
        match item:
            case SdkSession():
                self._take_session(arrival, item)
            case SdkReport():
                kind = "crash" if item.is_crash else "error"
                event = arrival.event(kind, item.id, [item.release], item.user, item.at)
                if event is not None:
                    arrival.take(Kind.ERROR, event, item.body)
            case SdkSessions():
                event = arrival.event("sessions", item.digest, [item.release], "", None)
                if event is not None:
                    arrival.take(Kind.SESSION, event, {"counts": dict(item.counts)})
            case SdkDiscards():
                event = arrival.event("discards", name, (), "", None)
                if event is not None:
                    counts = [[*key, count] for key, count in item.counts.items()]
                    kept = replace(event, quarantine="")  # it is about no version
                    arrival.take(Kind.SESSION, kept, {"counts": counts})

    def _take_session(self, arrival: Arrival, item: SdkSession) -> None:
        # A repeated state is the same event, a later state is another one.
        name = f"{item.sid}:{item.status}"
        event = arrival.event("session", name, [item.release], item.user, item.at)
        if event is None:
            return
        # Of starts there may be any number: some SDKs begin a session with each page.
        if not event.quarantine and (item.duration_seconds or 0) < 0:
            event = replace(event, quarantine=Rule.IMPLAUSIBLE)
        details: dict[str, Any] = {
            "sid": item.sid,
            "status": item.status,
            "said": item.said,
            "errors": item.errors,
            "started": _started(item, event.at, arrival.received),
            "duration_seconds": item.duration_seconds,
        }
        told = {name: value for name, value in details.items() if value is not None}
        arrival.take(Kind.SESSION, event, told)

    def _take_attached(self, arrival: Arrival, dump: SdkDump, report: SdkReport | None) -> None:
        """Keep the minidump of an envelope, about the version that its report names."""
        if not _is_dump(arrival, dump.data):
            return
        name = _sha256(dump.data)
        if report is None:
            event = arrival.event("minidump", name, (), "", None)
            self._take_data(arrival, dump.data, event, {})
            return
        event = arrival.event("minidump", name, [report.release], report.user, report.at)
        said = {"event_id": report.id}
        self._take_data(arrival, dump.data, event, said, is_told_otherwise=True)

    def _take_data(
        self,
        arrival: Arrival,
        data: bytes,
        event: Event | None,
        said: Mapping[str, str],
        *,
        is_told_otherwise: bool = False,
    ) -> None:
        """Keep a minidump's bytes and its event. When shed, it leaves the mark of a crash.

        But not if a report of the same crash *is_told_otherwise*, which leaves one itself.
        """
        if event is None:
            return
        if arrival.admits(Kind.ATTACHMENT, event) and (file := self._file_of(arrival, data)):
            body = {**said, **event.body, "file": file}
            arrival.events.append(replace(event, body=body))
        elif not is_told_otherwise:
            arrival.leave_mark(replace(event, kind="crash"))

    def _file_of(self, arrival: Arrival, data: bytes) -> str | None:
        """Keep *data* and return its name; None where there is no room, and the count goes on."""
        try:
            return self._dumps.keep(data)
        except UnavailableError:
            arrival.shed.add(Kind.ATTACHMENT)
            return None

    def _arrival(self, sender: Sender, address: str | None, sent_at: datetime | None) -> Arrival:
        pepper = self._tables.secrets.pepper
        received = Received(
            at=self._clock.now(),
            at_seconds=self._clock.monotonic(),
            network=network_hash(pepper, sender.table.name, address) if address else b"",
            sent_at=sent_at,
        )
        return Arrival(sender, received, pepper, self._limits)

    def _keep(self, arrival: Arrival) -> None:
        if arrival.events:
            self._spool.events(arrival.events)
        table, received = arrival.sender.table, arrival.received
        self._note(table, REJECTED_KIND, arrival.refused, received.at)
        if received.sent_at is not None:
            drift = (received.at - received.sent_at).total_seconds()
            counts = self._drifts.add(table.name, drift, received.at)
            self._note(table, CLOCK_KIND, counts, received.at)

    def _note(self, table: AppTable, kind: str, counts: Mapping[str, int], now: datetime) -> None:
        """Let the digest know of *counts*, without waiting for that."""
        if counts:
            self._spool.note(note_of(table.name, kind, counts, now, source=SOURCE))

    def _table(self, project: int) -> AppTable:
        held = self._tables.numbered(project)
        if held is None:
            raise BadKeyError
        return held.table


def _started(item: SdkSession, happened: datetime, received: Received) -> str | None:
    """Return when a session began, by our clock; None where that cannot be told."""
    drift = received.at - (received.sent_at or received.at)
    if abs(drift) <= FUTURE:
        began = item.started and min(item.started + drift, received.at)
    else:  # a clock that is so wrong says only how long it took
        began = _before(happened, item.duration_seconds)
    return began.strftime("%Y-%m-%dT%H:%M:%SZ") if began else None


def _before(at: datetime, seconds: float | None) -> datetime | None:
    if seconds is None or not 0 <= seconds <= _OLDEST_START.total_seconds():
        return None
    return at - timedelta(seconds=seconds)


def _is_dump(arrival: Arrival, data: bytes) -> bool:
    """Tell whether *data* begins as a minidump does; what does not is counted."""
    if is_minidump(data):
        return True
    arrival.refused["not_a_minidump"] += 1
    return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
