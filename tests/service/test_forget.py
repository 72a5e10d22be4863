from __future__ import annotations

import pytest

from tests.public_world import APP, HIGH_BUCKET, LOW_BUCKET, World, a_world
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.errors import BadTokenError, UnknownAppError
from update_server.service.ports import UnavailableError
from update_server.web.wire_events import KINDS


@pytest.fixture
def world() -> World:
    return a_world()


def test_the_wish_is_durable_before_it_is_acknowledged(world: World) -> None:
    world.services.forget.forget(APP, LOW_BUCKET, world.check_in().token)

    event = world.taken[0]
    assert event.kind == FORGET_KIND
    assert event.install_key == world.contacts[0].install_key


def test_it_works_while_the_database_is_down(world: World) -> None:
    token = world.check_in().token
    world.database.is_down = True
    world.advance(3_600)

    world.services.forget.forget(APP, LOW_BUCKET, token)

    assert len(world.taken) == 1


def test_nobody_can_have_another_install_forgotten(world: World) -> None:
    token = world.check_in(HIGH_BUCKET).token

    with pytest.raises(BadTokenError):
        world.services.forget.forget(APP, LOW_BUCKET, token)
    assert world.taken == []


def test_a_full_disk_promises_nothing(world: World) -> None:
    token = world.check_in().token
    world.spool.full = True

    with pytest.raises(UnavailableError):
        world.services.forget.forget(APP, LOW_BUCKET, token)


def test_an_unknown_app_is_named(world: World) -> None:
    with pytest.raises(UnknownAppError):
        world.services.forget.forget("nope", LOW_BUCKET, "x")


def test_no_event_that_is_sent_can_be_taken_for_the_wish() -> None:
    assert FORGET_KIND not in KINDS
