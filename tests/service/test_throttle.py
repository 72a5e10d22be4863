from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.model import RolloutId
from update_server.service.agents.throttle import BURST_SECONDS, Throttle, full_bucket

ONE, OTHER = RolloutId("ro_one1"), RolloutId("ro_other1")


def test_a_bucket_holds_ten_seconds_of_its_rate() -> None:
    throttle = Throttle()

    taken = [throttle.admits(ONE, 60, 0.0) for _ in range(12)]

    assert taken == [True] * 10 + [False] * 2


def test_a_bucket_fills_at_its_rate() -> None:
    throttle = Throttle()
    while throttle.admits(ONE, 60, 0.0):
        pass

    assert not throttle.admits(ONE, 60, 0.9)
    assert throttle.admits(ONE, 60, 1.0)
    assert not throttle.admits(ONE, 60, 1.9)


def test_the_lowest_rate_saves_up_one_offer() -> None:
    throttle = Throttle(shares=2)

    assert throttle.admits(ONE, 1, 0.0)
    assert not throttle.admits(ONE, 1, 119.0)
    assert throttle.admits(ONE, 1, 120.0)


def test_rollouts_do_not_share_a_rate() -> None:
    throttle = Throttle()

    assert throttle.admits(ONE, 1, 0.0)
    assert throttle.admits(OTHER, 1, 0.0)


def test_processes_share_a_rate() -> None:
    processes = [Throttle(shares=4) for _ in range(4)]

    taken = sum(process.admits(ONE, 240, 0.0) for process in processes for _ in range(100))

    assert taken == 40


@given(
    rate=st.integers(min_value=1, max_value=1_000_000),
    shares=st.integers(min_value=1, max_value=64),
    pauses=st.lists(st.floats(min_value=0, max_value=100), max_size=100),
)
def test_no_more_is_taken_than_the_burst_and_what_came_since(
    rate: int, shares: int, pauses: list[float]
) -> None:
    throttle, now, taken = Throttle(shares), 0.0, 0
    for pause in pauses:
        now += pause
        taken += throttle.admits(ONE, rate, now)

    per_second = rate / 60 / shares
    burst = max(1.0, per_second * BURST_SECONDS)
    assert taken <= burst + per_second * now + 1e-6


def test_a_clock_that_steps_back_adds_nothing() -> None:
    bucket = full_bucket(1 / 60, 100.0).take(100.0)

    assert bucket is not None
    assert bucket.take(40.0) is None
    assert bucket.take(159.0) is None
    assert bucket.take(160.0) is not None
