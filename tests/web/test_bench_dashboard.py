"""A small part of ``make bench-dashboard``: no page reads installs one by one, at any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from benchmarks.dashboard import __main__ as bench
from benchmarks.dashboard import pages, reads
from benchmarks.dashboard.fleet import APP, NOW, Size, a_fleet, pulled, rollouts
from update_server.service.ports import Stores
from update_server.store import SqlDatabase
from update_server.store.install_counts import REACHED, TOLD
from update_server.store.tables import contact_counts, contacts, crash_reports, progress_counts

pytestmark = pytest.mark.no_cover  # the stores' contract suites walk the same lines

SIZE = Size(installs=20_000, crash_reports=2_000, releases=60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlDatabase]:
    with a_fleet(tmp_path_factory.mktemp("fleet"), SIZE) as database:
        yield database


@pytest.mark.parametrize("page", reads.STATEMENTS)
def test_no_page_reads_a_table_of_installs_from_end_to_end(fleet: SqlDatabase, page: str) -> None:
    asked = reads.ask(fleet, reads.pages(SIZE)[page])

    assert (asked.statements, asked.scans) == (reads.STATEMENTS[page], 0)


def test_reading_from_end_to_end_is_noticed(fleet: SqlDatabase) -> None:
    def look(stores: Stores) -> object:
        connection = stores.telemetry._connection  # type: ignore[attr-defined]
        grouped = select(contacts.c.version, func.count()).group_by(contacts.c.version)
        crashed = select(func.count()).select_from(crash_reports)
        return connection.execute(grouped).all(), connection.execute(crashed).all()

    assert (asked := reads.ask(fleet, look)).statements == 2
    assert asked.scans == 2


def test_the_counts_that_a_migration_makes_are_those_of_the_rows(fleet: SqlDatabase) -> None:
    with fleet._reading.begin() as connection:
        for counts, by in ((contact_counts, TOLD), (progress_counts, REACHED)):
            kept = sorted(map(tuple, connection.execute(select(counts))))
            found = connection.execute(select(*by, func.count()).group_by(*by))
            assert kept == sorted(map(tuple, found))
            assert sum(row[-1] for row in kept) >= SIZE.installs


def test_the_crashes_that_a_migration_counts_are_those_that_are_counted_anew(
    fleet: SqlDatabase,
) -> None:
    with fleet.transaction() as stores:
        before = told(stores)
        stores.crashes._keeping.recount(APP, stores.crashes.worst(APP, limit=1_000))
        assert told(stores) == before
    assert before[0]


def told(stores: Stores) -> tuple[object, ...]:
    crashes = stores.crashes
    worst = crashes.worst(APP, limit=1_000)
    places = [crashes.places(APP, name) for name in worst]
    channel = crashes.counts(APP, channel="stable")
    return crashes.counts(APP), worst, places, channel, crashes.counts_of(rollouts(SIZE))


def test_a_slice_of_installs_is_found_by_their_keys(fleet: SqlDatabase) -> None:
    def look(stores: Stores) -> object:
        found = []
        for name in (rollouts(SIZE)[0], pulled(SIZE)):
            rollout = stores.rollouts.get(APP, name)
            found.append(stores.recounts.slice(rollout, silent_before=NOW, after=b"0", most=1_000))
            found.append(stores.recounts.slice_beside(rollout, after=b"0", most=1_000))
        return found

    assert reads.ask(fleet, look).scans == 0


def test_every_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = reads.lines(size=Size(installs=5_000, crash_reports=500, releases=40), repeats=1)

    exact = [line for line in found if line.name.startswith(("pages_scan", "page_statements"))]
    assert len(exact) == 1 + len(reads.STATEMENTS)
    assert all(line.ok for line in exact)
    assert bench.main(["nothing of the kind"]) == 0
    assert capsys.readouterr().out == ""


def test_pages_ask_no_more_with_a_thousand_releases_than_with_few(
    tmp_path: Path,
) -> None:
    found = {}
    for releases in (40, 1_000):  # of which 20 are live
        size = Size(installs=20_000, crash_reports=500, releases=releases)
        folder = tmp_path / str(releases)
        folder.mkdir()
        with a_fleet(folder, size) as database:
            found[releases] = pages.costs(database, size, folder, repeats=1)

    for name, cost in found[1_000].items():
        assert len(cost.statements) <= len(found[40][name].statements), name
        assert cost.scans == 0, name
