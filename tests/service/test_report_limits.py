from __future__ import annotations

import pytest

from update_server.service.crashes.limits import PER_INSTALL, PER_NETWORK, Kind, ReportLimits


def admitted(limits: ReportLimits, kind: Kind, count: int, **names: object) -> int:
    """Return how many of *count* at once are admitted."""
    known: dict[str, object] = {"install": b"a", "network": b"n", "now": 0.0}
    return sum(limits.admits(kind, **{**known, **names}) for _ in range(count))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "burst"), [(Kind.ATTACHMENT, 2), (Kind.ERROR, 10)])
def test_an_install_has_a_burst_and_then_a_rate(kind: Kind, burst: int) -> None:
    limits = ReportLimits()

    assert admitted(limits, kind, 50) == burst
    wait = 1 / PER_INSTALL[kind].per_second
    assert admitted(limits, kind, 50, now=wait - 1) == 0
    assert admitted(limits, kind, 50, now=wait) == 1


@pytest.mark.parametrize(("kind", "burst"), [(Kind.ATTACHMENT, 30), (Kind.ERROR, 600)])
def test_the_installs_of_a_network_share_one_limit(kind: Kind, burst: int) -> None:
    limits = ReportLimits()

    taken = sum(admitted(limits, kind, 1, install=b"%d" % number) for number in range(1_000))

    assert taken == burst
    assert admitted(limits, kind, 1, install=b"other", network=b"elsewhere") == 1


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.MARK])
def test_a_network_that_makes_installs_up_cannot_let_the_digest_fall_behind(kind: Kind) -> None:
    limits = ReportLimits()

    taken = sum(admitted(limits, kind, 1, install=b"%d" % number) for number in range(20_000))

    assert taken == PER_NETWORK[kind].burst == 6_000
    later = sum(
        admitted(limits, kind, 1, install=b"x%d" % number, now=60.0) for number in range(9_000)
    )
    assert later == 6_000


def test_an_install_may_tell_of_twenty_times_the_sessions_that_can_be() -> None:
    limits = ReportLimits()

    within = sum(admitted(limits, Kind.SESSION, 1, now=float(second)) for second in range(3_600))

    assert within == 3_600
    assert admitted(limits, Kind.SESSION, 10_000, network=b"", now=3_600.0) == 200


def test_one_kind_takes_nothing_from_another() -> None:
    limits = ReportLimits()
    admitted(limits, Kind.ERROR, 100)

    assert admitted(limits, Kind.SESSION, 1) == 1


def test_what_the_network_refuses_costs_the_install_nothing() -> None:
    limits = ReportLimits()
    for number in range(600):
        admitted(limits, Kind.ERROR, 1, install=b"%d" % number)

    assert admitted(limits, Kind.ERROR, 100, install=b"late") == 0
    assert admitted(limits, Kind.ERROR, 100, install=b"late", network=b"") == 10


def test_nobody_is_limited_by_a_name_that_tells_nobody_apart() -> None:
    assert admitted(ReportLimits(), Kind.ERROR, 1_000, install=b"", network=b"") == 1_000


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    limits = ReportLimits()
    admitted(limits, Kind.ERROR, 10, now=100.0)

    assert admitted(limits, Kind.ERROR, 1, now=50.0) == 0


def test_memory_is_bounded_and_the_longest_unused_is_forgotten() -> None:
    limits = ReportLimits(remembered=3)
    admitted(limits, Kind.ERROR, 10, install=b"first", network=b"")
    for number in range(3):
        admitted(limits, Kind.ERROR, 1, install=b"%d" % number, network=b"")

    assert len(limits._levels) == 3
    assert admitted(limits, Kind.ERROR, 1, install=b"first", network=b"") == 1
