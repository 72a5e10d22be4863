"""Contract of ports.Audit: append-only and chained by hashes."""

from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from tests.fakes import FakeDatabase
from tests.store.values import NOW
from update_server.service.ports import AuditRecord, ChangedError, Database, Stores
from update_server.service.ports.audit import GENESIS, Link
from update_server.store import SqlDatabase
from update_server.store.audit import chain_hash
from update_server.store.engine import make_engine


def append(stores: Stores, **changes: Any) -> AuditRecord:
    values = {"at": NOW, "actor": "ada", "action": "pause", "app": "demo", "subject": "ro_1"}
    return stores.audit.append(**{**values, **changes})


def test_a_record_comes_back_as_it_went(database: Database) -> None:
    with database.transaction() as stores:
        record = append(
            stores, reason="crashes", before={"state": "active"}, after={"n": [1, None, "ä"]}
        )

    assert (record.seq, record.previous_hash) == (1, GENESIS)
    assert (record.reason, record.before, record.after) == (
        "crashes",
        {"state": "active"},
        {"n": [1, None, "ä"]},
    )
    with database.reading() as stores:
        assert stores.audit.page(app=None, before_seq=None, limit=9) == [record]


def test_each_record_is_chained_to_the_one_before(database: Database) -> None:
    with database.transaction() as stores:
        first, second = append(stores), append(stores)

    assert (second.seq, second.previous_hash) == (2, first.hash)
    with database.reading() as stores:
        assert stores.audit.verify() == 2


def test_an_empty_audit_is_in_order(database: Database) -> None:
    with database.reading() as stores:
        assert stores.audit.verify() == 0


def test_a_page_has_the_newest_first(database: Database) -> None:
    with database.transaction() as stores:
        records = [append(stores, app=app) for app in ("demo", None, "other", "demo")]

    with database.reading() as stores:
        page = stores.audit.page
        assert page(app=None, before_seq=None, limit=2) == [records[3], records[2]]
        assert page(app=None, before_seq=3, limit=9) == [records[1], records[0]]
        assert page(app="demo", before_seq=None, limit=9) == [records[3], records[0]]


def test_a_page_may_be_of_one_subject(database: Database) -> None:
    with database.transaction() as stores:
        records = [append(stores, subject=subject) for subject in ("ro_1", "ro_2", "ro_1")]

    with database.reading() as stores:
        page = stores.audit.page
        assert page(app="demo", subject="ro_1", before_seq=None, limit=9) == [
            records[2],
            records[0],
        ]
        assert page(app="demo", subject="ro_1", before_seq=3, limit=9) == [records[0]]
        assert page(app="other", subject="ro_1", before_seq=None, limit=9) == []


def test_the_chain_is_checked_part_by_part(database: Database) -> None:
    with database.transaction() as stores:
        records = [append(stores) for _ in range(3)]

    with database.reading() as stores:
        first = stores.audit.verified(Link(), 2)
        assert first == Link(seq=2, hash=records[1].hash)
        assert stores.audit.verified(first, 2) == Link(seq=3, hash=records[2].hash)
        assert stores.audit.verified(Link(seq=3, hash=records[2].hash), 2).seq == 3
        with pytest.raises(ChangedError) as refused:
            stores.audit.verified(Link(seq=1, hash="f" * 64), 2)
    assert refused.value.key == "2"


def test_an_instant_in_another_time_zone_is_the_same_record(database: Database) -> None:
    with database.transaction() as stores:
        append(stores, at=NOW.astimezone(timezone(timedelta(hours=2))))

    with database.reading() as stores:
        assert stores.audit.verify() == 1


def test_both_kinds_of_stores_agree_on_the_hash(sql: SqlDatabase) -> None:
    with sql.transaction() as stores, FakeDatabase().transaction() as fakes:
        assert append(stores, after={"b": 1, "a": "ß"}) == append(fakes, after={"b": 1, "a": "ß"})


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_or_remove_a_record(
    sql: SqlDatabase, url: str, statement: str
) -> None:
    with sql.transaction() as stores:
        append(stores)
    engine = make_engine(url)

    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)

    engine.dispose()


def without_triggers(url: str, statement: str) -> None:
    """Do what somebody can do who owns the database."""
    engine = make_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER audit_no_update")
            connection.exec_driver_sql("DROP TRIGGER audit_no_delete")
            connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
            connection.exec_driver_sql(statement)
            # The tests after this one use the same tables.
            connection.exec_driver_sql("ALTER TABLE audit ENABLE TRIGGER audit_append_only")
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET reason = 'x' WHERE seq = 2", "2"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", "1"),
        ("UPDATE audit SET app = NULL WHERE seq = 3", "3"),
        ("""UPDATE audit SET after = '{"n":2}' WHERE seq = 3""", "3"),
        ("UPDATE audit SET seq = 9 WHERE seq = 3", "9"),
        ("DELETE FROM audit WHERE seq = 2", "3"),
        ("DELETE FROM audit WHERE seq = 1", "2"),
    ],
)
def test_a_record_changed_or_removed_all_the_same_is_found(
    sql: SqlDatabase, url: str, statement: str, broken: str
) -> None:
    with sql.transaction() as stores:
        for _ in range(3):
            append(stores, after={"n": 1})
    without_triggers(url, statement)

    with sql.reading() as stores, pytest.raises(ChangedError) as caught:
        stores.audit.verify()

    assert (caught.value.kind, caught.value.key) == ("audit record", broken)


@given(st.sampled_from(["actor", "action", "app", "subject", "reason", "previous_hash"]), st.text())
def test_every_field_counts_in_the_hash(field: str, value: str) -> None:
    record: dict[str, Any] = {
        "seq": 1,
        "at": NOW,
        "actor": "ada",
        "action": "a",
        "app": None,
        "subject": "s",
        "reason": "",
        "before": {},
        "after": {},
        "previous_hash": GENESIS,
    }
    changed = {**record, field: value}

    assert (chain_hash(changed) == chain_hash(record)) == (changed == record)
