"""What web processes have spooled and the digest has not taken in yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from update_server.service.ports import Contact, SpoolReader, Stores
from update_server.service.ports.dumps import DumpFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How long the oldest record waits, 0 if none does; and the bytes of all that waits."""

    lag_seconds: float
    waiting_bytes: int


def backlog_of(stores: Stores, spools: SpoolReader, dumps: DumpFiles, now: datetime) -> Backlog:
    """Return what waits in *spools*, and the minidumps beside them.

    It is read from the spools themselves, so it grows also while no digest runs.
    """
    oldest, waiting_bytes = now, dumps.size_bytes()
    for name in spools.spools():
        offset = stores.telemetry.checkpoint(name)
        first, _ = spools.read(name, offset, 1)
        for record in first:
            oldest = min(oldest, record.at if isinstance(record, Contact) else record.received_at)
        waiting_bytes += max(0, spools.size_bytes(name) - offset)
    return Backlog(lag_seconds=(now - oldest).total_seconds(), waiting_bytes=waiting_bytes)
