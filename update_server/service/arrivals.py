"""What arrives, counted as it is digested: how much, of what, what not, and how late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from update_server.service.arrival_ports import Arrived
from update_server.service.counting import DISCARDS_KIND
from update_server.service.notes import NOTES, counts_in
from update_server.service.ports import Contact, Event

KEPT: Final = timedelta(hours=48)
"""How long arrivals are kept."""

CHECK_IN_KIND: Final = "check_in"


def arrivals_of(records: Iterable[Contact | Event], now: datetime | None) -> Sequence[Arrived]:
    """Return what *records*, notes among them, add to the arrivals, digested at *now*."""
    return [one for record in records for one in _arrivals_of(record, now)]


def _arrivals_of(record: Contact | Event, now: datetime | None) -> Iterable[Arrived]:
    received_at = record.at if isinstance(record, Contact) else record.received_at
    late_seconds = max(0.0, (now - received_at).total_seconds()) if now else 0.0

    def arrived(kind: str, code: str = "", events: int = 1) -> Arrived:
        return Arrived(
            app=record.app,
            minute=received_at.replace(second=0, microsecond=0),
            kind=kind,
            code=code,
            events=events,
            late_seconds=late_seconds,
        )

    if isinstance(record, Contact):
        return [arrived(CHECK_IN_KIND)]
    if record.kind in NOTES:
        return [arrived(record.kind, code, by) for code, by in counts_in(record).items()]
    if record.kind == DISCARDS_KIND and not record.quarantine:
        return [arrived(record.kind, reason, by) for reason, by in _discards(record).items()]
    return [arrived(record.kind, record.quarantine)]


def _discards(event: Event) -> Mapping[str, int]:
    """Return by reason how many reports an SDK says that it dropped."""
    found: Counter[str] = Counter()
    for reason, _, by in event.body.get("counts", ()):
        found[str(reason)] += int(by)
    return found
