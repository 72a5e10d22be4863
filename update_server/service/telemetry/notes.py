"""Notes of web processes: what no install sent, but was seen of what installs sent.

They are spooled without being waited for (``ports.Spool.note``), have no ID, and the digest only
counts them: the body's ``counts`` say how much of what.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from update_server.service.ports import Contact, Event

REJECTED_KIND: Final = "rejected"
"""What was not taken, by reason: words of ours, from small closed sets."""

CLOCK_KIND: Final = "clock"
"""How far senders' clocks were off, by class (``drifts.drift_class``)."""

NOTES: Final = frozenset({REJECTED_KIND, CLOCK_KIND})


def is_note(record: Contact | Event) -> bool:
    """Tell whether *record* is a note."""
    return isinstance(record, Event) and record.kind in NOTES


def note_of(
    app: str, kind: str, counts: Mapping[str, int], now: datetime, *, source: str = "agent"
) -> Event:
    """Return a note, of what came to intake for *source*."""
    return Event(
        app=app,
        install_key=b"",
        id="",
        at=now,
        received_at=now,
        kind=kind,
        version="",
        source=source,
        body={"counts": {str(name): by for name, by in counts.items()}},
    )


def counts_in(note: Event) -> Mapping[str, int]:
    """Return what a note counts."""
    counts = note.body.get("counts")
    return counts if isinstance(counts, Mapping) else {}
