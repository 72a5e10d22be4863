"""The durable queue between web processes and the digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from update_server.service.ports.telemetry import (
    Contact,
    Event,
)


class Spool(Protocol):
    """A durable queue of contacts and events, one per web process.

    ``dropped_contacts`` counts those that found no room, ``dropped_notes`` likewise.
    """

    @property
    def dropped_contacts(self) -> int: ...
    @property
    def dropped_notes(self) -> int: ...
    def contact(self, contact: Contact) -> None: ...  # buffered: written, not waited for
    def note(self, event: Event) -> None: ...  # buffered like a contact
    def events(self, events: Sequence[Event]) -> None: ...  # durable on return; UnavailableError


class SpoolReader(Protocol):
    """The digest's side of all spools."""

    def spools(self) -> Sequence[str]: ...
    def read(
        self, spool: str, offset_bytes: int, limit: int
    ) -> tuple[Sequence[Contact | Event], int]: ...
    def size_bytes(self, spool: str) -> int: ...  # where its last record ends; 0: it is gone
    def retire(self, spool: str) -> bool: ...  # true when its process is dead and it was removed
