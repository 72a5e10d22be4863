from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_agent.schedule import Schedule, period_for

PLAIN = Schedule()
shares = st.floats(min_value=0, max_value=1, exclude_max=True)
periods = st.floats(min_value=300, max_value=86_400)


@pytest.mark.parametrize(
    ("u", "soon", "seconds"),
    [(0.0, False, 60), (0.5, False, 330), (0.0, True, 5), (1.0, True, 30)],
)
def test_the_first_check_in_follows_the_start_of_the_app(
    u: float, soon: bool, seconds: float
) -> None:
    assert PLAIN.first(u, soon=soon) == seconds


def test_a_success_is_followed_by_a_period_give_or_take_a_tenth() -> None:
    assert PLAIN.success(0.0, 14_400) == 12_960
    assert PLAIN.success(0.5, 14_400) == 14_400


@given(shares, periods)
def test_automatic_check_ins_keep_the_hard_floor(u: float, period: float) -> None:
    assert PLAIN.success(u, period) >= 300
    assert PLAIN.success(u, 60, on_trial=True) >= 60


@pytest.mark.parametrize(
    ("failures", "u", "seconds"), [(1, 0.0, 30), (1, 0.5, 60), (3, 0.5, 150), (50, 0.5, 1830)]
)
def test_failures_back_off_by_powers_of_two_up_to_an_hour(
    failures: int, u: float, seconds: float
) -> None:
    assert PLAIN.failure(u, 86_400, failures) == seconds


@given(shares, periods, st.integers(min_value=1, max_value=10_000))
def test_a_failure_never_waits_longer_than_a_period_and_a_tenth(
    u: float, period: float, failures: int
) -> None:
    assert 30 <= PLAIN.failure(u, period, failures) <= period * 1.1


def test_retry_after_is_obeyed_with_jitter_up_to_a_day() -> None:
    assert PLAIN.failure(0.5, 14_400, 1, retry_after=1_000) == 1_050
    assert PLAIN.failure(0.0, 14_400, 1, retry_after=10**9) == 86_400
    assert PLAIN.failure(0.0, 14_400, 1, retry_after=-5) == 30


def test_a_machine_that_woke_or_whose_clock_went_back_spreads_its_check_in() -> None:
    assert PLAIN.wake(0.0) == 5
    assert PLAIN.wake(1.0) == 120
    assert PLAIN.set_back(0.0) == 60
    assert PLAIN.set_back(1.0) == 600


@pytest.mark.parametrize(
    ("advised", "probation", "close", "seconds"),
    [
        (None, False, False, 14_400),
        (7_200, False, False, 7_200),
        (1, False, False, 300),
        (10**9, False, False, 86_400),
        (14_400, True, False, 900),
        (14_400, False, True, 3_600),
        (600, True, True, 600),
    ],
)
def test_the_period_is_clamped_and_shorter_when_much_can_change(
    advised: int | None, probation: bool, close: bool, seconds: float
) -> None:
    assert period_for(advised=advised, probation=probation, close=close) == seconds


@pytest.mark.parametrize(("count", "hours"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 24), (99, 24)])
def test_a_failed_version_is_barred_for_one_to_twenty_four_hours(count: int, hours: int) -> None:
    assert PLAIN.retry_failed(count, no_space=False) == hours * 3_600


def test_lack_of_space_is_tried_again_after_six_hours() -> None:
    assert PLAIN.retry_failed(1, no_space=True) == 6 * 3_600


def test_rounds_over_the_mirrors_pause_ever_longer() -> None:
    assert PLAIN.round_pause(0.5, 1) == 30
    assert PLAIN.round_pause(0.5, 2) == 60
    assert PLAIN.round_pause(0.5, 99) == 1_800


@given(st.floats(min_value=1, max_value=10_000), shares)
def test_an_unsafe_speed_divides_every_wait_but_the_servers_own(speed: float, u: float) -> None:
    fast = Schedule(unsafe_speed=speed)

    pairs = [
        (fast.first(u, soon=False), PLAIN.first(u, soon=False)),
        (fast.success(u, 900), PLAIN.success(u, 900)),
        (fast.failure(u, 900, 2), PLAIN.failure(u, 900, 2)),
        (fast.wake(u), PLAIN.wake(u)),
        (fast.set_back(u), PLAIN.set_back(u)),
        (fast.manual_floor(), PLAIN.manual_floor()),
        (fast.round_pause(u, 2), PLAIN.round_pause(u, 2)),
        (fast.retry_failed(2, no_space=False), PLAIN.retry_failed(2, no_space=False)),
        (fast.scaled(600), PLAIN.scaled(600)),
    ]
    for sped, plain in pairs:
        assert sped == pytest.approx(plain / speed)
    assert fast.failure(0.0, 900, 1, retry_after=100) >= 100


def test_a_timer_sleeps_a_minute_at_most() -> None:
    assert PLAIN.slice(3_600) == 60
    assert PLAIN.slice(7) == 7
    assert PLAIN.slice(-1) == 0
