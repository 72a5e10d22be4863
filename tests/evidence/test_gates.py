from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import exp

import pytest

from tests.judge_world import LINUX, WINDOWS, a_world
from update_server.evidence.fisher import SHARES
from update_server.evidence.gates import FLOORS, is_open, noninferiority
from update_server.evidence.one_sample import log_e_floor
from update_server.evidence.ratio import MARGINS
from update_server.evidence.settings import DAY, HOUR, STANDARD, Gate, Metric, Window
from update_server.evidence.state import OneArm

MONDAY = 1_767_571_200.0  # 2026-01-05, midnight UTC


@pytest.mark.parametrize(
    ("exposure_bp", "margin", "silence"),
    [
        (100, 3.0, 0.1),
        (101, 2.0, 0.05),
        (1_000, 2.0, 0.05),
        (5_000, 1.5, 0.02),
        (9_800, 1.25, 0.01),
    ],
)
def test_wider_rings_ask_for_more(exposure_bp: int, margin: float, silence: float) -> None:
    tests = noninferiority(a_world(exposure_bp=exposure_bp).state, STANDARD)

    assert [(test.metric, test.limit) for test in tests] == [
        (Metric.CRASH, margin),
        (Metric.HEALTHY, margin),
        (Metric.SILENCE, silence),
        (FLOORS[Metric.CRASH], 0.001),
        (FLOORS[Metric.HEALTHY], silence),
        (FLOORS[Metric.SILENCE], silence),
    ]


def test_every_gate_is_on_the_grids() -> None:
    assert all(gate.margin in MARGINS and gate.silence in SHARES for gate in STANDARD.gates)


def test_without_data_every_e_value_is_one() -> None:
    tests = noninferiority(a_world().state, STANDARD)

    assert [test.log_e for test in tests] == pytest.approx([0.0] * 6)
    assert [exp(test.needed) for test in tests] == pytest.approx([20.0] * 6)
    assert not any(test.passes for test in tests)


def test_a_ring_of_groups_has_no_margins() -> None:
    assert noninferiority(a_world(exposure_bp=None).state, STANDARD) == ()


def test_a_ladder_has_gates_of_its_own() -> None:
    settings = replace(STANDARD, gates=(Gate(up_to_bp=10_000, margin=1.5, silence=0.3),))

    tests = noninferiority(a_world().state, settings)

    assert [test.limit for test in tests[:3]] == [1.5, 1.5, 0.3]


def test_gates_read_all_platforms_but_those_held() -> None:
    world = a_world()
    world.events_of(0, 30, platform=LINUX)
    world.events_of(0, 30, platform=WINDOWS)
    together = noninferiority(world.state, STANDARD)[0].log_e

    world.state.held = [WINDOWS]

    assert noninferiority(world.state, STANDARD)[0].log_e == pytest.approx(together / 2, rel=0.2)


# --- windows --------------------------------------------------------------------------------


def open_at(window: Window, instants: Iterable[float]) -> list[bool]:
    settings = replace(STANDARD, windows=(window,))
    return [is_open(settings, MONDAY + at) for at in instants]


def test_without_windows_any_time_is_right() -> None:
    assert is_open(STANDARD, MONDAY)


def test_a_window_has_hours() -> None:
    window = Window(from_hour=9, to_hour=17)

    assert open_at(window, [9 * HOUR - 1, 9 * HOUR, 17 * HOUR - 1, 17 * HOUR]) == [
        False,
        True,
        True,
        False,
    ]


def test_a_window_has_weekdays_from_monday() -> None:
    window = Window(weekdays=frozenset({0, 4}))

    assert open_at(window, [day * DAY for day in range(7)]) == [
        True,
        False,
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_window_is_in_its_own_time_zone() -> None:
    east = Window(weekdays=frozenset({0}), utc_offset_minutes=120)
    west = Window(weekdays=frozenset({0}), utc_offset_minutes=-90)

    assert open_at(east, [-2 * HOUR - 1, -2 * HOUR, DAY - 2 * HOUR]) == [False, True, False]
    assert open_at(west, [1.5 * HOUR - 1, 1.5 * HOUR]) == [False, True]


def test_any_window_will_do() -> None:
    windows = (Window(weekdays=frozenset({1})), Window(weekdays=frozenset({0})))

    assert is_open(replace(STANDARD, windows=windows), MONDAY)


def test_outside_its_windows_the_server_waits() -> None:
    world = a_world()
    world.passes_the_gate()
    world.set(windows=(Window(weekdays=frozenset({0})),))
    world.now = MONDAY - 1
    world.state.stage.opened_at = MONDAY - DAY

    before = world.judge()

    assert [wait.code for wait in before.waits_for] == ["window"]
    assert world.judge(1).verdict == "promote"


@pytest.mark.parametrize(("outcome", "part"), [(DAY, 1.0), (DAY / 4, 0.25), (3 * DAY, 1.0)])
def test_the_floor_is_a_rate_of_the_time_in_which_crashes_count(
    outcome: float, part: float
) -> None:
    world = a_world()
    world.set(outcome_seconds=outcome)
    world.state.stage.floor = OneArm(failed=1, known=9_000)

    floor = noninferiority(world.state, world.settings)[3]

    assert floor.log_e == pytest.approx(log_e_floor(1, 9_000, 0.001 * part))
