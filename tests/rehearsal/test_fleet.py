"""Shares that follow from a fleet, against virtual installs that are drawn from it."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from update_server.evidence.settings import DAY, HOUR, STANDARD
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.installs import make_installs

SALT = b"s" * 32


def test_as_many_installs_crash_on_a_day_as_were_told() -> None:
    fleet = Fleet(installs=10, internal=0, crash_a_day=0.03)

    assert fleet.crashed(1) == pytest.approx(0.03)
    assert fleet.crashed(0) == 0
    assert 0.03 < fleet.crashed(2) < 0.06
    assert fleet.crashed(1, ratio=2) < 0.06
    assert fleet.crashes_a_day > 0.03


def test_more_are_heard_of_as_time_goes_by() -> None:
    fleet = Fleet(installs=10, internal=0)

    heard = [fleet.heard_of(hours * HOUR) for hours in (-1, 0, 1, 4, 24, 240)]

    assert heard[:2] == [0, 0]
    assert all(a < b for a, b in pairwise(heard[1:]))
    assert heard[-1] == pytest.approx(1)


def test_strata_of_silence_are_those_of_the_study() -> None:
    fleet = Fleet(installs=10, internal=0, median_gap_seconds=12 * HOUR, gap_spread=1.5)

    strata = fleet.silence(STANDARD)

    assert len(strata) == 4
    assert sum(size for _, size in strata) < 1  # the rarest guests are not in this metric
    assert fleet.silence_seconds(STANDARD) >= DAY
    # Whose window is longer than a day is silent as often as the next: exp(-2.25).
    assert strata[-1][0] == pytest.approx(0.105, abs=0.001)


def test_virtual_installs_are_as_the_fleet_says() -> None:
    fleet = Fleet(
        installs=5_000,
        internal=7,
        crash_a_day=0.03,
        platforms=(("linux-x86_64", 0.25), ("windows-x86_64", 0.75)),
    )

    installs = make_installs(fleet, SALT, random.Random(3))

    linux = sum(v.install.platform == "linux-x86_64" for v in installs) / 5_000
    assert linux == pytest.approx(0.25, abs=0.02)
    assert sum(v.internal for v in installs) == 7
    assert sum(v.aged for v in installs) / 5_000 == pytest.approx(fleet.aged_share, abs=0.02)
    crashes = sum(v.rate for v in installs) / 5_000 * DAY
    assert crashes == pytest.approx(fleet.crashes_a_day, rel=0.15)
    assert {v.crashes for v in installs} >= {0, 1, 10}
    assert len({v.bucket for v in installs}) > 3_500


def test_a_fleet_that_never_crashes_has_no_crashes() -> None:
    fleet = Fleet(installs=50, internal=0, crash_a_day=0.0)

    assert {v.rate for v in make_installs(fleet, SALT, random.Random(1))} == {0.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"installs": 0},
        {"internal": 11},
        {"platforms": ()},
        {"crash_a_day": 1.0},
        {"aged_share": 0.0},
        {"frailty": 0.0},
    ],
)
def test_a_fleet_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"installs": 10, "internal": 0}
    with pytest.raises(ValueError, match=r"a fleet has|a share is"):
        Fleet(**(usual | wrong))
