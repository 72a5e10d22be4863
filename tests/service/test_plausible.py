"""Rules that set reports aside, and honest installs that they must let through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from packaging.version import Version

from tests.public_world import ELSEWHERE, V1, V2, World, a_world
from update_server.evidence.facts import Rule
from update_server.service.agents.table import AppTable
from update_server.service.agents.tokens import InstallToken
from update_server.service.telemetry.plausible import MOST_LAUNCHES_PER_HOUR, Launches, why_not

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
NEVER_PUBLISHED = Version("7.7.7")
ON_WINDOWS = Version("2.2.0")
OLD_ELSEWHERE = Version("1.5.0")
UNREAD = 4_000_000


@pytest.fixture(scope="module")
def table() -> AppTable:
    world: World = a_world()
    world.put_release_elsewhere()
    world.put_release(ON_WINDOWS, platform="windows-x86_64")
    world.put_release(OLD_ELSEWHERE, channel="beta")
    world.refresh()
    return world.tables.of("demo").table


def a_token(table: AppTable, running: Version | int, assigned: Version | int) -> InstallToken:
    numbers = {release.version: number for number, release in table.by_number.items()}

    def number_of(version: Version | int) -> int:
        return version if isinstance(version, int) else numbers[version]

    return InstallToken(running=number_of(running), assigned=number_of(assigned), rollout=0)


@pytest.mark.parametrize(
    ("running", "assigned", "version"),
    [
        (V1, V1, V1),  # a control
        (V1, V1, V2),  # one that is updated by hand, before it checks in again
        (V1, 0, V2),
        (V1, V2, V1),  # a candidate, before its update
        (V1, V2, V2),  # and after it, before it checks in again
        (V2, V2, V1),  # a crash told by the next version; or a version that failed was left
        (V2, V1, V1),  # what was pulled is replaced by an older one
        (V2, V1, V2),
        (0, 0, NEVER_PUBLISHED),  # fleets that begin with Serinus run what was never published
        (0, V2, NEVER_PUBLISHED),
        (0, V1, V2),  # published since
        (UNREAD, V2, NEVER_PUBLISHED),  # published a second ago, and not read yet
        (V1, UNREAD, V2),
        (V1, V1, OLD_ELSEWHERE),  # it came from another channel
    ],
)
def test_what_an_honest_install_may_tell_passes(
    table: AppTable, running: Version | int, assigned: Version | int, version: Version
) -> None:
    assert why_not(table, a_token(table, running, assigned), version) is None


@pytest.mark.parametrize("assigned", [0, V1, V2, UNREAD])
@pytest.mark.parametrize("version", [ELSEWHERE, ON_WINDOWS])
def test_a_newer_version_of_another_channel_or_platform_is_not_in_the_token(
    table: AppTable, version: Version, assigned: Version | int
) -> None:
    assert why_not(table, a_token(table, V1, assigned), version) is Rule.VERSION_NOT_IN_TOKEN


@pytest.mark.parametrize("assigned", [V1, V2])
@pytest.mark.parametrize("version", [NEVER_PUBLISHED, Version("0.1"), None])
def test_a_version_that_nobody_published_is_unknown(
    table: AppTable, version: Version | None, assigned: Version
) -> None:
    """Controls, too: that what is published here passes lets through nothing else."""
    assert why_not(table, a_token(table, V1, assigned), version) is Rule.UNKNOWN_VERSION


@pytest.mark.parametrize(
    "version", [V1, V2, ELSEWHERE, ON_WINDOWS, OLD_ELSEWHERE, NEVER_PUBLISHED, None]
)
@pytest.mark.parametrize("running", [0, V1, V2, UNREAD])
def test_what_a_token_assigns_makes_no_difference(
    table: AppTable, running: Version | int, version: Version | None
) -> None:
    """It is what the arms differ in: looking at it would take evidence from one of them."""
    tokens = [a_token(table, running, assigned) for assigned in (0, V1, V2, UNREAD)]

    assert len({why_not(table, token, version) for token in tokens}) == 1


def test_no_version_at_all_is_unknown_whatever_the_token_says(table: AppTable) -> None:
    assert why_not(table, a_token(table, 0, 0), None) is Rule.UNKNOWN_VERSION


# --- launches -------------------------------------------------------------------------------


def start(launches: Launches, count: int, *, install: bytes = b"a", first: int = 0) -> list[bool]:
    names = (str(number) for number in range(first, first + count))
    return [launches.is_plausible(install, NOON, name) for name in names]


def test_more_starts_within_an_hour_than_can_be_are_implausible() -> None:
    launches = Launches()

    assert all(start(launches, MOST_LAUNCHES_PER_HOUR))
    assert start(launches, 2, first=MOST_LAUNCHES_PER_HOUR) == [False, False]


def test_a_start_that_is_told_again_is_no_other_one() -> None:
    launches = Launches()

    start(launches, MOST_LAUNCHES_PER_HOUR)

    assert all(start(launches, MOST_LAUNCHES_PER_HOUR))


def test_another_install_and_another_hour_have_starts_of_their_own() -> None:
    launches = Launches()
    start(launches, MOST_LAUNCHES_PER_HOUR + 1)

    assert launches.is_plausible(b"b", NOON, "x")
    assert launches.is_plausible(b"a", NOON + timedelta(hours=1), "x")
    assert not launches.is_plausible(b"a", NOON + timedelta(minutes=59), "x")


def test_a_week_of_starts_may_be_told_at_once() -> None:
    launches = Launches()
    starts = [NOON + timedelta(minutes=10 * number) for number in range(7 * 24 * 6)]

    assert all(launches.is_plausible(b"a", at, str(at)) for at in starts)


def test_memory_is_bounded_and_the_installs_heard_of_longest_ago_are_forgotten() -> None:
    launches = Launches(remembered=300)
    start(launches, 200, install=b"old")
    start(launches, 100, install=b"new")
    start(launches, 1, install=b"one more")

    assert sum(len(starts) for starts in launches._starts.values()) == 101
    assert start(launches, 1, install=b"old", first=200) == [True]
    assert start(launches, 101, install=b"new", first=100) == [True] * 100 + [False]
