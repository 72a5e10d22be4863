"""Contract of arrival_ports.ArrivalStore."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.store.values import NOW
from update_server.service.ports import Database, ReadOnlyError
from update_server.service.ports.arrivals import Arrived

MINUTE = NOW.replace(second=0, microsecond=0)
A_MINUTE = timedelta(minutes=1)


def arrived(**fields: Any) -> Arrived:
    known: dict[str, Any] = {"app": "demo", "minute": MINUTE, "kind": "crash", "events": 1}
    return Arrived(**{**known, **fields})


def since(database: Database, at: Any = MINUTE) -> list[Arrived]:
    with database.reading() as stores:
        return list(stores.arrivals.since("demo", at))


def test_nothing_arrived_at_first(database: Database) -> None:
    with database.transaction() as stores:
        stores.arrivals.add([])
    assert since(database) == []


def test_what_is_added_is_summed_and_the_greatest_delay_is_kept(database: Database) -> None:
    with database.transaction() as stores:
        stores.arrivals.add([arrived(late_seconds=1.25), arrived(events=4, late_seconds=0.5)])
    with database.transaction() as stores:
        stores.arrivals.add([arrived(events=2, late_seconds=0.75)])
    with database.transaction() as stores:
        stores.arrivals.add([arrived(events=1, late_seconds=61.5)])

    assert since(database) == [arrived(events=8, late_seconds=61.5)]


def test_minutes_kinds_and_codes_are_kept_apart_and_in_order(database: Database) -> None:
    wanted = [
        arrived(kind="check_in"),
        arrived(),
        arrived(code="too_old"),
        arrived(minute=MINUTE + A_MINUTE),
    ]
    with database.transaction() as stores:
        stores.arrivals.add([*reversed(wanted), arrived(app="other")])

    assert since(database) == wanted
    assert since(database, MINUTE + A_MINUTE) == wanted[-1:]


def test_minutes_of_one_step_come_as_one(database: Database) -> None:
    quarter = MINUTE.replace(minute=MINUTE.minute // 15 * 15)
    minutes = [quarter + n * A_MINUTE for n in (0, 14, 15)]
    with database.transaction() as stores:
        stores.arrivals.add(
            [
                arrived(minute=at, late_seconds=n, last_at=at + A_MINUTE / 2)
                for n, at in enumerate(minutes)
            ]
        )

    with database.reading() as stores:
        found = stores.arrivals.since("demo", quarter, 15 * A_MINUTE)

    assert found == [
        arrived(minute=quarter, events=2, late_seconds=1, last_at=minutes[1] + A_MINUTE / 2),
        arrived(minute=minutes[2], late_seconds=2, last_at=minutes[2] + A_MINUTE / 2),
    ]


def test_what_is_too_old_is_cleared_away(database: Database) -> None:
    with database.transaction() as stores:
        stores.arrivals.add([arrived(), arrived(minute=MINUTE + A_MINUTE)])
        stores.arrivals.expire(MINUTE + A_MINUTE)

    assert since(database) == [arrived(minute=MINUTE + A_MINUTE)]


def test_nothing_is_added_while_reading(database: Database) -> None:
    with pytest.raises(ReadOnlyError), database.reading() as stores:
        stores.arrivals.add([arrived()])


def test_the_last_receipt_of_a_minute_is_kept_whatever_comes_after_it(database: Database) -> None:
    for second in (None, 5, None, 9, 7):
        last_at = None if second is None else MINUTE + timedelta(seconds=second)
        with database.transaction() as stores:
            stores.arrivals.add([arrived(last_at=last_at), arrived()])

    assert since(database) == [arrived(events=10, last_at=MINUTE + timedelta(seconds=9))]
