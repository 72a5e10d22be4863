from __future__ import annotations

from datetime import timedelta

import pytest

from tests.admin_world import APP, World
from tests.fakes import FakeClock, FakeDatabase
from tests.service.clinic import key_of
from tests.store.values import a_contact
from update_server.service.ports import NotFoundError
from update_server.service.ports.series import VersionDay
from update_server.service.rollouts import version_days
from update_server.service.rollouts.version_days import (
    EVERY_SECONDS,
    FEW,
    KEPT_DAYS,
    MOST_VERSIONS,
    DayCounter,
    VersionDays,
    VersionHistory,
    day_of,
    expire,
)


def check_in(world: World, version: str, numbers: range) -> None:
    with world.database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact(
                    app=APP, install_key=key_of(n), at=world.clock.now(), version=version
                )
                for n in numbers
            ],
            [],
        )  # fmt: skip


def count(world: World) -> None:
    counter = DayCounter(world.database, world.clock)
    while counter.step():
        pass


def look(world: World, days: int = 60) -> VersionDays:
    return VersionHistory(world.database, world.clock).look(APP, days)


def put(world: World, ago: int, version: str, installs: int) -> None:
    day = day_of(world.clock.now()) - ago
    with world.database.transaction() as stores:
        before = [one for one in stores.series.days(APP, day) if one.day == day]
        one = VersionDay(app=APP, day=day, channel="stable", version=version, installs=installs)
        stores.series.put_day(day, [*before, one])


def test_installs_are_counted_where_they_were_last_on_that_day(released: World) -> None:
    check_in(released, "1.0.0", range(5))
    count(released)
    released.advance(60)
    check_in(released, "2.0.0", range(3))

    count(released)

    assert [(one.version, one.installs) for one in look(released).counts] == [
        ("1.0.0", 2),
        ("2.0.0", 3),
    ]


def test_a_day_that_is_over_stays_as_it_was_counted(released: World) -> None:
    check_in(released, "1.0.0", range(5))
    count(released)
    released.advance(86_400)
    check_in(released, "2.0.0", range(5))

    count(released)

    view = look(released)
    assert [(view.today - one.day, one.version, one.installs) for one in view.counts] == [
        (1, "1.0.0", 5),
        (0, "2.0.0", 5),
    ]
    assert [one.version for one in look(released, days=1).counts] == ["2.0.0"]


def test_of_very_many_versions_the_rare_ones_are_counted_together(released: World) -> None:
    for n in range(MOST_VERSIONS + 3):
        check_in(released, f"1.0.{n}", range(10 * n, 10 * n + (1 if n < 3 else 2)))

    count(released)

    counts = look(released).counts
    assert len(counts) == MOST_VERSIONS + 1
    assert {one.version: one.installs for one in counts}[""] == 3


def test_how_fast_a_version_is_left_is_told_by_days_that_are_over(released: World) -> None:
    for ago, installs in ((7, 800), (4, 400), (1, 200), (0, 3)):
        put(released, ago, "1.0.0", installs)
    for ago, installs in ((7, 10), (1, 900)):
        put(released, ago, "2.0.0", installs)
    put(released, 1, "2.1.0", 5)

    left, grows = look(released).drains

    assert (left.version, left.first, left.last) == ("1.0.0", 800, 200)
    assert left.halves_in_days == pytest.approx(3)
    assert (grows.version, grows.halves_in_days) == ("2.0.0", None)


def test_of_few_installs_no_speed_is_told(released: World) -> None:
    put(released, 3, "1.0.0", FEW - 1)
    put(released, 1, "1.0.0", 1)

    [drain] = look(released).drains

    assert drain.halves_in_days is None


def test_days_that_are_long_over_are_forgotten(released: World) -> None:
    put(released, KEPT_DAYS + 1, "1.0.0", 1)
    put(released, KEPT_DAYS, "2.0.0", 1)

    with released.database.transaction() as stores:
        expire(stores, released.clock.now() + timedelta(hours=1))

    with released.database.reading() as stores:
        assert [one.version for one in stores.series.days(APP, 0)] == ["2.0.0"]


def test_an_app_that_is_not_there_has_no_days(released: World) -> None:
    with pytest.raises(NotFoundError):
        VersionHistory(released.database, released.clock).look("nobody", 1)


def test_a_day_is_counted_every_hour_and_between_other_duties(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_days, "SLICE", 2)
    check_in(released, "1.0.0", range(5))
    counter = DayCounter(released.database, released.clock)

    steps = [counter.step() for _ in range(4)]

    assert steps == [True, True, True, False]
    assert [one.installs for one in look(released).counts] == [5]
    released.advance(EVERY_SECONDS)
    check_in(released, "1.0.0", range(6))
    assert [counter.step() for _ in range(5)] == [True, True, True, True, False]
    assert [one.installs for one in look(released).counts] == [6]


def test_without_an_app_there_is_nothing_to_count() -> None:
    assert not DayCounter(FakeDatabase(), FakeClock()).step()
