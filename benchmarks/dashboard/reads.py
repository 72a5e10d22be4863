"""What each page asks of the store: how many statements, by which plans, and for how long."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event

from benchmarks.dashboard.fleet import APP, NOW, Size, a_fleet, pulled, rollouts, version_of
from benchmarks.evidence.line import Line, at_most, report
from update_server.service.crashes.groups import MOST_COUNTS
from update_server.service.crashes.in_rollout import newest_counts
from update_server.service.ports import Stores
from update_server.service.rollouts.recount import MOST
from update_server.store import SqlDatabase

Read = Callable[[Stores], object]
More = Callable[[SqlDatabase, Size], Iterable[Line]]

BIG: Final = ("contacts", "progress", "crash_reports", "seen_events", "session_hours", "sessions")
"""Tables that grow with the number of installs."""

# Of a table itself, or of one of its indices: the end to the other end, for want of a better way.
_SCAN: Final = re.compile(rf"\bSCAN (?:{'|'.join(BIG)})\b")

# How a transaction begins is no question: see store.engine.
_NO_QUESTION: Final = ("PRAGMA", "BEGIN", "SET ")

REPEATS: Final = 5
SMALL: Final = 500
"""How many times fewer installs the small fleet has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one page asked. ``scans``: statements that read a big table from end to end."""

    statements: int
    scans: int
    seconds: float


def pages(size: Size) -> Mapping[str, Read]:
    """Return what is read for each page, by its name."""
    live, newest = rollouts(size), str(version_of(size.releases - 1))

    def now(stores: Stores) -> object:
        names = [each.id for each in stores.rollouts.live()]
        return (
            stores.telemetry.funnels(names),
            stores.recounts.of(names),
            stores.crashes.tallies(names),
            stores.sessions.tallies(names),
            newest_counts(stores, names),
        )

    def release(stores: Stores) -> object:
        one = live[:1]
        return (
            stores.rollouts.get(APP, one[0]),
            stores.telemetry.funnels(one),
            stores.recounts.of(one),
            stores.crashes.tallies(one),
            stores.sessions.tallies(one),
            stores.crashes.counts_of(one),
        )

    def crashes(stores: Stores) -> object:
        worst = stores.crashes.worst(APP, version=newest, limit=50)
        return (
            stores.crashes.totals(APP, worst, version=newest),
            stores.crashes.last_counts(APP, worst, most=MOST_COUNTS, version=newest),
            stores.crashes.crashed(APP, version=newest),
            stores.crashes.groups(APP, worst),
        )

    def signature(stores: Stores) -> object:
        [name] = stores.crashes.worst(APP, version=newest, limit=1)
        return stores.crashes.places(APP, name)

    return {
        "now": now,
        "release": release,
        "crashes of a version": crashes,
        "signature": signature,
        "fleet": lambda stores: stores.telemetry.versions(APP),
        "pulled": lambda stores: stores.recounts.of([pulled(size)]),
    }


STATEMENTS: Final[Mapping[str, int]] = {
    "now": 6,
    "release": 6,
    "crashes of a version": 5,
    "signature": 2,
    "fleet": 1,
    "pulled": 1,
}
"""How many statements each page takes at most, whatever there is."""


def lines(
    *, size: Size | None = None, repeats: int = REPEATS, also: More | None = None
) -> list[Line]:
    """Return what is said of what pages read, and what *also* says of the same large fleet."""
    large = size or Size()
    small = Size(
        installs=large.installs // SMALL,
        crash_reports=large.crash_reports,
        releases=large.releases,
    )
    with tempfile.TemporaryDirectory() as name, a_fleet(Path(name), large) as database:
        asked = {page: ask(database, read, repeats) for page, read in pages(large).items()}
        slice_seconds = _slice_seconds(database, large)
        more = list(also(database, large)) if also else []
    with tempfile.TemporaryDirectory() as name, a_fleet(Path(name), small) as database:
        before = {page: ask(database, read, repeats) for page, read in pages(small).items()}
    return [*_lines(asked, before, repeats), report(_SLICE, slice_seconds * 1_000, n=1), *more]


_SLICE: Final = f"recount, {MOST:,} installs, ms"


def _lines(asked: Mapping[str, Asked], before: Mapping[str, Asked], repeats: int) -> Iterator[Line]:
    scans = sum(one.scans for one in asked.values())
    yield at_most("pages_scan_installs", scans, 0, n=len(asked))
    for page, one in asked.items():
        limit = STATEMENTS[page]
        yield at_most(f"page_statements, {page}", one.statements, limit, n=1)
    ratio = sum(one.seconds for one in asked.values()) / sum(one.seconds for one in before.values())
    yield at_most(f"pages_vs_{SMALL}_times_fewer_installs", ratio, 2, n=repeats)
    for page, one in asked.items():
        yield report(f"page reads, {page}, ms", one.seconds * 1_000, n=repeats)


def ask(database: SqlDatabase, read: Read, repeats: int = 1) -> Asked:
    """Return what *read* asks of a database, and its shortest time of several."""
    with database.reading() as stores, told_to(database) as told:
        read(stores)
    scans = sum(scans_in(plan_of(database, *one)) for one in told)
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        with database.reading() as stores:
            read(stores)
        taken.append(time.perf_counter() - began)
    return Asked(statements=len(told), scans=scans, seconds=min(taken))


@contextmanager
def told_to(database: SqlDatabase) -> Iterator[list[tuple[str, Any]]]:
    """Give the statements that are executed meanwhile, with what is put into them."""
    told: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if not statement.startswith(_NO_QUESTION):
            told.append((statement, parameters))

    engine = database._engine  # noqa: SLF001 - what it is asked is what is measured
    event.listen(engine, "before_cursor_execute", note)
    yield told
    event.remove(engine, "before_cursor_execute", note)


def scans_in(plan: str) -> bool:
    """Whether a statement of this plan reads a big table from end to end."""
    return _SCAN.search(plan) is not None


def plan_of(database: SqlDatabase, statement: str, parameters: Any = ()) -> str:
    """Return how SQLite goes about *statement*."""
    with database._reading.begin() as connection:  # noqa: SLF001 - as above
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(str(row[-1]) for row in rows)


def _slice_seconds(database: SqlDatabase, size: Size) -> float:
    """Return how long the controller looks at some installs of a rollout, and does nothing else."""
    with database.reading() as stores:
        rollout = stores.rollouts.get(APP, rollouts(size)[0])
        began = time.perf_counter()
        stores.recounts.slice(rollout, silent_before=NOW, after=None, most=MOST)
        return time.perf_counter() - began
