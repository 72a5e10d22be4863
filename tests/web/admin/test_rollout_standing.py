"""What is told of a rollout beside its state: whom it may reach, and how sure that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from rollout.model import Arm
from tests.admin_world import LEASE_SECONDS, World
from tests.store.crash_values import a_group, a_report
from tests.store.values import a_contact, a_decision
from tests.web.admin.conftest import Ask
from update_server.service.ports.arrivals import Arrived
from update_server.service.ports.crashes import Cell
from update_server.web.wire import render_time

ROLLOUTS = "/v1/admin/apps/demo/rollouts"


def body_of(response: TestResponse) -> dict[str, Any]:
    assert response.json is not None
    body: dict[str, Any] = response.json
    return body


@pytest.fixture
def rollout(world: World) -> str:
    return world.start("2.1.0").id


@pytest.fixture
def seen(world: World, rollout: str) -> str:
    """A rollout of which four installs are known, one of them on its version."""
    now = world.clock.now()
    arms = (Arm.CANDIDATE, Arm.CANDIDATE, Arm.CONTROL, Arm.CONTROL)
    contacts = [
        a_contact(
            str(number),
            at=now,
            rollout=rollout,
            arm=arm,
            version="2.1.0" if number == 0 else "2.0.0",
        )
        for number, arm in enumerate(arms)
    ]
    with world.database.transaction() as stores:
        stores.telemetry.absorb(contacts, [])
        minute = now.replace(second=0, microsecond=0)
        arrived = Arrived(app="demo", minute=minute, kind="check_in", events=4, last_at=now)
        stores.arrivals.add([arrived])
    return rollout


def one(ask: Ask, rollout: str) -> dict[str, Any]:
    return body_of(ask("GET", f"{ROLLOUTS}/{rollout}"))


def test_installs_that_it_is_about_are_told_and_how_fresh_that_is(
    ask: Ask, seen: str, world: World
) -> None:
    told = one(ask, seen)

    assert (told["eligible_installs"], told["running_installs"]) == (4, 1)
    assert told["newest_datum_at"] == render_time(world.clock.now())


def test_the_next_ring_is_told_in_installs(ask: Ask, seen: str, world: World) -> None:
    first = one(ask, seen)["next_ring"]
    for _ in range(2):
        world.advance(60)
        ask("POST", f"{ROLLOUTS}/{seen}/promote")

    assert first == {"name": "10%", "exposure_bp": 1_000, "approvals": 0, "installs": 0}
    assert one(ask, seen)["next_ring"] is None


def test_what_is_stopped_was_offered_for_one_lease_more_at_most(
    ask: Ask, rollout: str, world: World
) -> None:
    assert one(ask, rollout)["last_possible_offer_at"] is None
    ask("POST", f"{ROLLOUTS}/{rollout}/pause")

    told = one(ask, rollout)

    with world.database.reading() as stores:
        (changed_at,) = (r.changed_at for r in stores.rollouts.of_app("demo") if r.id == rollout)
    last = changed_at + timedelta(seconds=LEASE_SECONDS)
    assert told["last_possible_offer_at"] == render_time(last)


def test_its_crashes_are_told_by_arm_and_which_is_the_newest(
    ask: Ask, seen: str, world: World
) -> None:
    cell = Cell(rollout=seen, ring="internal", arm="candidate")
    now = world.clock.now()
    with world.database.transaction() as stores:
        stores.crashes.note_groups([a_group("aa"), a_group("bb", title="later")])
        stores.crashes.note(
            [
                a_report("1", cell=cell, at=now),
                a_report("2", signature="bb", cell=cell, at=now + timedelta(seconds=1)),
            ]
        )
        record = {"log_e_by_metric": {"signature:aa": {"log_e": 3.5, "needed": 5.0}}}
        said = {"no_verdict": None, "sentence": "…", "contested": True}
        stores.decisions.add(a_decision(rollout=seen, record={**record, **said}))

    told = one(ask, seen)

    first, second = told["signatures"]
    assert (first["signature"], first["log_e"], first["needed"]) == ("aa", 3.5, 5.0)
    assert (first["installs"]["candidate"], first["of"]["candidate"]) == (1, 2)
    assert (first["installs"]["control"], first["of"]["control"]) == (0, 2)
    assert second["new"] is True
    assert told["newest_signature"]["title"] == "later"
    assert told["contested"] is True


def test_lists_go_on_where_they_broke_off(ask: Ask, rollout: str) -> None:
    for path, name in ((ROLLOUTS, "id"), ("/v1/admin/apps/demo/releases", "version")):
        whole = [item[name] for item in body_of(ask("GET", path))["items"]]
        found, cursor = [], ""
        while True:
            page = body_of(ask("GET", f"{path}?limit=1{cursor}"))
            found += [item[name] for item in page["items"]]
            assert len(page["items"]) == 1
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert rollout
        assert found == whole
        assert len(whole) == 2
