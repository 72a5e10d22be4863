"""Spools in memory: a list of records for each, whose offsets count records."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from update_server.service.ports import Contact, Event, UnavailableError


@dataclass(slots=True)
class _Records:
    records: list[Contact | Event] = field(default_factory=list)
    closed: bool = False
    drained: bool = False


class FakeSpoolReader:
    """The digest's side of all spools made by ``writer``."""

    def __init__(self) -> None:
        self._spools: dict[str, _Records] = {}

    def writer(self, name: str) -> FakeSpool:
        """Return a new spool that this reader reads."""
        return FakeSpool(self._spools.setdefault(name, _Records()))

    def spools(self) -> Sequence[str]:
        return sorted(self._spools)

    def read(
        self, spool: str, offset_bytes: int, limit: int
    ) -> tuple[Sequence[Contact | Event], int]:
        if spool not in self._spools:
            return [], offset_bytes
        found = self._spools[spool].records[offset_bytes : offset_bytes + limit]
        self._spools[spool].drained = not found
        return found, offset_bytes + len(found)

    def size_bytes(self, spool: str) -> int:
        return len(self._spools[spool].records) if spool in self._spools else 0

    def retire(self, spool: str) -> bool:
        held = self._spools.get(spool)
        if held is not None and not (held.closed and held.drained):
            return False
        self._spools.pop(spool, None)
        return True


class FakeSpool:
    """A spool whose records are durable at once. ``full`` lets it refuse events."""

    def __init__(self, held: _Records) -> None:
        self._held = held
        self._lock = threading.Lock()
        self.full = False
        self.dropped_contacts = 0
        self.dropped_notes = 0

    def contact(self, contact: Contact) -> None:
        self._add([contact])

    def note(self, event: Event) -> None:
        self._add([event])

    def events(self, events: Sequence[Event]) -> None:
        if self.full or self._held.closed:
            raise UnavailableError("the spool takes no events")
        self._add(events)

    def flush(self) -> None:
        """Do nothing: there is nothing that waits."""

    def close(self) -> None:
        """End the process that this spool belongs to, as far as the reader can see."""
        self._held.closed = True

    def _add(self, records: Sequence[Contact | Event]) -> None:
        with self._lock:
            self._held.records.extend(records)
            self._held.drained = False
