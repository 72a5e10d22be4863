"""How fast the digest takes in what was spooled, beside what SQLite takes for the same rows."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.evidence.line import Line, at_least, at_most, report
from benchmarks.ingest.rival import a_table, insert
from benchmarks.ingest.server import a_database, contacts, events
from tests.public_world import APP
from update_server.service.ports import Contact, Event
from update_server.service.telemetry.digest import RECORDS_PER_SPOOL, Digest
from update_server.spool import FileSpool, FileSpoolReader

ROUNDS = 5
RECORDS = 6_000
"""Records of a round."""

INSTALLS = 2_000


def lines(*, rounds: int = ROUNDS, records: int = RECORDS) -> list[Line]:
    """Return what is said of the digest."""
    with tempfile.TemporaryDirectory() as name:
        return _lines(Path(name), rounds, records)


def _lines(folder: Path, rounds: int, records: int) -> list[Line]:
    alone: list[float] = []
    mixed: list[float] = []
    bulk: list[float] = []
    seen = contacts(records, installs=INSTALLS)
    with a_database(folder) as database, a_table(folder) as rival:
        spool = FileSpool(folder / "spool", "web")
        digest = Digest(database, FileSpoolReader(folder / "spool"))
        _digest(digest, spool, seen)  # the first time every install is new
        for number in range(rounds):
            alone.append(_digest(digest, spool, seen))
            half = records // 2
            told = events(half, installs=INSTALLS, first=number * half)
            mixed.append(_digest(digest, spool, [*seen[:half], *told]))
            rows = [(APP, one.install_key, "", one.version) for one in seen]
            places = range(0, records, RECORDS_PER_SPOOL)
            began = time.perf_counter()
            insert(rival, [rows[place : place + RECORDS_PER_SPOOL] for place in places])
            bulk.append(time.perf_counter() - began)
        spool.close()
    return [
        at_least("digest_contacts_vs_raw_sqlite_bulk", _ratio(bulk, alone), 0.01, n=rounds),
        at_most("digest_mixed_vs_contacts", _ratio(mixed, alone), 3, n=rounds),
        report("digest, contacts a second", records / statistics.median(alone), n=rounds),
        report(
            "digest, records a second, half of them sessions and crashes",
            records / statistics.median(mixed),
            n=rounds,
        ),
    ]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _digest(digest: Digest, spool: FileSpool, records: Sequence[Contact | Event]) -> float:
    """Spool *records*, and return the seconds that digesting them takes."""
    for record in records:
        if isinstance(record, Contact):
            spool.contact(record)
    spool.events([record for record in records if isinstance(record, Event)])
    spool.flush()
    began = time.perf_counter()
    done = digest.run(rounds=10_000)
    taken = time.perf_counter() - began
    if done.contacts + done.events != len(records):
        raise RuntimeError(f"{done} of {len(records)} records")
    return taken
