"""Contract of crash_ports.Sessions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.store.values import NOW, ROLLOUT
from update_server.service.ports import Database
from update_server.service.ports.crashes import STATUSES, Cell, SessionCount, SessionState, Tally

DAY = timedelta(days=1)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)
CANDIDATE = Cell(rollout=ROLLOUT, ring="1%", arm="candidate")


def a_state(status: str = "ok", **changes: Any) -> SessionState:
    state = SessionState(
        app="demo",
        key=b"s1",
        version="2.1.0",
        report_key=b"1",
        source="launch",
        status=status,
        started_at=NOW,
        received_at=NOW,
        cell=CANDIDATE,
    )
    return replace(state, **changes)


def a_count(status: str = "ok", **changes: Any) -> SessionCount:
    count = SessionCount(
        app="demo",
        version="2.1.0",
        cell=CANDIDATE,
        source="launch",
        status=status,
        hour=HOUR,
        sessions=1,
    )
    return replace(count, **changes)


def note(database: Database, *states: SessionState) -> Sequence[SessionState | None]:
    with database.transaction() as stores:
        return stores.sessions.note(states)


def hours(database: Database, app: str = "demo") -> Sequence[SessionCount]:
    with database.reading() as stores:
        return stores.sessions.hours(app)


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize("first", STATUSES)
@pytest.mark.parametrize("second", STATUSES)
def test_of_two_states_the_higher_one_is_true(
    database: Database, first: str, second: str, *, in_one_batch: bool
) -> None:
    states = [a_state(first), a_state(second)]
    for batch in [states] if in_one_batch else [[state] for state in states]:
        note(database, *batch)

    assert hours(database) == [a_count(max(first, second, key=STATUSES.index))]


def test_the_same_state_counts_once_however_often_it_is_told(database: Database) -> None:
    note(database, a_state("exited"), a_state("exited"))
    note(database, a_state("exited", received_at=NOW + DAY))
    note(database)

    assert hours(database) == [a_count("exited")]


def test_the_first_version_stays(database: Database) -> None:
    changed = a_state("crashed", version="2.2.0", report_key=b"2", cell=Cell())

    assert note(database, a_state()) == [a_state()]
    assert note(database, changed, a_state("exited")) == [a_state("crashed")] * 2
    assert hours(database) == [a_count("crashed")]


def test_the_source_that_told_of_it_first_stays(database: Database) -> None:
    noted = note(database, a_state(source="sdk"), a_state("crashed", source="launch"))

    assert noted == [a_state(source="sdk"), a_state("crashed", source="sdk")]
    assert note(database, a_state("exited")) == [a_state("crashed", source="sdk")]
    assert hours(database) == [a_count("crashed", source="sdk")]


def test_sessions_are_counted_by_who_told_of_them(database: Database) -> None:
    note(database, a_state("exited"), a_state("exited", key=b"s2", source="sdk"))
    with database.transaction() as stores:
        stores.sessions.add([a_count("exited", source="sdk", sessions=2)])

    assert hours(database) == [a_count("exited"), a_count("exited", source="sdk", sessions=3)]


def test_sessions_are_counted_in_the_hour_in_which_they_started(database: Database) -> None:
    note(database, a_state(started_at=NOW + DAY), a_state(key=b"s2"), a_state(app="other"))
    note(database, a_state("exited"))

    assert hours(database) == [a_count("exited"), a_count()]
    assert hours(database, "other") == [a_count(app="other")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_states_means_nothing(database: Database, order: tuple[int, ...]) -> None:
    states = [
        a_state("ok"),
        a_state("crashed", started_at=NOW - DAY, received_at=NOW + DAY),
        a_state("exited", started_at=NOW + DAY),
    ]
    for number in order:
        note(database, states[number])

    assert hours(database) == [a_count("crashed", hour=HOUR - DAY)]


def test_a_session_that_is_gone_is_not_begun_anew(database: Database) -> None:
    note(database, a_state("crashed"), a_state(key=b"s2", received_at=NOW + DAY))
    with database.transaction() as stores:
        stores.sessions.expire(sessions_before=NOW + DAY, hours_before=NOW - DAY)

    noted = note(
        database, a_state("exited", goes_on=True), a_state("exited", key=b"s2", goes_on=True)
    )

    assert noted == [None, a_state("exited", key=b"s2", received_at=NOW + DAY)]
    assert hours(database) == [a_count("crashed"), a_count("exited")]


def test_counts_without_sessions_are_added(database: Database) -> None:
    with database.transaction() as stores:
        stores.sessions.add([a_count(sessions=3), a_count(sessions=4), a_count("crashed")])
        stores.sessions.add([a_count(sessions=2)])
        stores.sessions.add([])

    assert hours(database) == [a_count("crashed"), a_count(sessions=9)]


def test_a_rollout_has_the_sessions_of_those_who_take_part(database: Database) -> None:
    control = replace(CANDIDATE, arm="control")
    note(
        database,
        a_state(),
        a_state(key=b"s2", started_at=NOW - DAY),
        a_state("crashed", key=b"s3"),
        a_state(key=b"s4", version="2.0.0", cell=control),
        a_state(key=b"s5", cell=Cell()),
        a_state("exited", key=b"s6", source="sdk"),
    )

    with database.reading() as stores:
        found = stores.sessions.of_rollout(ROLLOUT)

    assert found == [
        Tally(
            version="2.0.0",
            ring="1%",
            arm="control",
            crashed_installs=0,
            sessions={"launch": {"ok": 1}},
        ),
        Tally(
            version="2.1.0",
            ring="1%",
            arm="candidate",
            crashed_installs=0,
            sessions={"launch": {"ok": 2, "crashed": 1}, "sdk": {"exited": 1}},
        ),
    ]


def test_the_sessions_of_an_install_go_and_their_counts_stay(database: Database) -> None:
    note(database, a_state(), a_state(key=b"s2", report_key=b"2"))
    with database.transaction() as stores:
        stores.sessions.forget("demo", [b"1", b"9"])
        stores.sessions.forget("other", [b"2"])

    note(database, a_state("exited"), a_state("exited", key=b"s2", report_key=b"2"))

    assert hours(database) == [a_count("exited", sessions=2), a_count()]


def test_what_is_old_goes(database: Database) -> None:
    note(database, a_state(), a_state(key=b"s2", started_at=NOW + DAY, received_at=NOW + DAY))
    with database.transaction() as stores:
        stores.sessions.expire(sessions_before=NOW + DAY, hours_before=HOUR + DAY)

    note(database, a_state("exited", key=b"s2"), a_state("exited"))

    # The second is still known, and has moved; nothing is known of the first.
    assert sum(one.sessions for one in hours(database)) == 2
