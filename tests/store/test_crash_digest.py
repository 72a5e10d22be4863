"""The digest of crash reports over real tables: any order, twice, and nothing left of who goes."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from sqlalchemy import event as listeners
from sqlalchemy import select

from rollout.model import Arm
from tests.fakes import FakeDatabase, FakeSpoolReader
from tests.store.values import (
    NOW,
    ROLLOUT,
    a_contact,
    a_group,
    a_release,
    a_rollout,
    an_app,
    an_enrolment,
    an_event,
)
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.agents.pseudonyms import report_key
from update_server.service.ports import Contact, Database, Event, Stores, UnavailableError
from update_server.service.telemetry.digest import Digest
from update_server.store import SqlDatabase
from update_server.store.engine import make_engine
from update_server.store.tables import metadata

PEPPER = b"p" * 32
DAY = timedelta(days=1)
_spools = itertools.count()  # a new one each time: databases remember how far one was digested
ONE, TWO, UNSEEN = (name + b"k" * 24 for name in (b"install1", b"install2", b"install3"))
VERSIONS = ("2.0.0", "2.1.0", "unpublished")
TABLES = [
    metadata.tables[name]
    for name in (
        "crash_reports",
        "crash_groups",
        "crash_samples",
        "crash_signatures",
        "crash_counts",
        "crash_totals",
        "crashed_counts",
        "sessions",
        "session_hours",
        "session_counts",
        "seen_events",
        "counters",
    )
]


def prepare(database: Database) -> None:
    """Publish two versions, roll the newer one out, and let two installs check in."""
    with database.transaction() as stores:
        stores.apps.add(an_app())
        stores.access.add_secret("pepper", PEPPER)
        for version in ("2.0.0", "2.1.0"):
            stores.releases.add(a_release(version=Version(version)))
        stores.rollouts.add(a_rollout())
    control: dict[str, Any] = {"arm": Arm.CONTROL, "action": "stay", "offered": None}
    tell(database, [a_contact(install_key=ONE), a_contact(install_key=TWO, **control)])


def tell(database: Database, *batches: Sequence[Contact | Event]) -> None:
    """Let a digest take each of *batches* in a transaction of its own."""
    reader = FakeSpoolReader()
    spool = reader.writer(f"web-{next(_spools)}")
    digest = Digest(database, reader)
    for batch in batches:
        for record in batch:
            if isinstance(record, Contact):
                spool.contact(record)
            else:
                spool.events([record])
        digest.run()


def a_report(event_id: str, install_key: bytes = ONE, **changes: Any) -> Event:
    body = {"exception": {"type": "ValueError"}, "os": {"name": "Linux"}}
    event = an_event(
        event_id=event_id, install_key=install_key, kind="crash", phase=None, body=body
    )
    return replace(event, platform="linux-x86_64", **changes)


def a_session(sid: str, status: str, install_key: bytes = ONE, **changes: Any) -> Event:
    body = {"sid": sid, "status": status, "started": NOW.isoformat()}
    return a_report(f"{sid}:{status}", install_key, kind="session", body=body, **changes)


SDK: dict[str, Any] = {"source": "sdk"}
NOBODY: dict[str, Any] = {**SDK, "install_key": b""}
POOL: tuple[Event, ...] = (
    *(a_report(f"e{n}", at=NOW - n * DAY) for n in range(8)),
    a_report("old", version="2.0.0", at=NOW - 9 * DAY),
    a_report("older", version="1.0.0"),
    a_report("two", TWO, version="2.0.0"),
    a_report("tag", ONE[:8], **SDK),
    a_report("shed", TWO[:8], body={}, **SDK),
    a_report("error", ONE[:8], kind="error", **SDK),
    a_report("unseen", UNSEEN[:8], **SDK),
    replace(a_report("nobody"), **NOBODY),
    a_report("aside", quarantine="unknown_version"),
    *(a_session("s1", status) for status in ("ok", "exited", "crashed")),
    *(a_session("s2", status, TWO) for status in ("ok", "errored")),
    a_session("s3", "abnormal", ONE[:8], **SDK),
    a_report("sums", kind="sessions", body={"counts": {"exited": 3}}, **SDK),
)
# Every report at least once, in any order, some again, in batches of any size.
orders = st.tuples(
    st.permutations(POOL), st.lists(st.sampled_from(POOL), max_size=8), st.integers(4, 40)
)


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> tuple[Path, list[list[Any]]]:
    """A database to be copied, and what its tables hold after the reports came in order."""
    path = tmp_path_factory.mktemp("prepared") / "serinus.db"
    shutil.copy(migrated_sqlite, path)
    with opened(path) as database:
        prepare(database)
    other = path.with_name("in order.db")
    shutil.copy(path, other)
    with opened(other) as database:
        tell(database, POOL)
    return path, rows(other)


@contextmanager
def opened(path: Path) -> Iterator[SqlDatabase]:
    database = SqlDatabase(f"sqlite:///{path}")
    yield database
    database.close()


def rows(path: Path) -> list[list[Any]]:
    """Return what the tables of crashes and sessions hold."""
    engine = make_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = [
            sorted(map(tuple, connection.execute(select(table).order_by(*table.primary_key))))
            for table in TABLES
        ]
    engine.dispose()
    return found


@pytest.mark.no_cover
@settings(max_examples=25)
@given(order=orders)
def test_the_order_of_reports_means_nothing_and_neither_does_a_second_time(
    prepared: tuple[Path, list[list[Any]]], order: tuple[list[Event], list[Event], int]
) -> None:
    path, expected = prepared
    once, again, size = order
    records = [*once, *again]
    copy = path.with_name("copy.db")
    for leftover in path.parent.glob("copy.db*"):
        leftover.unlink()
    shutil.copy(path, copy)

    with opened(copy) as database:
        tell(database, *(records[n : n + size] for n in range(0, len(records), size)))

    assert rows(copy) == expected


def shown(database: Database) -> object:
    """Return all that is shown of crashes and sessions."""
    with database.reading() as stores:
        names = [one.signature for one in stores.crashes.counts("demo")]
        return (
            stores.crashes.counts("demo"),
            [stores.crashes.places("demo", name) for name in names],
            stores.crashes.crashed("demo"),
            stores.crashes.crashed_of(ROLLOUT),
            stores.crashes.groups("demo", names),
            stores.crashes.samples("demo", names),
            stores.sessions.hours("demo"),
            stores.sessions.of_rollout(ROLLOUT),
        )


def test_every_database_shows_what_the_fake_shows(sql: SqlDatabase) -> None:
    fake = FakeDatabase()
    for database in (sql, fake):
        prepare(database)
        tell(database, POOL[::2], POOL)

    assert shown(sql) == shown(fake)


class _Dying:
    """A database that is lost after so many more statements of writing ends."""

    def __init__(self, database: Database, *, after_commit: bool) -> None:
        self._database = database
        self._after_commit = after_commit

    def reading(self) -> AbstractContextManager[Stores]:
        return self._database.reading()

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        with self._database.transaction() as stores:
            yield stores
            if not self._after_commit:
                raise UnavailableError("cut before the commit")
        raise UnavailableError("cut after the commit")


@pytest.mark.parametrize("after_commit", [True, False])
def test_a_kill_loses_nothing_and_doubles_nothing(
    prepared: tuple[Path, list[list[Any]]], *, after_commit: bool
) -> None:
    path, expected = prepared
    copy = path.with_name(f"killed {after_commit}.db")
    shutil.copy(path, copy)
    reader = FakeSpoolReader()
    spool = reader.writer(f"web-{next(_spools)}")
    spool.events(POOL)

    with opened(copy) as database:
        for _ in POOL[::3]:
            with pytest.raises(UnavailableError):
                Digest(_Dying(database, after_commit=after_commit), reader, 3).round()
            if not after_commit:
                Digest(database, reader, 3).round()
        Digest(database, reader).run()

    assert rows(copy) == expected


def statements(sql: SqlDatabase, *records: Contact | Event) -> str:
    """Return what the database is asked while these are digested."""
    asked: list[str] = []
    engine = sql._engine
    listeners.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    tell(sql, records)
    return "\n".join(asked)


def test_a_batch_without_reports_costs_nothing_more(sql: SqlDatabase) -> None:
    prepare(sql)
    step = an_event(install_key=ONE, event_id="step")
    metric = replace(step, id="metric", kind="metric", phase=None, body={"name": "x", "value": 1})

    ordinary = statements(sql, a_contact(install_key=ONE), step, metric)
    with_report = statements(sql, a_report("e1"), a_session("s1", "ok"))

    more = re.compile(r"crash_|sessions|session_hours|releases|secrets")
    assert not more.search(ordinary)
    assert more.search(with_report)


class TestForgetting:
    def test_no_row_in_any_table_keeps_a_key_of_the_install(self, sql: SqlDatabase) -> None:
        prepare(sql)
        with sql.transaction() as stores:
            stores.access.add_group(a_group())
            stores.access.add_enrolment(an_enrolment(install_key=ONE))
        step = an_event(install_key=ONE, event_id="step")
        tell(sql, [*POOL, step])
        found = tables_with(sql, ONE)

        tell(sql, [a_report("", kind=FORGET_KIND, version="")])

        # The control: it would have been found.
        assert found >= {
            "contacts",
            "crash_reports",
            "crash_samples",
            "enrolments",
            "histories",
            "progress",
            "quarantined",
            "seen_events",
            "sessions",
        }
        assert tables_with(sql, ONE) == set()
        assert tables_with(sql, TWO) >= {"contacts", "crash_reports", "sessions"}

    def test_what_came_by_its_tag_before_it_was_seen_goes_too(self, sql: SqlDatabase) -> None:
        prepare(sql)
        tell(sql, POOL)
        assert tables_with(sql, UNSEEN) == {"crash_reports", "crash_samples"}

        tell(sql, [a_report("", UNSEEN, kind=FORGET_KIND, version="")])

        assert tables_with(sql, UNSEEN) == set()


def tables_with(sql: SqlDatabase, install_key: bytes) -> set[str]:
    """Return the tables in which anything holds a key of the install, as bytes or as text."""
    keys = [report_key(PEPPER, "demo", version, install_key) for version in VERSIONS]
    names = [install_key[:8], *keys]
    found = set()
    with sql.reading() as stores:
        connection = stores.telemetry._connection
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)):
                held = repr(tuple(row)).encode() + b"".join(
                    bytes(value) for value in row if isinstance(value, bytes | memoryview)
                )
                if any(name in held or name.hex().encode() in held for name in names):
                    found.add(table.name)
    return found
