from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes import FakeDatabase, FakeDumpFiles, FakeSpoolReader
from tests.store.values import NOW, a_contact, an_event
from update_server.service.ports import Checkpoint
from update_server.service.telemetry.backlog import Backlog, backlog_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
def spools() -> FakeSpoolReader:
    return FakeSpoolReader()


def backlog(
    spools: FakeSpoolReader, dumps: FakeDumpFiles | None = None, **digested: int
) -> Backlog:
    """Return what waits when so much of each spool was digested."""
    database = FakeDatabase()
    with database.transaction() as stores:
        for name, offset in digested.items():
            stores.telemetry.put_checkpoint(Checkpoint(spool=name, offset_bytes=offset))
    with database.reading() as stores:
        return backlog_of(stores, spools, dumps or FakeDumpFiles(), NOW)


def test_nothing_waits_where_nothing_was_spooled(spools: FakeSpoolReader) -> None:
    assert backlog(spools) == Backlog(lag_seconds=0.0, waiting_bytes=0)


def test_the_oldest_record_of_all_spools_says_how_late_it_is(spools: FakeSpoolReader) -> None:
    spools.writer("one").contact(a_contact(at=NOW - MINUTE))
    spools.writer("two").events([an_event(received_at=NOW - 3 * MINUTE, at=NOW - 9 * MINUTE)])

    assert backlog(spools) == Backlog(lag_seconds=180.0, waiting_bytes=2)


def test_what_was_digested_does_not_wait(spools: FakeSpoolReader) -> None:
    spools.writer("one").contact(a_contact(at=NOW - 2 * MINUTE))
    spools.writer("one").contact(a_contact(at=NOW - MINUTE))

    assert backlog(spools, one=1) == Backlog(lag_seconds=60.0, waiting_bytes=1)
    assert backlog(spools, one=2) == Backlog(lag_seconds=0.0, waiting_bytes=0)


def test_a_spool_that_was_removed_holds_nothing(spools: FakeSpoolReader) -> None:
    assert backlog(spools, gone=7) == Backlog(lag_seconds=0.0, waiting_bytes=0)


def test_minidumps_wait_beside_the_spools(spools: FakeSpoolReader) -> None:
    dumps = FakeDumpFiles()
    dumps.keep(b"MDMP" * 250)

    assert backlog(spools, dumps) == Backlog(lag_seconds=0.0, waiting_bytes=1_000)
