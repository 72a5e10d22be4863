from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import fsum
from typing import Any

import pytest

from rollout.model import RolloutState, Step
from tests.admin_world import APP, STABLE, World
from tests.service.clinic import FLEET, OPEN, Clinic, key_of
from tests.store.values import a_contact
from update_server.evidence.alarm import HOURS_OF_WEEK
from update_server.evidence.facts import Past
from update_server.evidence.settings import Settings
from update_server.service.ports.studies import History, WindowsOfDay
from update_server.service.studies.codec import decode_fact
from update_server.service.studies.past import CRASH_SECONDS, crashes_by_hour
from update_server.service.studies.stretch import Stretch

HOUR, DAY = 3_600.0, 86_400.0
UNTIL = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # a Thursday, so hour 0 of the week
LONG_AGO = UNTIL - 100 * DAY
OURS = Stretch(origin=UNTIL)
EVERYBODY = (Step(ring="all", exposure_bp=10_000), Step(ring="all", exposure_bp=10_000))


def a_history(*crashes: float, first_at: float = LONG_AGO, last_at: float = UNTIL) -> History:
    return History(first_at=first_at, check_ins=9, seen=(last_at,), crashes=crashes)


def crashes_of(*known: History) -> dict[int, int]:
    crashes, _ = crashes_by_hour(known, UNTIL, OURS)
    return {hour: n for hour, n in enumerate(crashes) if n}


def hours_of(*known: History) -> tuple[float, ...]:
    return crashes_by_hour(known, UNTIL, OURS)[1]


# --- crashes --------------------------------------------------------------------------------


def test_a_crash_belongs_to_its_hour_of_the_week() -> None:
    assert crashes_of(a_history(UNTIL - 2.5 * HOUR), a_history(UNTIL - 7 * DAY + 60)) == {
        HOURS_OF_WEEK - 3: 1,
        0: 1,
    }


def test_an_install_counts_once_a_day() -> None:
    day = UNTIL - 3 * DAY

    assert crashes_of(a_history(day + 60, day + 5 * HOUR, day + 25 * HOUR)) == {
        4 * 24: 1,
        5 * 24 + 1: 1,
    }


def test_what_was_too_long_ago_or_is_dated_after_counts_not() -> None:
    assert crashes_of(a_history(UNTIL - CRASH_SECONDS - 1, UNTIL + 60)) == {}


# --- hours ----------------------------------------------------------------------------------


def test_an_install_is_watched_for_four_weeks() -> None:
    assert hours_of(a_history()) == (4.0,) * HOURS_OF_WEEK
    assert hours_of(a_history(), a_history()) == (8.0,) * HOURS_OF_WEEK


def test_it_is_watched_since_it_is_known_until_its_last_sign() -> None:
    hours = hours_of(a_history(first_at=UNTIL - 3.5 * HOUR, last_at=UNTIL - 0.25 * HOUR))

    assert hours[-4:] == (0.5, 1.0, 1.0, 0.75)
    assert fsum(hours) == 3.25


def test_a_part_of_an_hour_is_a_part() -> None:
    hours = hours_of(a_history(first_at=UNTIL - 0.75 * HOUR, last_at=UNTIL - 0.5 * HOUR))

    assert fsum(hours) == hours[-1] == 0.25


def test_where_earlier_crashes_were_forgotten_it_is_watched_since_the_first_that_is_known() -> None:
    crashes = tuple(UNTIL - (10 - n) * HOUR for n in range(10))

    assert fsum(hours_of(a_history(*crashes))) == 10
    assert fsum(hours_of(a_history(*crashes[1:]))) == 4 * HOURS_OF_WEEK


def test_one_that_was_not_heard_of_for_four_weeks_says_nothing() -> None:
    assert fsum(hours_of(a_history(last_at=UNTIL - CRASH_SECONDS - 1))) == 0
    assert fsum(hours_of()) == 0


def test_the_judges_clock_counts() -> None:
    fast = Stretch(origin=UNTIL, speed=60)
    known = a_history(UNTIL - 90, first_at=UNTIL - 120)  # one and a half hours, and two

    crashes, hours = crashes_by_hour([known], UNTIL, fast)

    assert (crashes[-2], fsum(hours)) == (1, 2)


# --- the whole way --------------------------------------------------------------------------


def a_year_old_world(world: World, terms: Settings = OPEN) -> Clinic:
    """Return a rollout to everybody in a fleet of 400 of which a tenth crashes each day."""
    world.change_policy(ramp=EVERYBODY)
    now = world.clock.now().timestamp()
    with world.database.transaction() as stores:
        for number in FLEET:
            crashed = tuple(sorted(now - (number % 10 + 10 * n) * DAY for n in range(3)))
            known = History(first_at=now - 100 * DAY, check_ins=9, seen=(now,), crashes=crashed)
            stores.histories.put(APP, {key_of(number): known})
            stores.telemetry.absorb([replace(a_contact(), app=APP, install_key=key_of(number))], [])
    return Clinic(world=world, rollout=world.start("2.1.0", terms=terms))


@pytest.mark.parametrize(("crashing", "state"), [(2, "active"), (60, "paused")])
def test_where_nobody_is_held_back_crashes_are_held_against_the_past(
    released: World, crashing: int, state: str
) -> None:
    clinic = a_year_old_world(released)
    clinic.check_in(FLEET)
    clinic.round()
    for hour in range(4):
        clinic.crash(range(crashing * hour // 4, crashing * (hour + 1) // 4))
        clinic.world.advance(HOUR + 10)
        clinic.check_in(FLEET)
        clinic.round()

    assert clinic.state is RolloutState(state)
    if state == "paused":
        paused = clinic.decisions[-1]
        assert paused.record["cause_metric"] == "history"
        assert "to be expected from the weeks before it" in clinic.now.reason
    else:
        assert set(clinic.verdicts) <= {"no_control", "no_contacts"}
        assert clinic.decisions[-1].record["channel"] == STABLE


@pytest.mark.parametrize(("speed", "windows"), [(1.0, ((0, 40, 15),)), (60.0, ())])
def test_a_study_is_told_how_silent_installs_were(
    released: World, speed: float, windows: tuple[tuple[int, int, int], ...]
) -> None:
    today = int(released.clock.now().timestamp() // DAY)
    days: dict[str, Any] = {"channel": STABLE, "stratum": 0, "windows": 20}
    counted = [
        WindowsOfDay(day=today - ago, returned=returned, **days)
        for ago, returned in ((15, 0), (14, 20), (1, 5), (0, 0))
    ]
    with released.database.transaction() as stores:
        stores.histories.add_windows(APP, counted)

    rollout = released.start("2.1.0", terms=replace(OPEN, speed=speed))

    with released.database.reading() as stores:
        _, (_, told) = stores.studies.facts(rollout.id, 9)
    past = decode_fact(told)
    assert isinstance(past, Past)
    assert past.windows == windows
