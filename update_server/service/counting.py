"""What the digest counts of each batch, and the names of the counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from update_server.service.counter_ports import Counted
from update_server.service.ports import Contact, Event

CHECK_INS: Final = "checkins"
"""Check-ins that were answered, by ``action`` and ``reason``."""

EVENTS: Final = "events"
"""Events that were not known before, by ``kind``."""

REJECTED: Final = "telemetry_rejected"
"""Events that intake did not take, by ``reason``."""

QUARANTINED: Final = "telemetry_quarantined"
"""Events that were set aside, by ``reason``."""

DISCARDED: Final = "sdk_discarded"
"""Reports that SDKs say they dropped by themselves, by ``reason``."""


def counts_of(records: Iterable[Contact | Event]) -> Sequence[Counted]:
    """Return what *records*, none of which was counted before, add to the counters."""
    check_ins: Counter[tuple[str, str, str]] = Counter()
    events: Counter[tuple[str, str]] = Counter()
    for record in records:
        if isinstance(record, Contact):
            check_ins[record.app, record.action, record.reason] += 1
        else:
            events[record.app, record.kind] += 1
    return [
        Counted(app=app, name=CHECK_INS, labels=(("action", action), ("reason", reason)), by=by)
        for (app, action, reason), by in check_ins.items()
    ] + [
        Counted(app=app, name=EVENTS, labels=(("kind", kind),), by=by)
        for (app, kind), by in events.items()
    ]
