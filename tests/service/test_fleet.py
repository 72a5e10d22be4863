"""What is known of the installs as a whole."""

from __future__ import annotations

import pytest

from update_server.service.ports.studies import History
from update_server.service.rollouts.fleet import Gaps, view_of

NOW = 1_800_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
PLATFORMS = {"linux-x86_64": 3, "windows-x86_64": 1}


def a_history(
    *, days: float = 100, gap: float = 4 * HOUR, crashes: tuple[float, ...] = ()
) -> History:
    """Return an install that came every *gap* seconds; *crashes* are seconds ago."""
    first = NOW - days * DAY
    return History(
        first_at=first,
        check_ins=50,
        early=tuple(first + gap * n for n in range(10)),
        seen=tuple(NOW - gap * n for n in range(11, 0, -1)),
        crashes=tuple(sorted(NOW - ago for ago in crashes)),
    )


def test_a_server_without_installs_knows_nothing() -> None:
    view = view_of({}, [], NOW)

    assert (view.installs, view.sampled, view.aged) == (0, 0, 0)
    assert (view.gaps, view.check_ins_a_day, view.crash_a_day) == (None, 0.0, None)


def test_installs_are_counted_by_platform_and_age() -> None:
    view = view_of(PLATFORMS, [a_history(), a_history(days=3)], NOW)

    assert (view.installs, view.platforms) == (4, PLATFORMS)
    assert (view.sampled, view.aged) == (2, 1)


def test_gaps_are_quantiles_over_the_installs() -> None:
    view = view_of(PLATFORMS, [a_history(gap=n * HOUR) for n in range(1, 11)], NOW)

    assert view.gaps == Gaps(p10=HOUR, p50=5 * HOUR, p90=9 * HOUR)
    assert view.check_ins_a_day == pytest.approx(sum(24 / n for n in range(1, 11)) / 10)


def test_days_with_a_crash_are_counted_over_four_weeks() -> None:
    known = [a_history(crashes=(1 * HOUR, 2 * HOUR, 5 * DAY, 40 * DAY)), a_history()]

    view = view_of(PLATFORMS, known, NOW)

    assert (view.install_days, view.crash_a_day) == (56, 2 / 56)


def test_an_install_whose_crashes_were_forgotten_is_known_for_a_shorter_time() -> None:
    view = view_of(PLATFORMS, [a_history(crashes=tuple(n * DAY for n in range(1, 11)))], NOW)

    assert (view.install_days, view.crash_a_day) == (10, 1.0)


def test_an_install_that_is_new_counts_for_its_own_days_only() -> None:
    assert view_of(PLATFORMS, [a_history(days=2)], NOW).install_days == 2
