"""Contract of ports.series.Series."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from rollout.model import RolloutId
from tests.fakes import FakeClock
from tests.store.conftest import SQL
from tests.store.crash_values import CONTROL, a_report
from tests.store.values import NOW, ROLLOUT, a_contact, a_rollout, a_study, an_app
from update_server.evidence.settings import STANDARD
from update_server.evidence.state import State
from update_server.service.ports import Database, ExistsError
from update_server.service.ports.series import FirstCrashes, StudyPoint, VersionDay
from update_server.service.studies.codec import encode_settings, encode_state
from update_server.service.studies.series import EvidenceSeries
from update_server.store import SqlDatabase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TODAY = (NOW - EPOCH).days
OTHER = RolloutId("ro_other")
HOUR = NOW.replace(minute=0, second=0, microsecond=0)


def a_point(number: int, *, marked: bool = False) -> StudyPoint:
    at = NOW + timedelta(minutes=number)
    return StudyPoint(number=number, at=at, marked=marked, body={"log_e": {"crash": 0.1}})


def a_day(version: str, installs: int, day: int = TODAY, app: str = "demo") -> VersionDay:
    return VersionDay(app=app, day=day, channel="stable", version=version, installs=installs)


def test_points_come_in_order_and_each_study_has_its_own(database: Database) -> None:
    with database.transaction() as stores:
        for number in (2, 1):
            stores.series.add_point(ROLLOUT, a_point(number, marked=number == 1))
        stores.series.add_point(OTHER, a_point(1))

    with database.reading() as stores:
        assert list(stores.series.points(ROLLOUT)) == [a_point(1, marked=True), a_point(2)]
        assert list(stores.series.points(OTHER)) == [a_point(1)]


def test_a_point_that_is_there_is_not_written_over(database: Database) -> None:
    with database.transaction() as stores:
        stores.series.add_point(ROLLOUT, a_point(1))

    with database.transaction() as stores, pytest.raises(ExistsError):
        stores.series.add_point(ROLLOUT, a_point(1))


def test_dropped_points_are_gone(database: Database) -> None:
    with database.transaction() as stores:
        for number in range(1, 6):
            stores.series.add_point(ROLLOUT, a_point(number))
        stores.series.add_point(OTHER, a_point(2))
        stores.series.drop_points(ROLLOUT, [2, 4, 9])

    with database.reading() as stores:
        assert [point.number for point in stores.series.points(ROLLOUT)] == [1, 3, 5]
        assert len(stores.series.points(OTHER)) == 1


def test_a_day_counts_the_installs_whose_last_check_in_was_in_it(database: Database) -> None:
    midnight = EPOCH + timedelta(days=TODAY)
    with database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact(install_key=b"1", at=midnight, version="1.0"),
                a_contact(install_key=b"2", at=midnight + timedelta(hours=23), version="1.0"),
                a_contact(install_key=b"3", at=midnight + timedelta(hours=1), version="2.0"),
                a_contact(install_key=b"4", at=midnight - timedelta(seconds=1), version="2.0"),
                a_contact(install_key=b"5", at=midnight + timedelta(days=1), version="2.0"),
            ],
            [],
        )

    with database.reading() as stores:
        counted, last = stores.series.count_day("demo", TODAY, after=None, most=9)
        assert list(counted) == [a_day("1.0", 2), a_day("2.0", 1)]
        assert last is None
        assert stores.series.count_day("other", TODAY, after=None, most=9) == ([], None)


def test_a_day_is_counted_slice_by_slice(database: Database) -> None:
    with database.transaction() as stores:
        contacts = [a_contact(install_key=bytes([n]), at=NOW, version="1.0") for n in range(5)]
        stores.telemetry.absorb(contacts, [])

    with database.reading() as stores:
        found, after = [], None
        while True:
            counted, after = stores.series.count_day("demo", TODAY, after=after, most=2)
            found += [(one.installs, after) for one in counted]
            if after is None:
                break

    assert found == [(2, b"\x01"), (2, b"\x03"), (1, None)]


def test_a_day_is_stored_in_place_of_what_was_known_of_it(database: Database) -> None:
    with database.transaction() as stores:
        stores.series.put_day(TODAY - 1, [a_day("1.0", 7, TODAY - 1)])
        stores.series.put_day(TODAY, [a_day("1.0", 5), a_day("9.9", 1, app="other")])
        stores.series.put_day(TODAY, [a_day("2.0", 3), a_day("1.0", 4)])

    with database.reading() as stores:
        days = stores.series.days("demo", TODAY - 1)
        assert list(days) == [a_day("1.0", 7, TODAY - 1), a_day("1.0", 4), a_day("2.0", 3)]
        assert list(stores.series.days("demo", TODAY)) == [a_day("1.0", 4), a_day("2.0", 3)]
        assert not stores.series.days("other", 0)


def test_old_days_are_forgotten(database: Database) -> None:
    with database.transaction() as stores:
        stores.series.put_day(TODAY - 1, [a_day("1.0", 7, TODAY - 1)])
        stores.series.put_day(TODAY, [])
        stores.series.put_day(TODAY, [a_day("1.0", 5)])
        stores.series.expire_days(TODAY)

    with database.reading() as stores:
        assert list(stores.series.days("demo", 0)) == [a_day("1.0", 5)]


def test_installs_count_in_the_hour_of_their_first_crash(database: Database) -> None:
    with database.transaction() as stores:
        stores.crashes.note(
            [
                a_report("1", at=HOUR),
                a_report("1", at=HOUR + timedelta(hours=3)),
                a_report("2", at=HOUR + timedelta(minutes=59)),
                a_report("3", at=HOUR + timedelta(hours=1)),
                a_report("4", at=HOUR, cell=CONTROL),
                a_report("5", at=HOUR, signature="bb"),
                a_report("6", at=HOUR, signature="cc"),
                a_report("7", at=HOUR, handled=True),
                a_report("8", at=HOUR - timedelta(seconds=1)),
                a_report("", at=HOUR),
            ]
        )

    with database.reading() as stores:
        found = stores.series.first_crashes("demo", ["aa", "bb"], HOUR, ROLLOUT)
        assert list(found) == [
            FirstCrashes(signature="aa", at=HOUR, arm="candidate", installs=2),
            FirstCrashes(signature="aa", at=HOUR, arm="control", installs=1),
            FirstCrashes(signature="aa", at=HOUR + timedelta(hours=1), arm="candidate", installs=1),
            FirstCrashes(signature="bb", at=HOUR, arm="candidate", installs=1),
        ]
        assert list(stores.series.first_crashes("demo", ["aa", "bb"], HOUR)) == list(found)
        assert not stores.series.first_crashes("demo", ["aa"], HOUR, OTHER)
        assert not stores.series.first_crashes("other", ["aa"], HOUR)


def test_an_earlier_crash_that_is_told_later_and_a_wish_to_be_forgotten_change_the_hour(
    database: Database,
) -> None:
    before = HOUR - timedelta(hours=1)
    with database.transaction() as stores:
        stores.crashes.note([a_report("1", at=HOUR), a_report("2", at=HOUR)])
    with database.transaction() as stores:
        stores.crashes.note([a_report("1", at=before)])
        stores.crashes.forget("demo", [b"2"])

    with database.reading() as stores:
        assert list(stores.series.first_crashes("demo", ["aa"], before)) == [
            FirstCrashes(signature="aa", at=before, arm="candidate", installs=1)
        ]


@pytest.mark.parametrize("url", SQL[:1], indirect=True)
def test_a_study_over_time_takes_as_many_statements_with_1_point_as_with_200(
    sql: SqlDatabase,
) -> None:
    signatures = {f"signature:{n}": 0.1 for n in range(5)}
    study = a_study(state=encode_state(State()), settings=encode_settings(STANDARD))
    series = EvidenceSeries(sql, FakeClock(NOW))
    with sql.transaction() as stores:
        stores.apps.add(an_app())
        stores.rollouts.add(a_rollout(ROLLOUT))
        stores.studies.add(study)
        stores.series.add_point(ROLLOUT, a_point(1))
    seen: list[str] = []
    event.listen(sql._engine, "before_cursor_execute", lambda *told: seen.append(told[2]))

    series.of_rollout("demo", ROLLOUT)
    few = len(seen)
    with sql.transaction() as stores:
        for number in range(2, 201):
            stores.series.add_point(ROLLOUT, replace(a_point(number), body={"log_e": signatures}))
    seen.clear()
    view = series.of_rollout("demo", ROLLOUT)

    assert len(view.points) == 200
    assert len(view.crashes) == 5
    assert len(seen) <= few + 1  # none of crashes where no signature is followed
    assert len(seen) <= 6
