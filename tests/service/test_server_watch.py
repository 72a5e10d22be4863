"""Alerts about the server itself open when something is so, and end when it is so no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.admin_world import APP, World, a_world
from tests.notify.messages import a_message
from update_server.service.notices.server_watch import KEEP_MESSAGES, ServerWatch
from update_server.service.ports import Role
from update_server.service.ports.outbox import Attempt, DeliveryState, Message

HOUR = 3_600.0


@pytest.fixture
def world(released: World) -> World:
    """A released world, of which everybody was told everything."""
    look(released)
    with released.database.transaction() as stores:
        for message in stores.outbox.unrouted(1_000):
            stores.outbox.route(message.id, [], released.clock.now())
    return released


def look(world: World) -> None:
    ServerWatch(world.database, world.clock).look()


def told(world: World) -> list[Message]:
    with world.database.reading() as stores:
        return list(stores.outbox.unrouted(1_000))


def reasons(world: World) -> list[str]:
    with world.database.reading() as stores:
        return [each.reason for each in stores.alerts.unresolved()]


def unsent(world: World, *, age: timedelta) -> Callable[[DeliveryState], None]:
    """Return what gives a message to ops, of that age, another state."""
    at = world.clock.now() - age
    with world.database.transaction() as stores:
        stores.outbox.add(a_message(at=at))
        stores.outbox.route("msg_1", ["ops"], at)

    def note(state: DeliveryState) -> None:
        with world.database.transaction() as stores:
            [delivery] = stores.outbox.due("ops", world.clock.now(), 1)
            tried = Attempt(
                number=delivery.attempts + 1, at=world.clock.now(), error="it timed out"
            )
            stores.outbox.note(delivery, tried, state, world.clock.now())

    return note


def test_metadata_that_nobody_renews_is_told_once_and_until_it_is_renewed(world: World) -> None:
    world.advance(3 * HOUR - 60)
    look(world)
    assert reasons(world) == []

    world.advance(60)
    look(world)
    world.advance(60)
    look(world)

    [message] = told(world)
    assert message.type == "serinus.alert.metadata_not_refreshed"
    assert (message.app, message.rollout) == (APP, "")
    assert message.text.startswith(f"{APP}, ")
    assert "The signed metadata of demo was last renewed at " in message.text
    assert reasons(world) == ["metadata_not_refreshed"]
    world.services().renewer.renew(APP)
    look(world)

    resolved = told(world)[-1]
    assert reasons(world) == []
    assert (resolved.type, resolved.resolves) == ("serinus.alert.resolved", (message.alert,))
    assert "automatic. Resolved after 1 min: NOT RENEWED demo" in resolved.text


def test_an_app_that_is_not_registered_has_nothing_to_renew(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, ["stable"], ["linux-x86_64"])
    world.advance(100 * HOUR)
    look(world)

    assert reasons(world) == []


def test_messages_that_do_not_arrive_are_told_to_others_until_one_does(world: World) -> None:
    note = unsent(world, age=timedelta(minutes=16))
    note(DeliveryState.PENDING)
    look(world)
    look(world)

    [message] = told(world)
    assert message.type == "serinus.alert.undelivered"
    assert (message.app, message.not_to) == ("", "ops")
    assert "1 message to ops has not been delivered since " in message.text
    assert reasons(world) == ["undelivered:ops"]
    world.advance(60)
    note(DeliveryState.DELIVERED)
    look(world)

    assert reasons(world) == []
    assert told(world)[-1].resolves == (message.alert,)


def test_a_message_that_is_tried_for_minutes_only_is_told_nobody(world: World) -> None:
    unsent(world, age=timedelta(minutes=14))(DeliveryState.PENDING)
    look(world)

    assert reasons(world) == []


def test_each_target_has_an_alert_of_its_own(world: World) -> None:
    unsent(world, age=timedelta(hours=1))(DeliveryState.PENDING)
    with world.database.transaction() as stores:
        stores.outbox.route("msg_1", ["chat"], world.clock.now() - timedelta(hours=1))
        [delivery] = stores.outbox.due("chat", world.clock.now(), 1)
        tried = Attempt(number=1, at=world.clock.now(), error="gone")
        stores.outbox.note(delivery, tried, DeliveryState.DEAD, world.clock.now())
    look(world)

    assert reasons(world) == ["undelivered:chat", "undelivered:ops"]


def test_an_idle_look_writes_nothing(world: World) -> None:
    world.advance(4 * HOUR)
    look(world)
    before = world.database._state
    world.advance(60)
    look(world)

    assert world.database._state is before


def test_an_alert_whose_message_has_expired_ends_without_a_word(world: World) -> None:
    world.advance(4 * HOUR)
    look(world)
    with world.database.transaction() as stores:
        for message in stores.outbox.unrouted(10):
            stores.outbox.route(message.id, [], world.clock.now())
        stores.outbox.expire(world.clock.now() + timedelta(days=1))
    world.services().renewer.renew(APP)
    look(world)

    assert (reasons(world), told(world)) == ([], [])


def test_what_was_over_long_ago_is_deleted(world: World) -> None:
    world.advance(4 * HOUR)
    look(world)
    world.services().renewer.renew(APP)
    look(world)
    with world.database.transaction() as stores:
        for message in stores.outbox.unrouted(10):
            stores.outbox.route(message.id, [], world.clock.now())
    world.advance(KEEP_MESSAGES.total_seconds() + 1)

    ServerWatch(world.database, world.clock).expire()

    state = world.database._state
    assert (len(state.messages), len(state.alerts)) == (0, 0)
