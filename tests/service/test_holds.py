from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.documents import parse_rollout
from rollout.model import Approvals, Audience, Entry, RolloutId
from tests.admin_world import APP, STABLE, World, a_registered_world
from update_server.service.errors import (
    ApprovalsMissingError,
    BadValueError,
    UnknownChannelError,
)
from update_server.service.ports import NotFoundError, StoredHold

OLD_SYSTEMS = Audience(os_version=("<13",))


def entries(world: World) -> tuple[Entry, ...]:
    with world.database.reading() as stores:
        assert not stores.journal.unpublished()
        (found,) = [d for d in stores.releases.documents(APP) if d.kind == "rollout"]
    return parse_rollout(found.document).entries


def add(world: World, **changes: Any) -> StoredHold:
    fields: dict[str, Any] = {
        "title": "Crashes with driver 531",
        "link": "https://status.example.org/h1",
        "audience": OLD_SYSTEMS,
    } | changes
    channel = fields.pop("channel", STABLE)
    return world.services().holds.add(world.caller(), APP, channel, **fields)


def test_a_hold_is_in_force_when_it_was_placed(released: World) -> None:
    released.start("2.1.0")

    held = add(released, reason="a driver")

    assert [entry.holds for entry in entries(released)] == [(held.hold,), (held.hold,)]
    assert released.services().holds.all(APP) == [held]


def test_a_hold_on_one_rollout_leaves_the_others_alone(released: World) -> None:
    rollout = released.start("2.1.0")

    held = add(released, rollout=rollout.id)

    assert [entry.holds for entry in entries(released)] == [(held.hold,), ()]


def test_a_hold_may_come_before_any_rollout(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer")
    held = add(world)
    world.publish("2.0.0")

    world.start("2.0.0")

    assert entries(world)[0].holds == (held.hold,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"link": "https://elsewhere.example.org/h1"}, "link"),
        ({"link": "http://status.example.org/h1"}, "link"),
        ({"link": "status.example.org"}, "link"),
        ({"title": "   "}, "title"),
        ({"audience": Audience(custom={"edition": ("pro",)})}, "audience.custom"),
        ({"audience": Audience(os_version=("about 12",))}, "audience.os_version[0]"),
    ],
)
def test_a_hold_that_no_document_could_bear_is_refused(
    changes: dict[str, Any], field: str, released: World
) -> None:
    with pytest.raises(BadValueError) as raised:
        add(released, **changes)

    assert raised.value.field == field
    assert released.services().holds.all(APP) == []


def test_a_hold_needs_a_known_channel_and_rollout(released: World) -> None:
    with pytest.raises(UnknownChannelError):
        add(released, channel="beta")
    with pytest.raises(NotFoundError):
        add(released, rollout=RolloutId("ro_none"))


def test_a_hold_is_lifted_by_an_operator(released: World) -> None:
    released.start("2.1.0")
    held = add(released)
    holds = released.services().holds

    holds.lift(released.caller(), APP, held.hold.id)
    holds.lift(released.caller(), APP, held.hold.id)  # again: nothing to do

    assert holds.all(APP) == []
    assert [entry.holds for entry in entries(released)] == [(), ()]


def test_a_hold_that_two_must_lift_is_not_lifted_by_one(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", approvals=Approvals(outside_ramp=2))
    world.publish("2.0.0")
    world.start("2.0.0")
    held = add(world)

    with pytest.raises(ApprovalsMissingError):
        world.services().holds.lift(world.caller(), APP, held.hold.id)

    assert world.services().holds.all(APP) == [held]


def test_a_hold_that_is_not_there_cannot_be_lifted(released: World) -> None:
    with pytest.raises(NotFoundError):
        released.services().holds.lift(released.caller(), APP, "h_none")
