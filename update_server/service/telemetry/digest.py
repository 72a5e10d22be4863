"""Move what the web processes spooled into the database, exactly once.

Records, counts and checkpoints are written in one transaction, so a kill at any point
neither loses nor doubles anything: the next run begins where the checkpoint stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from update_server.service.crashes.book import CrashBook
from update_server.service.crashes.dumps import Dumps
from update_server.service.ports import (
    Checkpoint,
    Clock,
    Contact,
    Database,
    Event,
    SpoolReader,
)
from update_server.service.ports.counters import Counted
from update_server.service.studies.watched import WatchedStudies
from update_server.service.telemetry.absorption import Absorption
from update_server.service.telemetry.arrivals import arrivals_of
from update_server.service.telemetry.counting import counts_of

# Bounds the memory of a round, and how long one transaction keeps others waiting.
RECORDS_PER_SPOOL = 2_000

# With a round that reads minidumps still less than the controller's lease, which nobody extends
# meanwhile; and what was digested is to be judged.
RUN_SECONDS = 3.0

SWEEP_SECONDS = 3_600.0
"""How long after one sweep of orphaned dumps comes the next; they are older than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digested:
    """What one round did. ``more`` is true while some spool may hold further records."""

    contacts: int = 0
    events: int = 0
    new_events: int = 0
    forgotten: int = 0
    more: bool = False


class Digest:
    """The digest use-case. Only one process at a time may run it (the controller)."""

    def __init__(
        self,
        database: Database,
        spools: SpoolReader,
        records_per_spool: int = RECORDS_PER_SPOOL,
        *,
        clock: Clock | None = None,
        dumps: Dumps | None = None,
    ) -> None:
        """With a *clock*, studies are told of records that are digested late.

        Without *dumps* minidumps wait for nobody: only their events go by.
        """
        self._database = database
        self._spools = spools
        self._limit = records_per_spool
        self._clock = clock
        self._dumps = dumps
        self._swept_at: float | None = None
        self._studies = WatchedStudies()
        self._book = CrashBook()

    def run(self, rounds: int = 100) -> Digested:
        """Digest until nothing is left, or for *rounds* rounds, and say how much it was.

        By its clock, if it has one, it begins no round after ``RUN_SECONDS``.
        """
        began_at = self._monotonic()
        total = Digested()
        for _ in range(rounds):
            one = self.round()
            total = Digested(
                contacts=total.contacts + one.contacts,
                events=total.events + one.events,
                new_events=total.new_events + one.new_events,
                forgotten=total.forgotten + one.forgotten,
                more=one.more,
            )
            if not one.more or self._monotonic() - began_at >= RUN_SECONDS:
                break
        return total

    def round(self) -> Digested:
        """Digest up to one limit of records from each spool, in one transaction.

        And as many that were set aside, and accepted since.
        """
        names = self._spools.spools()
        with self._database.reading() as stores:
            offsets = {name: stores.telemetry.checkpoint(name) for name in names}
            has_accepted = stores.quarantine.has_accepted()
        records, ends = self._read(offsets)
        moved = {name: end for name, end in ends.items() if end != offsets[name]}
        done = Digested()
        late_seconds = self._late_seconds(records)
        if moved or has_accepted:
            done = self._take_with_dumps(records, moved)
        self._sweep(late_seconds)
        self._retire([name for name in names if name not in moved])
        return done

    def _take_with_dumps(
        self, records: Sequence[Contact | Event], ends: Mapping[str, int]
    ) -> Digested:
        """Read the minidumps before the transaction, and let go of them after it."""
        if self._dumps is None:
            return self._take(records, ends, ())
        told, spent = self._dumps.read(records)
        done = self._take(told, ends, spent.counted)
        self._dumps.drop(spent)
        return done

    def _sweep(self, late_seconds: float) -> None:
        """Remove dumps that no event is left to name: a process that was killed left them.

        *late_seconds* after it came the oldest event was digested: what is older is needed no more.
        """
        now = self._monotonic()
        is_due = self._swept_at is None or now - self._swept_at >= SWEEP_SECONDS
        if self._dumps is not None and is_due and late_seconds < SWEEP_SECONDS:
            self._dumps.sweep()
            self._swept_at = now

    def _take(
        self,
        records: Sequence[Contact | Event],
        ends: Mapping[str, int],
        counted: Sequence[Counted],
    ) -> Digested:
        # What it remembers of studies holds only if this is committed.
        studies, self._studies = self._studies, WatchedStudies()
        with self._database.transaction() as stores:
            batch = Absorption(stores, self._book)
            # Accepted by a person: as if they had just been read, in the place of their receipt.
            accepted = stores.quarantine.take_accepted(self._limit)
            batch.absorb(sorted([*accepted, *records], key=_received_at))
            told = [record for record in batch.news if _is_evidence(record)]
            studies.tell(stores, told, late_seconds=self._late_seconds(records))
            known = {_identity(event) for event in accepted}  # counted when they were set aside
            new = [each for each in batch.news if _identity(each) not in known]
            stores.counters.add([*counts_of(new), *counted])
            stores.arrivals.add(arrivals_of(records, self._clock.now() if self._clock else None))
            for name, end in ends.items():
                stores.telemetry.put_checkpoint(Checkpoint(spool=name, offset_bytes=end))
        self._studies = studies
        return Digested(
            contacts=batch.contacts,
            events=batch.events,
            new_events=batch.new_events,
            forgotten=batch.forgotten,
            more=True,
        )

    def _monotonic(self) -> float:
        return self._clock.monotonic() if self._clock else 0.0

    def _late_seconds(self, records: Sequence[Contact | Event]) -> float:
        if self._clock is None or not records:
            return 0.0
        return (self._clock.now() - _received_at(records[0])).total_seconds()

    def _read(
        self, offsets: Mapping[str, int]
    ) -> tuple[Sequence[Contact | Event], Mapping[str, int]]:
        records: list[Contact | Event] = []
        ends: dict[str, int] = {}
        for name, offset in offsets.items():
            found, ends[name] = self._spools.read(name, offset, self._limit)
            records.extend(found)
        # In the order of receipt over all spools: an install's check-ins, its events and its
        # wish to be forgotten may have gone to different processes. The sort is stable.
        records.sort(key=_received_at)
        return records, ends

    def _retire(self, names: Sequence[str]) -> None:
        """Forget those of *names*, all read to their ends, whose process is dead."""
        gone = [name for name in names if self._spools.retire(name)]
        if gone:
            with self._database.transaction() as stores:
                for name in gone:
                    stores.telemetry.forget_checkpoint(name)


def _received_at(record: Contact | Event) -> datetime:
    return record.at if isinstance(record, Contact) else record.received_at


def _identity(record: Contact | Event) -> tuple[str, bytes, str]:
    event_id = "" if isinstance(record, Contact) else record.id
    return record.app, record.install_key, event_id


def _is_evidence(record: Contact | Event) -> bool:
    """Return whether studies are told of *record*: not of what no install is known to have sent."""
    return isinstance(record, Contact) or record.install_key != b""
