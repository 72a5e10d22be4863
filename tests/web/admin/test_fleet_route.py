"""``…/fleet``: the installs as a whole."""

from __future__ import annotations

from dataclasses import asdict

from packaging.version import Version

from rollout.model import MustReach
from tests.admin_world import APP, World
from tests.store.values import NOW, a_contact, a_history
from tests.web.admin.conftest import Ask
from update_server.service.ports import Role
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount
from update_server.web.wire import render_time

PATH = f"/v1/admin/apps/{APP}/fleet"


def test_a_fleet_is_shown_to_viewers(world: World, ask: Ask) -> None:
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history()})

    response = ask("GET", PATH, role=Role.VIEWER)

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["sampled"] == 1
    assert set(response.json) == {
        "installs", "platforms", "sampled", "aged", "gap_seconds", "check_ins_a_day",
        "crash_a_day", "install_days", "sampled_at", "floors", "pulled",
    }  # fmt: skip


def test_gaps_are_shown_once_installs_have_come_back(world: World, ask: Ask) -> None:
    now = world.clock.now().timestamp()
    seen = tuple(now - 3_600.0 * n for n in range(5, 0, -1))
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history(first_at=now - 9e6, seen=seen)})

    response = ask("GET", PATH)

    assert response.json is not None
    assert response.json["gap_seconds"] == {"p10": 3_600.0, "p50": 3_600.0, "p90": 3_600.0}


def test_a_sample_is_read_anew_once_it_is_old(world: World, ask: Ask) -> None:
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history()})
    first = ask("GET", PATH).json
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"b" * 32: a_history()})
        stores.telemetry.absorb([a_contact()], [])
    world.advance(599)
    same = ask("GET", PATH).json
    world.advance(1)
    later = ask("GET", PATH).json

    assert first is not None
    assert same == {**first, "installs": 1, "platforms": {"linux-x86_64": 1}} | {
        "floors": [{**first["floors"][0], "installs": 1}]
    }
    assert later is not None
    assert (later["sampled"], later["sampled_at"]) == (2, render_time(world.clock.now()))


def test_people_see_who_should_have_moved_on(world: World, ask: Ask) -> None:
    world.change_policy(floor="2.1.0", must_reach=[MustReach(version=Version("2.0.1"), after=NOW)])
    rollout = world.start("2.1.0")
    with world.database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact("1", version="1.9.0", rollout=None),
                a_contact("2", version="2.0.1", rollout=None),
                a_contact("3", version="2.1.0", rollout=None),
            ],
            [],
        )
    pulled = world.services().control.pull(world.caller(), APP, rollout.id, reason="crashes")

    body = ask("GET", PATH).json

    assert body is not None
    assert body["floors"] == [
        {
            "channel": "stable",
            "installs": 3,
            "floor": "2.1.0",
            "below": 2,
            "must_reach": [{"version": "2.0.1", "after": render_time(NOW), "below": 1}],
        }
    ]
    assert body["pulled"] == [
        {
            "rollout": rollout.id,
            "channel": "stable",
            "version": "2.1.0",
            "pulled_at": render_time(pulled.changed_at),
            "replacement": None,  # the floor leaves none
            "running": 1,
            "counted_at": None,
            "counts": None,
        }
    ]


def test_what_became_of_those_on_a_pulled_release_is_told_once_it_was_counted(
    world: World, ask: Ask
) -> None:
    rollout = world.start("2.1.0")
    world.services().control.pull(world.caller(), APP, rollout.id, reason="crashes")
    counts = PullCounts(offered=9, downloaded=8, installed=7, replaced=4, still_on=2, unreachable=1)
    with world.database.transaction() as stores:
        found = Recount(rollout=rollout.id, counted_at=world.clock.now(), pull=counts)
        stores.recounts.put([found])

    body = ask("GET", PATH).json

    assert body is not None
    assert body["pulled"][0]["counts"] == asdict(counts)
    assert body["pulled"][0]["counted_at"] == render_time(world.clock.now())
