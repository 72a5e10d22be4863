from __future__ import annotations

import pytest
from packaging.version import Version

from tests.public_world import CHANNEL, ELSEWHERE, PLATFORM, V1, World, a_world
from update_server.service.agents.table import AppTable
from update_server.service.agents.tokens import Bearer, InstallToken
from update_server.service.crashes.versions import Attributed, attribute, versions_in


@pytest.fixture(scope="module")
def world() -> World:
    world = a_world()
    world.put_release_elsewhere()
    return world


@pytest.fixture
def table(world: World) -> AppTable:
    return world.tables.of("demo").table


def a_bearer(
    table: AppTable, running: str = "", assigned: str = "", *, is_expired: bool = False
) -> Bearer:
    numbers = {
        str(version): known.number
        for versions in table.releases.values()
        for version, known in versions.items()
    }
    token = InstallToken(
        running=numbers.get(running, 0), assigned=numbers.get(assigned, 0), rollout=0
    )
    return Bearer(tag=bytes(8), token=token, is_expired=is_expired)


@pytest.mark.parametrize(
    "release",
    ["2.0.0", "demo@2.0.0", "@acme/demo@2.0.0+77", "demo@2.0.0+a_b-c", " v2.0 ", "2.0.0+"],
)
def test_a_release_may_be_spelled_in_many_ways(table: AppTable, release: str) -> None:
    assert attribute(table, [release], None) == Attributed(version=str(V1), quarantine="")


def test_a_build_may_be_part_of_the_version() -> None:
    assert list(versions_in("a@1.2+7")) == [Version("1.2+7"), Version("1.2")]


@pytest.mark.parametrize("release", ["", "main", "demo@", "9" * 200, "2.0.0-1", "c0ffee" * 6, "@"])
def test_what_is_no_version_is_unknown_and_named_by_nothing(table: AppTable, release: str) -> None:
    assert attribute(table, [release], None) == Attributed(version="", quarantine="unknown_version")


def test_a_version_that_was_never_released_is_set_aside_by_its_name(table: AppTable) -> None:
    assert attribute(table, ["demo@7.7.7"], None) == Attributed(
        version="7.7.7", quarantine="unknown_version"
    )


def test_the_first_that_is_known_counts(table: AppTable) -> None:
    assert attribute(table, ["nightly", "37.2.0", "2.1.0", "2.0.0"], None).version == "2.1.0"


@pytest.mark.parametrize("version", ["2.0.0", "2.1.0"])
def test_a_token_stands_for_what_runs_and_for_what_is_assigned(
    table: AppTable, version: str
) -> None:
    bearer = a_bearer(table, running="2.0.0", assigned="2.1.0")

    assert attribute(table, [version], bearer) == Attributed(
        version=version, quarantine="", channel=CHANNEL, platform=PLATFORM
    )


def test_what_a_control_got_by_hand_is_its_own(table: AppTable) -> None:
    bearer = a_bearer(table, running="2.0.0", assigned="2.0.0")

    assert attribute(table, ["2.1.0"], bearer).quarantine == ""


def test_a_newer_release_of_another_channel_is_not_in_the_token(table: AppTable) -> None:
    bearer = a_bearer(table, running="2.0.0", assigned="2.1.0")

    assert attribute(table, [str(ELSEWHERE)], bearer).quarantine == "version_not_in_token"


@pytest.mark.parametrize("version", ["2.1.0", "1.9.9"])
def test_a_token_that_cannot_name_what_runs_lets_any_version_pass(
    table: AppTable, version: str
) -> None:
    """Fleets that begin with Serinus run what was never published, and their controls go on to."""
    found = attribute(table, [version], a_bearer(table))

    assert found == Attributed(version=version, quarantine="")


def test_a_crash_that_the_next_version_tells_counts_for_the_one_before(table: AppTable) -> None:
    """Only candidates have a next version: setting that aside would hit one arm."""
    bearer = a_bearer(table, running="2.1.0", assigned="2.1.0")

    assert attribute(table, ["2.0.0"], bearer).quarantine == ""


def test_an_expired_token_sets_everything_aside(table: AppTable) -> None:
    bearer = a_bearer(table, running="2.0.0", is_expired=True)

    assert attribute(table, ["2.0.0"], bearer).quarantine == "expired_token"
    assert attribute(table, ["7.7.7"], bearer).quarantine == "expired_token"
