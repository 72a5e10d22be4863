"""Answers that pages show ask the database the same few things, however much there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin_world import World
from tests.fakes import FakeClock
from tests.many_releases import APP, AT, LIVE, NEWEST, databases
from tests.statements import statements
from tests.store.conftest import migrated_sqlite
from update_server.store import SqlDatabase
from update_server.web.admin import (
    audit,
    decisions,
    notifications,
    pending,
    releases,
    rollouts,
    waivers,
)
from update_server.web.admin.answers import JsonObject
from update_server.web.admin.queries import Part
from update_server.web.admin.services import AdminServices

__all__ = ["migrated_sqlite"]

PAGE = Part(limit=50)


def now_page(services: AdminServices) -> list[JsonObject]:
    return [
        rollouts.live_body(services, None, PAGE),
        notifications.alerts_body(services, None, PAGE),
        notifications.undelivered_body(services, None),
    ]


def release_page(services: AdminServices) -> list[JsonObject]:
    return [
        rollouts.body(services, APP, NEWEST),
        audit.history_body(services, APP, NEWEST, PAGE),
        decisions.page_body(services, APP, NEWEST, PAGE),
        waivers.page_body(services, APP, PAGE),
    ]


def lists(services: AdminServices) -> list[JsonObject]:
    return [
        rollouts.page_body(services, APP, PAGE),
        releases.page_body(services, APP, PAGE),
        pending.page_body(services, None, PAGE),
    ]


@pytest.fixture(scope="module")
def filled(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, SqlDatabase]]:
    """A database of each size."""
    with databases(migrated_sqlite, tmp_path_factory.mktemp("releases")) as found:
        yield found


def services_over(database: SqlDatabase, folder: Path) -> AdminServices:
    return World(folder=folder, clock=FakeClock(AT)).services(database=database)


@pytest.mark.parametrize(
    ("look", "most"),
    [(now_page, 10), (release_page, 13), (lists, 15)],
    ids=("now", "release", "lists"),
)
def test_a_page_asks_as_often_with_many_releases_as_with_few(
    filled: dict[int, SqlDatabase],
    tmp_path: Path,
    look: Callable[[AdminServices], list[JsonObject]],
    most: int,
) -> None:
    asked = {}
    for size, database in filled.items():
        services = services_over(database, tmp_path)
        look(services)  # the first look parses the channels
        with statements(database) as found:
            look(services)
        asked[size] = len(found)

    assert asked[10] == asked[1_000] <= most, "\n\n".join(found)


def test_the_pages_tell_of_all_that_is_there(
    filled: dict[int, SqlDatabase], tmp_path: Path
) -> None:
    services = services_over(filled[1_000], tmp_path)

    live, alerts, _ = now_page(services)
    one, happened, decided, _ = release_page(services)

    assert len(live["items"]) == len(alerts["items"]) == LIVE
    assert {each["published"] for each in live["items"]} == {True}
    told: dict[str, Any] = next(each for each in live["items"] if each["id"] == NEWEST)
    assert told["newest_signature"]["signature"] == "sigstable"
    assert (told["eligible_installs"], told["running_installs"]) == (2, 2)
    assert {name: one[name] for name in told} == told
    assert [each["action"] for each in happened["items"]] == ["rollout.start"]
    assert len(decided["items"]) == 3
