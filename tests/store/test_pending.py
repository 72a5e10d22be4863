"""Contract of pending_ports.PendingVerbs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.values import HOUR, NOW, a_pending, an_app
from update_server.service.ports import Database, NotFoundError, ReadOnlyError
from update_server.service.ports.pending import Approval


def test_what_waits_is_listed_oldest_first(database: Database) -> None:
    newer, older = a_pending("pe_1"), a_pending("pe_2", asked_at=NOW - HOUR)
    tied = a_pending("pe_0")
    with database.transaction() as stores:
        for each in (newer, older, tied):
            stores.pending.put(each)

    with database.reading() as stores:
        assert stores.pending.of_app("demo") == [older, tied, newer]
        assert stores.pending.get("demo", "pe_1") == newer


def test_a_second_approval_takes_the_place_of_the_first(database: Database) -> None:
    second = Approval(by="ben (tk_2)", token_id="tk_2", tickets=("srt_another",))
    with database.transaction() as stores:
        stores.pending.put(a_pending(needs=3))
        both = replace(a_pending(needs=3), approvals=(*a_pending().approvals, second))
        stores.pending.put(both)

    with database.reading() as stores:
        assert stores.pending.of_app("demo") == [both]


def test_what_lifts_a_hold_names_it(database: Database) -> None:
    with database.transaction() as stores:
        stores.pending.put(a_pending(hold="h_1"))

    with database.reading() as stores:
        assert stores.pending.get("demo", "pe_1").hold == "h_1"


def test_what_is_removed_is_gone(database: Database) -> None:
    with database.transaction() as stores:
        stores.pending.put(a_pending())
        stores.pending.remove("demo", "pe_1")

    with database.transaction() as stores:
        assert stores.pending.of_app("demo") == []
        with pytest.raises(NotFoundError):
            stores.pending.get("demo", "pe_1")
        with pytest.raises(NotFoundError) as missing:
            stores.pending.remove("demo", "pe_1")
    assert (missing.value.kind, missing.value.key) == ("pending verb", "pe_1")


def test_what_waits_in_another_app_is_neither_seen_nor_removed(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.pending.put(a_pending(app="other"))

    with database.transaction() as stores:
        assert stores.pending.of_app("demo") == []
        with pytest.raises(NotFoundError):
            stores.pending.get("demo", "pe_1")
        with pytest.raises(NotFoundError):
            stores.pending.remove("demo", "pe_1")
        assert stores.pending.of_app("other") == [a_pending(app="other")]


def test_nothing_waits_for_an_app_that_is_not_there(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.pending.put(a_pending(app="none"))


def test_reading_puts_and_removes_nothing(database: Database) -> None:
    with database.transaction() as stores:
        stores.pending.put(a_pending())

    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.pending.put(a_pending("pe_2"))
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.pending.remove("demo", "pe_1")


def test_what_waits_in_all_apps_is_listed_oldest_first(database: Database) -> None:
    theirs, ours = a_pending("pe_1", app="other"), a_pending("pe_2", asked_at=NOW - HOUR)
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        for each in (theirs, ours):
            stores.pending.put(each)

    with database.reading() as stores:
        assert stores.pending.all() == [ours, theirs]
