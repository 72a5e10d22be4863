"""Contract of ports.Journal: signed states, in order."""

import pytest

from tests.store.values import HOUR, NOW, an_app
from update_server.service.ports import Database, ExistsError, JournalRow, NotFoundError


def test_a_state_is_unpublished_until_it_is_marked(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        first = stores.journal.add("demo", 1, b"\x00one", NOW)
        second = stores.journal.add("other", 2**33, b"two", NOW)

        assert stores.journal.unpublished() == [first, second]
        stores.journal.mark_published(first.id, NOW + HOUR)

        assert stores.journal.unpublished() == [second]
    assert first == JournalRow(
        id=first.id, app="demo", timestamp_version=1, body=b"\x00one", created_at=NOW
    )


def test_the_first_time_of_publication_stays(database: Database) -> None:
    with database.transaction() as stores:
        row = stores.journal.add("demo", 1, b"", NOW)
        stores.journal.mark_published(row.id, NOW)
        stores.journal.mark_published(row.id, NOW + HOUR)

        assert stores.journal.newest("demo").published_at == NOW


def test_what_is_not_in_the_journal_is_not_marked(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.journal.mark_published(404, NOW)


def test_the_newest_state_is_the_last_added(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(NotFoundError):
            stores.journal.newest("demo")
        stores.journal.add("demo", 5, b"five", NOW)
        newest = stores.journal.add("demo", 6, b"six", NOW)

        assert stores.journal.newest("demo") == newest


def test_a_timestamp_version_is_used_once_in_an_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.journal.add("demo", 5, b"five", NOW)
        stores.journal.add("other", 5, b"five", NOW)

        with pytest.raises(ExistsError):
            stores.journal.add("demo", 5, b"another five", NOW)


def test_a_page_has_the_states_of_an_app_in_order(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        rows = [stores.journal.add("demo", version, b"", NOW) for version in (1, 2, 3)]
        stores.journal.add("other", 1, b"", NOW)

        assert stores.journal.page("demo", after_id=0, limit=2) == rows[:2]
        assert stores.journal.page("demo", after_id=rows[1].id, limit=2) == rows[2:]
