"""How fast events become durable, beside what SQLite takes for the same rows.

The public app is called as its web server calls it, without sockets. Rounds take turns, and the
medians of their ratios count, so that other work on the machine or its disk meets all alike.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence.line import Line, at_least, at_most, report
from benchmarks.ingest.rival import Row, a_table, insert
from benchmarks.ingest.server import BATCH, Intake, a_database, an_intake, bodies
from tests.public_world import APP
from update_server.service.telemetry.digest import Digest
from update_server.spool import FileSpoolReader

ROUNDS = 7
REQUESTS = 60
"""Requests of a round, of ``BATCH`` events each."""

THREADS = 8
SYNCS = 50


def lines(*, rounds: int = ROUNDS, requests: int = REQUESTS) -> list[Line]:
    """Return what is said of intake."""
    with tempfile.TemporaryDirectory() as name:
        return _lines(Path(name), rounds, requests)


@dataclass(slots=True)
class _Taken:
    """Seconds by round: ours, what it is compared with, and processor time."""

    ours: list[float] = field(default_factory=list)
    threaded: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)


def _lines(folder: Path, rounds: int, requests: int) -> list[Line]:
    taken = _Taken()
    with an_intake(folder / "spool", "web-1") as intake, a_table(folder) as rival:
        told = bodies(intake.world, requests * rounds * 2)
        for number in range(rounds):
            mine, theirs = (
                told[part * requests : (part + 1) * requests]
                for part in (2 * number, 2 * number + 1)
            )
            _round(taken, intake, rival, mine, theirs)
        lost = _lost_or_doubled(folder, intake, told[:requests], sent=len(told))
    events = requests * BATCH

    def a_second(seconds: Sequence[float]) -> float:
        return events / statistics.median(seconds)

    return [
        at_least("ingest_fsync_vs_raw_sqlite_bulk", _ratio(taken.bulk, taken.ours), 0.5, n=rounds),
        at_least("ingest_vs_row_per_event", _ratio(taken.single, taken.ours), 5, n=rounds),
        at_most("ingest_cpu_vs_json", _ratio(taken.cpu, taken.loop), 8, n=rounds),
        at_most("ingest_lost_or_doubled", lost, 0, n=len(told) * BATCH),
        report("ingest, events a second", a_second(taken.ours), n=rounds),
        report(
            f"ingest, events a second from {THREADS} threads", a_second(taken.threaded), n=rounds
        ),
        report("ingest, events a second of processor time", a_second(taken.cpu), n=rounds),
        report("ingest, milliseconds of an fdatasync", 1_000 * _sync_seconds(folder), n=SYNCS),
    ]


def _round(
    taken: _Taken,
    intake: Intake,
    rival: sqlite3.Connection,
    mine: Sequence[bytes],
    theirs: Sequence[bytes],
) -> None:
    began = time.process_time()
    taken.ours.append(_seconds(lambda: _post(intake, mine)))
    taken.cpu.append(time.process_time() - began)
    began = time.process_time()
    _loop(mine)
    taken.loop.append(time.process_time() - began)
    taken.bulk.append(_seconds(lambda: insert(rival, map(_rows, mine))))
    few = mine[: max(1, len(mine) // 10)]
    single = _seconds(lambda: insert(rival, ([row] for body in few for row in _rows(body))))
    taken.single.append(single * len(mine) / len(few))
    taken.threaded.append(_seconds(lambda: _post_at_once(intake, theirs)))


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _post(intake: Intake, requests: Sequence[bytes]) -> None:
    for body in requests:
        intake.post(body)


def _post_at_once(intake: Intake, requests: Sequence[bytes]) -> None:
    threads = [
        threading.Thread(target=_post, args=(intake, requests[number::THREADS]))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _loop(requests: Sequence[bytes]) -> None:
    """Do what nothing of the kind can do without: read the JSON, and write each event once."""
    for body in requests:
        for event in json.loads(body)["events"]:
            json.dumps(event)


def _rows(body: bytes) -> list[Row]:
    told = json.loads(body)
    key = told["install_id"].encode()
    return [(APP, key, event["id"], json.dumps(event)) for event in told["events"]]


def _lost_or_doubled(folder: Path, intake: Intake, again: Sequence[bytes], *, sent: int) -> int:
    """Send some requests once more, digest everything, and compare with what was sent."""
    _post(intake, again)
    with a_database(folder) as database:
        done = Digest(database, FileSpoolReader(folder / "spool")).run(rounds=10_000)
    return abs(done.new_events - sent * BATCH)


def _sync_seconds(folder: Path) -> float:
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4_096)
            taken.append(_seconds(lambda: os.fdatasync(file.fileno())))
    return statistics.median(taken)
