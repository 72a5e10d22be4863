"""Contract of ports.Rollouts.reach: how many installs a rollout is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import RolloutId
from tests.store.values import NOW, a_contact, a_release, a_rollout, an_app
from update_server.service.ports import Contact, Database
from update_server.service.ports.arrivals import Arrived
from update_server.service.ports.reach import Reach

NEWEST = RolloutId("ro_2222")
MINUTE = NOW.replace(second=0, microsecond=0)
SECOND = timedelta(seconds=1)


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with rollouts of 2.1.0, for two platforms, and of 2.2.0, for one of them."""
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.rollouts.add(a_rollout())
        stores.rollouts.add(a_rollout(NEWEST, version=Version("2.2.0")))
        for platform in ("linux-x86_64", "windows-x86_64"):
            stores.releases.add(a_release(platform=platform))
        stores.releases.add(a_release(version=Version("2.2.0")))
    return database


def seen(database: Database, **installs: Mapping[str, Any]) -> None:
    contacts: list[Contact] = [
        a_contact(install_key=name.encode() * 32, **told) for name, told in installs.items()
    ]
    with database.transaction() as stores:
        stores.telemetry.absorb(contacts, [])


def reach(database: Database) -> Mapping[RolloutId, Reach]:
    with database.reading() as stores:
        return stores.rollouts.reach([a_rollout().id, NEWEST, RolloutId("ro_none")])


def test_before_anybody_was_heard_of_there_is_nobody(filled: Database) -> None:
    assert reach(filled) == {a_rollout().id: Reach(), NEWEST: Reach()}
    with filled.reading() as stores:
        assert stores.rollouts.reach([]) == {}


def test_installs_are_eligible_on_platforms_of_the_release(filled: Database) -> None:
    seen(
        filled,
        a={"version": "2.0.0"},
        b={"version": "2.1.0"},
        c={"version": "2.1.0", "platform": "windows-x86_64"},
        d={"version": "2.2.0"},
        e={"version": "2.1.0", "platform": "macos-arm64"},
        f={"version": "2.1.0", "channel": "beta"},
        g={"version": "2.1.0", "app": "other"},
    )

    found = reach(filled)

    assert found[a_rollout().id] == Reach(eligible=4, running=2)
    assert found[NEWEST] == Reach(eligible=3, running=1)


def test_the_last_thing_that_was_taken_in_says_how_fresh_it_all_is(filled: Database) -> None:
    def arrived(seconds: int, **more: Any) -> Arrived:
        told = {"app": "demo", "minute": MINUTE, "kind": "check_in", "events": 1, **more}
        return Arrived(**told, last_at=MINUTE + seconds * SECOND)

    later = MINUTE + timedelta(minutes=1)
    with filled.transaction() as stores:
        stores.arrivals.add([arrived(5), arrived(9, kind="crash"), arrived(7)])
        stores.arrivals.add([arrived(65, minute=later, kind="rejected", code="too_old")])
        stores.arrivals.add([arrived(65, minute=later, app="other")])

    assert {each.heard_at for each in reach(filled).values()} == {MINUTE + 9 * SECOND}


def test_where_only_the_minute_is_known_that_is_told(filled: Database) -> None:
    with filled.transaction() as stores:
        stores.arrivals.add([Arrived(app="demo", minute=MINUTE, kind="check_in", events=1)])

    assert reach(filled)[NEWEST].heard_at == MINUTE
