from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from rollout.model import Action, Reason, RolloutState
from signing.contents import RELEASE_FILE
from tests.public_world import (
    APP,
    CHANNEL,
    LEASE_SECONDS,
    PLATFORM,
    V1,
    V2,
    World,
    a_completed_entry,
    a_rollout,
    a_world,
    add_app,
    an_entry,
    empty_world,
)
from update_server.service.agents.refresh import Refreshed, ensure_secrets
from update_server.service.errors import NotReadyError
from update_server.service.ports import NotFoundError, StoredTarget, UnavailableError
from update_server.service.ports.settings import AppSettings


@pytest.fixture
def world() -> World:
    return a_world()


def break_rollout(world: World) -> None:
    with world.database.transaction() as stores:
        stored = next(d for d in stores.releases.documents(APP) if d.kind == "rollout")
        broken = replace(stored, version=stored.version + 1_000, document=b"{")
        stores.releases.put_document(broken)
        stores.apps.bump(APP)


def test_only_the_app_that_changed_is_rebuilt(world: World) -> None:
    add_app(world, "other")
    world.refresh()
    before = world.tables.all()
    world.put_rollout(an_entry(), a_completed_entry())

    refreshed = world.refresher.refresh()

    after = world.tables.all()
    assert refreshed == Refreshed(rebuilt=(APP,))
    assert after["other"].table is before["other"].table
    assert after[APP].table is not before[APP].table


def test_nothing_is_rebuilt_when_nothing_changed(world: World) -> None:
    assert world.refresher.refresh() == Refreshed()


def test_a_table_has_what_operators_set(world: World) -> None:
    before = world.tables.of(APP).table.settings
    wanted = AppSettings(crash_messages=True, app_keys=("0" * 32,))
    with world.database.transaction() as stores:
        stores.settings.put(APP, wanted)
        stores.apps.bump(APP)

    world.refresh()

    assert before == AppSettings()
    assert world.tables.of(APP).table.settings == wanted


def test_a_rebuild_parses_no_release_again(world: World) -> None:
    before = world.tables.of(APP).table.releases[CHANNEL, PLATFORM]
    world.put_rollout(an_entry())
    world.refresh()

    after = world.tables.of(APP).table.releases[CHANNEL, PLATFORM]
    assert after[V1] is before[V1]


def test_an_app_shows_up_and_is_answered_for() -> None:
    world = empty_world()
    world.refresh()
    add_app(world)

    assert world.refresher.refresh().rebuilt == (APP,)


def test_a_table_is_confirmed_as_of_before_the_read(world: World) -> None:
    """A change committed while the read ran may be missing from what was read."""
    reading = world.database.reading

    def slow_reading() -> object:
        world.advance(LEASE_SECONDS / 2)
        return reading()

    world.database.reading = slow_reading  # type: ignore[assignment,method-assign]
    world.refresh()

    assert world.tables.age_seconds(world.tables.of(APP)) == LEASE_SECONDS / 2


def test_what_a_pull_changed_is_seen_at_the_next_look(world: World) -> None:
    assert world.check_in().assignment.action is Action.UPDATE
    world.put_rollout(an_entry(state=RolloutState.PULLED), a_completed_entry())

    world.refresh()

    assert world.check_in().assignment.reason is Reason.PULLED


def test_the_database_being_down_confirms_nothing(world: World) -> None:
    world.database.is_down = True
    world.advance(LEASE_SECONDS)

    with pytest.raises(UnavailableError):
        world.refresh()
    assert world.check_in().assignment.reason is Reason.STALE_SERVER


def test_an_app_that_cannot_be_built_is_not_confirmed_but_the_others_are(world: World) -> None:
    add_app(world, "other")
    world.refresh()
    break_rollout(world)
    world.advance(LEASE_SECONDS)

    refreshed = world.refresher.refresh()

    assert refreshed == Refreshed(failed=(APP,))
    assert not world.tables.is_live(world.tables.of(APP))
    assert world.tables.is_live(world.tables.of("other"))
    assert world.check_in().assignment.reason is Reason.STALE_SERVER


def test_an_app_that_never_could_be_built_is_unknown() -> None:
    world = empty_world()
    add_app(world)
    world.put_policy()
    world.put_rollout(an_entry())
    break_rollout(world)

    assert world.refresher.refresh() == Refreshed(failed=(APP,))
    assert APP not in world.tables.all()


def test_a_database_that_went_back_in_time_is_followed(world: World) -> None:
    held = world.tables.of(APP)
    newer = replace(held.table, generation=held.table.generation + 50)
    world.tables.replace({APP: replace(held, table=newer)}, world.tables.secrets)

    assert world.refresher.refresh().rebuilt == (APP,)


def test_a_pulled_rollout_marks_its_release(world: World) -> None:
    world.put_db_rollout(a_rollout(state=RolloutState.PULLED))
    world.refresh()

    assert world.tables.of(APP).table.pulled == {(CHANNEL, V2)}


def test_a_release_document_is_not_withdrawn_with_its_release(world: World) -> None:
    path = f"{APP}/releases/{CHANNEL}/{PLATFORM}/{V2}/{RELEASE_FILE}"
    release = (CHANNEL, PLATFORM, str(V2))
    with world.database.transaction() as stores:
        target = StoredTarget(app=APP, path=path, sha256="a" * 64, length_bytes=3, release=release)
        stores.releases.add_targets([target])
        stores.apps.bump(APP)
    world.refresh()

    assert world.tables.of(APP).table.files[path].version is None


def test_secrets_stay_as_the_first_process_made_them() -> None:
    world = empty_world()

    ensure_secrets(world.database, lambda: b"other")
    world.refresh()

    assert world.tables.secrets.pepper == b"s" * 32


def test_secrets_that_are_missing_leave_the_process_unready() -> None:
    world = World()

    with pytest.raises(NotFoundError):
        world.refresh()
    assert not world.tables.is_ready
    with pytest.raises(NotReadyError):
        _ = world.tables.secrets


def test_a_file_that_belongs_to_no_release_is_known_too(world: World) -> None:
    with world.database.transaction() as stores:
        target = StoredTarget(app=APP, path="notes.txt", sha256="a" * 64, length_bytes=3)
        stores.releases.add_targets([target])
        stores.apps.bump(APP)
    world.refresh()

    known = world.tables.of(APP).table.files["notes.txt"]
    assert (known.path, known.version) == (f"{'a' * 64}.notes.txt", None)


class TestTheLoop:
    def test_it_outlives_an_outage_and_logs_its_ends_once(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        stop = Looks(world, down=[True, True, False, False])

        world.refresher.run(stop)

        said = [record.message for record in caplog.records]
        assert said == ["tables could not be confirmed", "tables are confirmed again"]
        assert world.tables.is_live(world.tables.of(APP))

    def test_four_looks_fit_into_a_lease(self, world: World) -> None:
        stop = Looks(world, down=[False])

        world.refresher.run(stop)

        assert stop.pauses == [LEASE_SECONDS / 4]


class Looks(threading.Event):
    """Ends the loop after some looks, before each of which the database is up or down."""

    def __init__(self, world: World, down: list[bool]) -> None:
        super().__init__()
        self._world = world
        self._down = down
        self.pauses: list[float] = []
        world.database.is_down = down.pop(0)

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        if not self._down:
            self.set()
        else:
            self._world.database.is_down = self._down.pop(0)
        return self.is_set()
