"""Contract of study_ports.Histories."""

from math import pi
from typing import Any

import pytest

from tests.store.values import a_contact, a_history
from update_server.service.ports import Database
from update_server.service.ports.studies import History, Window, WindowsOfDay

A, B = b"\x00a", b"b" * 32
FULL = History(
    first_at=1_764_566_400.1,
    check_ins=2**31 - 1,
    early=tuple(1_764_566_400.1 + pi * n for n in range(10)),
    seen=tuple(1_764_999_999.9 + pi * n for n in range(11)),
    crashes=tuple(1_765_000_000.0 + n / 3 for n in range(10)),
    taken_first="ro_7k2m",
    window=Window(began_at=1_764_566_400.1, seconds=86_400.5, stratum=11, returned=True),
)


@pytest.mark.parametrize("wanted", [History(first_at=0.1), FULL])
def test_a_history_comes_back_as_it_went(database: Database, wanted: History) -> None:
    with database.transaction() as stores:
        stores.histories.put("demo", {A: wanted})

    with database.reading() as stores:
        assert stores.histories.get("demo", iter([A, B, A])) == {A: wanted}


def test_an_install_has_a_history_with_each_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.histories.put("demo", {A: a_history(check_ins=1), B: a_history()})
        stores.histories.put("other", {A: a_history(check_ins=2)})
        stores.histories.put("demo", {})

    with database.reading() as stores:
        assert stores.histories.get("demo", [A]) == {A: a_history(check_ins=1)}
        assert stores.histories.get("other", [A, B]) == {A: a_history(check_ins=2)}


def test_a_history_that_is_put_again_is_the_new_one(database: Database) -> None:
    with database.transaction() as stores:
        stores.histories.put("demo", {A: FULL})
        stores.histories.put("demo", {A: a_history()})

        assert stores.histories.get("demo", [A]) == {A: a_history()}


def test_a_sample_is_of_the_lowest_keys_of_the_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.histories.put("demo", {B: a_history(check_ins=1), A: FULL})
        stores.histories.put("other", {A: a_history(check_ins=2)})

    with database.reading() as stores:
        assert list(stores.histories.sample("demo", 1)) == [FULL]
        assert list(stores.histories.sample("demo", 9)) == [FULL, a_history(check_ins=1)]
        assert list(stores.histories.sample("third", 9)) == []


def test_a_sample_may_be_of_those_last_seen_on_a_channel(database: Database) -> None:
    elsewhere = [a_contact("1"), a_contact("2", channel="beta"), a_contact("3", app="other")]
    with database.transaction() as stores:
        keys = [contact.install_key for contact in elsewhere]
        stores.histories.put("demo", {key: a_history(check_ins=int(key)) for key in (*keys, b"4")})
        stores.telemetry.absorb(elsewhere, [])

    with database.reading() as stores:
        assert list(stores.histories.sample("demo", 9, channel="stable")) == [
            a_history(check_ins=1)
        ]
        assert list(stores.histories.sample("demo", 0, channel="stable")) == []
        assert len(stores.histories.sample("demo", 9)) == 4


def test_a_forgotten_install_has_no_history_with_the_app(database: Database) -> None:
    with database.transaction() as stores:
        for app in ("demo", "other"):
            stores.histories.put(app, {A: a_history(), B: a_history()})

        stores.histories.forget_install("demo", A)

        assert stores.histories.get("demo", [A, B]) == {B: a_history()}
        assert stores.histories.get("other", [A]) == {A: a_history()}


def test_histories_expire_when_nothing_was_heard_for_long(database: Database) -> None:
    kept = {
        b"new": History(first_at=5.0),
        b"seen": a_history(first_at=1.0, seen=(2.0, 5.0)),
        b"crashed": a_history(first_at=1.0, crashes=(5.0,)),
    }
    gone = {b"old": History(first_at=4.9), b"silent": a_history(first_at=1.0, seen=(4.9,))}
    with database.transaction() as stores:
        stores.histories.put("demo", {**kept, **gone})

        stores.histories.expire(heard_before=5.0)

        assert stores.histories.get("demo", [*kept, *gone]) == kept


@pytest.mark.no_cover
def test_more_installs_than_a_statement_holds_are_found(database: Database) -> None:
    installs = [number.to_bytes(4) for number in range(40_000)]
    ends = dict.fromkeys((installs[0], installs[-1]), a_history())
    with database.transaction() as stores:
        stores.histories.put("demo", ends)

        assert stores.histories.get("demo", installs) == ends


def a_day(day: int, stratum: int = 0, **fields: Any) -> WindowsOfDay:
    return WindowsOfDay(**{"channel": "stable", "day": day, "stratum": stratum, **fields})


def test_windows_add_up_by_stratum_over_the_days_asked_for(database: Database) -> None:
    with database.transaction() as stores:
        stores.histories.add_windows("demo", [a_day(9, windows=100)])
        stores.histories.add_windows("demo", [a_day(10, windows=2), a_day(10, returned=1)])
        stores.histories.add_windows("demo", [a_day(10, windows=1), a_day(11, 8, windows=2**40)])
        stores.histories.add_windows("demo", [])
        stores.histories.add_windows("demo", [a_day(11, channel="beta", windows=7)])
        stores.histories.add_windows("other", [a_day(11, windows=7)])
        stores.histories.add_windows("demo", [a_day(12, windows=100)])

    with database.reading() as stores:
        found = stores.histories.windows("demo", "stable", since=10, until=12)
        assert list(found) == [(0, 3, 1), (8, 2**40, 0)]
        assert list(stores.histories.windows("demo", "none", since=0, until=99)) == []


def test_windows_expire_with_the_histories(database: Database) -> None:
    with database.transaction() as stores:
        stores.histories.add_windows("demo", [a_day(9, windows=1), a_day(10, windows=1)])

        stores.histories.expire(heard_before=10.5 * 86_400)

        assert list(stores.histories.windows("demo", "stable", since=0, until=99)) == [(0, 1, 0)]
