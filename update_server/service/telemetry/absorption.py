"""What a batch of records adds to the tables, each record in its turn, and what of it was new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from update_server.service.agents.forget import FORGET_KIND
from update_server.service.crashes import book as crash_book
from update_server.service.crashes.book import CrashBook
from update_server.service.crashes.senders import with_senders
from update_server.service.ports import Contact, Event, Stores
from update_server.service.telemetry.notes import NOTES
from update_server.service.telemetry.quarantine import set_aside


class Absorption:
    """One batch in one transaction.

    ``contacts``, ``events``, ``new_events`` and ``forgotten`` count; ``news`` are the records that
    were not known before, in their order, with the whole keys of the installs that sent them.
    """

    def __init__(self, stores: Stores, book: CrashBook) -> None:
        self._stores = stores
        self._book = book
        self._waiting: list[Contact | Event] = []
        self.news: list[Contact | Event] = []
        self.contacts = 0
        self.events = 0
        self.new_events = 0
        self.forgotten = 0

    def absorb(self, records: Sequence[Contact | Event]) -> None:
        """Absorb *records* in order, each wish to be forgotten in its turn."""
        for record in records:
            if isinstance(record, Event) and record.kind == FORGET_KIND:
                self._flush()
                self._forget(record)
            else:
                self._waiting.append(record)
        self._flush()

    def _forget(self, wish: Event) -> None:
        self._stores.telemetry.forget_install(wish.app, wish.install_key)
        crash_book.forget(self._stores, wish.app, wish.install_key)
        self._stores.quarantine.forget_install(wish.app, wish.install_key)
        self.news.append(wish)
        self.forgotten += 1

    def _flush(self) -> None:
        """Absorb what waits, all at once."""
        if not self._waiting:
            return
        contacts = [each for each in self._waiting if isinstance(each, Contact)]
        told = [each for each in self._waiting if _is_told(each)]
        known_senders = with_senders(self._stores, contacts, told)
        new = {
            (event.app, event.install_key, event.id)
            for event in self._stores.telemetry.absorb(contacts, known_senders)
        }
        self.contacts += len(contacts)
        self.events += len(told)
        self.new_events += len(new)
        fresh: list[Event] = []
        senders = iter(known_senders)
        for record in self._waiting:
            if not _is_told(record):
                self.news.append(record)
                continue
            event = next(senders)
            identity = (event.app, event.install_key, event.id)
            if identity in new:
                new.discard(identity)  # the next one like it came twice
                fresh.append(event)
                self.news.append(event)
        self._waiting.clear()
        self._book.note(self._stores, fresh)
        set_aside(self._stores, fresh)


def _is_told(record: Contact | Event) -> TypeGuard[Event]:
    """Return whether *record* is an event; notes of intake have no IDs and come but once."""
    return isinstance(record, Event) and record.kind not in NOTES
