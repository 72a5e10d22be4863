"""What arrives, counted as it is digested: how much, of what, what not, and how late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from update_server.service.ports import Contact, Event
from update_server.service.ports.arrivals import Arrived
from update_server.service.telemetry.counting import DISCARDS_KIND
from update_server.service.telemetry.notes import NOTES, counts_in

KEPT: Final = timedelta(hours=48)
"""How long arrivals are kept."""

CHECK_IN_KIND: Final = "check_in"


def arrivals_of(records: Iterable[Contact | Event], now: datetime | None) -> Sequence[Arrived]:
    """Return what *records*, notes among them, add to the arrivals, digested at *now*."""
    events: Counter[tuple[str, datetime, str, str]] = Counter()
    oldest: dict[tuple[str, datetime, str, str], datetime] = {}
    newest: dict[tuple[str, datetime, str, str], datetime] = {}
    for record in records:
        received_at = record.at if isinstance(record, Contact) else record.received_at
        minute = received_at.replace(second=0, microsecond=0)
        for (kind, code), by in _what(record).items():
            key = record.app, minute, kind, code
            events[key] += by
            oldest[key] = min(received_at, oldest.get(key, received_at))
            newest[key] = max(received_at, newest.get(key, received_at))
    return [
        Arrived(
            app=key[0],
            minute=key[1],
            kind=key[2],
            code=key[3],
            events=by,
            late_seconds=max(0.0, (now - oldest[key]).total_seconds()) if now else 0.0,
            last_at=newest[key],
        )
        for key, by in events.items()
    ]


def _what(record: Contact | Event) -> Mapping[tuple[str, str], int]:
    """Return by kind and code how much *record* tells of."""
    if isinstance(record, Contact):
        return {(CHECK_IN_KIND, ""): 1}
    if record.kind in NOTES:
        return {(record.kind, code): by for code, by in counts_in(record).items()}
    if record.kind != DISCARDS_KIND:
        return {(record.kind, record.quarantine): 1}
    found: Counter[tuple[str, str]] = Counter()
    for reason, _, by in record.body.get("counts", ()):
        found[record.kind, reason] += by
    return found
