"""Channels are parsed once for as long as nothing changes, and never shown as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from packaging.version import Version

from rollout.model import RolloutState
from tests.admin_world import APP, STABLE, World
from tests.fakes.stores import FakeReleases
from update_server.service.repository.desired import desired_for
from update_server.service.rollouts.channels import NO_CHANNEL, Channel, ChannelBook

PLACE = (APP, STABLE)
NEXT_CHECK_IN = 14_400


@pytest.fixture
def book() -> ChannelBook:
    return ChannelBook(next_check_in_seconds=NEXT_CHECK_IN)


def look(world: World, book: ChannelBook) -> Channel:
    with world.database.reading() as stores:
        return book.look(stores, [PLACE], world.clock.now())[PLACE]


def pause(world: World) -> None:
    with world.database.reading() as stores:
        (rollout, *_) = stores.rollouts.of_app(APP)
    world.services().control.pause(world.caller(), APP, rollout.id)


@pytest.mark.parametrize(
    "change",
    [pause, lambda world: world.change_policy(floor=Version("1.0.0"))],
    ids=["pause", "policy"],
)
def test_what_changed_is_read_anew(
    released: World, book: ChannelBook, change: Callable[[World], object]
) -> None:
    released.start("2.1.0")
    before = look(released, book)

    change(released)

    after = look(released, book)
    assert after != before
    with released.database.reading() as stores:
        now = desired_for(stores, APP, STABLE, released.clock.now(), NEXT_CHECK_IN)
    assert after.desired == now
    assert (after.policy, after.rollouts) == (now.policy, now.rollouts)
    assert after.published


def test_what_did_not_change_is_not_read_again(
    released: World, book: ChannelBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    released.start("2.1.0")
    before = look(released, book)

    def never(*_: object) -> None:
        pytest.fail("its documents were read again")

    monkeypatch.setattr(FakeReleases, "documents", never)
    released.advance(3_600)

    assert look(released, book) is before


def test_a_wish_is_seen_before_it_is_in_force(released: World, book: ChannelBook) -> None:
    rollout = released.start("2.1.0")
    assert look(released, book).published

    with released.database.transaction() as stores:
        wish = replace(rollout, state=RolloutState.PAUSED, revision=rollout.revision + 1)
        stores.rollouts.replace(rollout, wish)

    assert not look(released, book).published


def test_of_a_channel_without_anything_nothing_is_known(released: World, book: ChannelBook) -> None:
    with released.database.reading() as stores:
        found = book.look(stores, [(APP, "beta")], released.clock.now())

    assert found == {(APP, "beta"): NO_CHANNEL}
    assert not NO_CHANNEL.published


def test_an_older_snapshot_is_shown_as_it_was(released: World, book: ChannelBook) -> None:
    released.start("2.1.0")
    now = released.clock.now()
    with released.database.reading() as older:
        before = book.look(older, [PLACE], now)[PLACE]
        pause(released)
        with released.database.reading() as newer:
            after = book.look(newer, [PLACE], now)[PLACE]
            assert after != before
            assert book.look(older, [PLACE], now)[PLACE] == before
            assert book.look(newer, [PLACE], now)[PLACE] == after


def test_all_channels_of_an_app_are_told_of(released: World, book: ChannelBook) -> None:
    with released.database.reading() as stores:
        found = book.all(stores, APP, released.clock.now())
        assert found == book.look(stores, [PLACE], released.clock.now())
        assert book.all(stores, "other", released.clock.now()) == {}
