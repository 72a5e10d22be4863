"""Contract of counter_ports.Counters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import event

from tests.store.conftest import SQL
from update_server.service.ports import Database, ReadOnlyError
from update_server.service.ports.counters import Counted
from update_server.store import SqlDatabase

OFFERED = Counted(app="demo", name="checkins", labels=(("action", "update"), ("reason", "in_ring")))
STAYED = Counted(app="demo", name="checkins", labels=(("action", "stay"), ("reason", "held")), by=2)
PLAIN = Counted(app="other", name="rounds", by=3)


def add(database: Database, *counted: Counted) -> None:
    with database.transaction() as stores:
        stores.counters.add(counted)


def test_counters_grow_by_what_is_added(database: Database) -> None:
    add(database, OFFERED, STAYED)
    add(database, STAYED, PLAIN)

    with database.reading() as stores:
        counted = {one.labels: one.by for one in stores.counters.all("demo")}
        assert counted == {OFFERED.labels: 1, STAYED.labels: 4}
        assert list(stores.counters.all("other")) == [PLAIN]


def test_all_apps_come_by_app_name_and_labels(database: Database) -> None:
    upper = Counted(app="demo", name="checkins", labels=(("action", "Stay"),))
    add(database, PLAIN, OFFERED, upper, STAYED)

    with database.reading() as stores:
        assert list(stores.counters.all(None)) == [upper, STAYED, OFFERED, PLAIN]


def test_any_number_of_increments_of_one_key_may_come_at_once(database: Database) -> None:
    add(database, *[STAYED] * 500)

    with database.reading() as stores:
        (sum_of_all,) = stores.counters.all(None)
    assert sum_of_all.by == 1_000


def test_the_order_of_labels_means_nothing(database: Database) -> None:
    turned = Counted(app="demo", name="checkins", labels=OFFERED.labels[::-1])
    add(database, turned, OFFERED)

    with database.reading() as stores:
        (sum_of_both,) = stores.counters.all("demo")
    assert (sum_of_both.labels, sum_of_both.by) == (OFFERED.labels, 2)


def test_nothing_is_added_by_nothing(database: Database) -> None:
    add(database)

    with database.reading() as stores:
        assert not stores.counters.all(None)


def test_a_counter_may_begin_at_nought(database: Database) -> None:
    none = Counted(app="demo", name="events", by=0)
    add(database, none)

    with database.reading() as stores:
        assert list(stores.counters.all("demo")) == [none]


def test_a_sum_may_be_beyond_32_bits(database: Database) -> None:
    add(
        database, Counted(app="demo", name="events", by=1 << 40), Counted(app="demo", name="events")
    )

    with database.reading() as stores:
        (found,) = stores.counters.all("demo")
    assert found.by == (1 << 40) + 1


def test_what_is_rolled_back_was_not_counted(database: Database) -> None:
    with suppress(RuntimeError), database.transaction() as stores:
        stores.counters.add([OFFERED])
        raise RuntimeError("rolled back")

    with database.reading() as stores:
        assert not stores.counters.all(None)


def test_nothing_is_counted_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.counters.add([OFFERED])


def test_no_counter_shrinks() -> None:
    with pytest.raises(ValueError, match="cannot grow by -1"):
        Counted(app="demo", name="events", by=-1)


@contextmanager
def statements(database: SqlDatabase) -> Iterator[list[int]]:
    """Give how many rows each statement on the counters writes."""
    seen: list[int] = []

    def note(*told: object) -> None:
        _, _, statement, parameters, *_ = told
        if "counters" in str(statement):
            seen.append(len(parameters) if isinstance(parameters, list) else 1)

    event.listen(database._engine, "before_cursor_execute", note)
    yield seen
    event.remove(database._engine, "before_cursor_execute", note)


@pytest.mark.parametrize("url", SQL[:1], indirect=True)
def test_a_batch_is_one_statement_with_a_row_a_key(sql: SqlDatabase) -> None:
    with statements(sql) as seen:
        add(sql, *[STAYED] * 500, *[OFFERED] * 500)

    assert seen == [2]
