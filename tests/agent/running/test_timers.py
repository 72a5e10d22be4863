from __future__ import annotations

from datetime import timedelta

import pytest

from client_agent.machine.effects import Schedule as ScheduleEffect
from client_agent.machine.values import When
from client_agent.running.timers import Due, Timers
from client_agent.schedule import Schedule
from tests.agent.agent_fakes import START, Dice, FakeClock


class Bench:
    def __init__(self, u: float = 0.0) -> None:
        self.clock = FakeClock()
        self.timers = Timers(self.clock, Dice(fixed=u), Schedule())

    def schedule(self, when: When, *, failures: int = 0, advised: int | None = None) -> None:
        effect = ScheduleEffect(when=when, failures=failures)
        self.timers.schedule(effect, advised=advised, on_trial=False)

    def due_after(self, seconds: float) -> Due:
        self.clock.advance(seconds)
        return self.timers.look()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("when", "failures", "seconds"),
    [
        (When.START, 0, 60),
        (When.SOON, 0, 5),
        (When.SUCCESS, 0, 12_960),
        (When.CLOSE, 0, 3_240),
        (When.FAILURE, 3, 30),
    ],
)
def test_each_case_has_its_time(bench: Bench, when: When, failures: int, seconds: float) -> None:
    bench.schedule(when, failures=failures)

    assert bench.timers.seconds_left() == pytest.approx(seconds)
    assert bench.due_after(seconds - 1) is Due.NO
    assert bench.due_after(1) is Due.YES
    assert bench.due_after(10**6) is Due.NO


def test_the_servers_wish_is_kept_within_bounds(bench: Bench) -> None:
    bench.schedule(When.SUCCESS, advised=1)

    assert bench.timers.seconds_left() == 300


def test_a_day_of_closer_looks_follows_a_change_of_version(bench: Bench) -> None:
    bench.timers.version_changed()
    bench.schedule(When.SUCCESS)
    assert bench.timers.seconds_left() == 810

    bench.clock.advance(24 * 3600)
    bench.schedule(When.SUCCESS)
    assert bench.timers.seconds_left() == 12_960


def test_a_machine_that_slept_past_its_time_waits_a_little_first(bench: Bench) -> None:
    bench.schedule(When.SUCCESS)
    bench.timers.look()
    bench.clock.set_wall(START + timedelta(hours=9))  # the monotonic clock stood still

    assert bench.timers.look() is Due.NO
    assert bench.due_after(5) is Due.WOKE


def test_a_short_sleep_changes_nothing(bench: Bench) -> None:
    bench.schedule(When.SUCCESS)
    bench.timers.look()
    bench.clock.set_wall(START + timedelta(seconds=130))

    assert bench.timers.look() is Due.NO
    assert bench.timers.seconds_left() == 12_960


def test_a_wall_clock_set_forward_a_little_makes_it_due_at_once(bench: Bench) -> None:
    bench.schedule(When.START)
    bench.timers.look()
    bench.clock.set_wall(START + timedelta(seconds=61))

    assert bench.timers.look() is Due.YES


def test_a_wall_clock_set_far_back_does_not_silence_an_agent(bench: Bench) -> None:
    bench.schedule(When.SUCCESS)
    bench.timers.look()
    bench.clock.set_wall(START - timedelta(days=400))

    assert bench.timers.look() is Due.NO
    assert bench.timers.seconds_left() == 60


def test_a_network_that_is_back_brings_a_late_check_in_nearer() -> None:
    bench = Bench(u=0.9)
    bench.timers.came_back()  # nothing is planned yet
    assert bench.timers.due_at is None
    bench.schedule(When.FAILURE, failures=9)
    far = bench.timers.seconds_left()

    bench.timers.came_back()
    near = bench.timers.seconds_left()
    bench.timers.came_back()

    assert far > 120 >= near >= 5
    assert bench.timers.seconds_left() == near


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 300), (20, 1_200), (9_999, 12_960)])
def test_what_waits_until_then_is_looked_after_then_and_never_too_often(
    bench: Bench, minutes: int, seconds: int
) -> None:
    by = START + timedelta(minutes=minutes)

    effect = ScheduleEffect(when=When.SUCCESS, by=by)
    bench.timers.schedule(effect, advised=None, on_trial=False)

    assert bench.timers.seconds_left() == seconds


def test_what_is_wanted_now_is_due_now(bench: Bench) -> None:
    bench.timers.now()

    assert bench.timers.look() is Due.YES
