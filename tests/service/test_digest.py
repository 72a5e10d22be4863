from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.model import Arm
from tests.public_world import (
    APP,
    CHANNEL,
    NOW,
    PLATFORM,
    ROLLOUT,
    World,
    a_rollout,
    a_world,
)
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.ports import Contact, Event, Phase, Stores, UnavailableError
from update_server.service.telemetry.digest import Digest, Digested
from update_server.spool import FileSpool, FileSpoolReader

KEY = b"k" * 32


def a_contact(**fields: Any) -> Contact:
    known: dict[str, Any] = {
        "app": APP,
        "install_key": KEY,
        "at": NOW,
        "channel": CHANNEL,
        "platform": PLATFORM,
        "version": "2.0.0",
        "action": "update",
        "reason": "in_ring",
        "offered": "2.1.0",
        "rollout": ROLLOUT,
        "ring": "1%",
        "arm": Arm.CANDIDATE,
    }
    return Contact(**{**known, **fields})


def an_event(number: int = 0, **fields: Any) -> Event:
    known: dict[str, Any] = {
        "app": APP,
        "install_key": KEY,
        "id": f"00000000-0000-4000-8000-{number:012}",
        "at": NOW,
        "received_at": NOW,
        "kind": "update",
        "version": "2.1.0",
        "phase": Phase.APPLIED,
        "channel": CHANNEL,
        "platform": PLATFORM,
        "body": {"from": "2.0.0"},
    }
    return Event(**{**known, **fields})


def a_wish(**fields: Any) -> Event:
    return an_event(id="", kind=FORGET_KIND, version="", phase=None, **fields)


@pytest.fixture
def world() -> World:
    world = a_world()
    world.put_db_rollout(a_rollout())
    return world


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    return tmp_path / "spools"


@pytest.fixture
def digest(world: World, spools: Path) -> Digest:
    return Digest(world.database, FileSpoolReader(spools))


def fill(spools: Path, name: str, *records: Contact | Event) -> None:
    spool = FileSpool(spools, name)
    for record in records:
        if isinstance(record, Contact):
            spool.contact(record)
        else:
            spool.events([record])
    spool.close()


def funnel(world: World) -> dict[str, int]:
    with world.database.reading() as stores:
        [cells] = stores.telemetry.funnels([a_rollout().id]).values()
    return {cell.step: cell.installs for cell in cells}


def test_what_was_spooled_is_in_the_funnel(world: World, spools: Path, digest: Digest) -> None:
    fill(spools, "web-1", a_contact(), an_event())

    done = digest.run()

    assert (done.contacts, done.events, done.new_events, done.more) == (1, 1, 1, False)
    assert funnel(world)["contacts"] == 1
    assert funnel(world)["applied"] == 1


def test_an_empty_folder_is_no_work(digest: Digest) -> None:
    assert digest.run() == Digested()


def test_a_second_run_finds_nothing_more(world: World, spools: Path, digest: Digest) -> None:
    fill(spools, "web-1", a_contact(), an_event())
    digest.run()

    assert digest.run() == Digested()
    assert funnel(world)["contacts"] == 1


def test_an_event_that_came_twice_counts_once(spools: Path, digest: Digest) -> None:
    fill(spools, "web-1", a_contact(), an_event(), an_event())
    fill(spools, "web-2", an_event())

    assert digest.run().new_events == 1


def test_a_digest_that_is_killed_begins_again_where_the_checkpoint_stands(
    world: World, spools: Path
) -> None:
    fill(spools, "web-1", a_contact(), an_event())
    with pytest.raises(UnavailableError):
        Digest(_Dying(world), FileSpoolReader(spools)).run()
    assert funnel(world).get("contacts", 0) == 0

    Digest(world.database, FileSpoolReader(spools)).run()

    assert funnel(world)["contacts"] == 1


def test_the_spool_of_a_dead_process_goes_once_it_is_digested(
    world: World, spools: Path, digest: Digest
) -> None:
    fill(spools, "web-1", a_contact())

    digest.run()

    assert list(spools.glob("*.spool")) == []
    assert funnel(world)["contacts"] == 1


def test_the_spool_of_a_live_process_stays(spools: Path, digest: Digest) -> None:
    spool = FileSpool(spools, "web-1")
    spool.events([an_event()])

    digest.run()

    assert len(list(spools.glob("*.spool"))) == 1
    spool.close()


def test_many_records_are_digested_in_rounds(world: World, spools: Path) -> None:
    fill(spools, "web-1", *(an_event(number) for number in range(7)))

    done = Digest(world.database, FileSpoolReader(spools), records_per_spool=2).run()

    assert (done.events, done.new_events, done.more) == (7, 7, False)


def test_rounds_are_bounded_and_the_rest_is_said_to_be_left(world: World, spools: Path) -> None:
    fill(spools, "web-1", *(an_event(number) for number in range(7)))

    done = Digest(world.database, FileSpoolReader(spools), records_per_spool=2).run(rounds=2)

    assert (done.events, done.more) == (4, True)


class TestForgetting:
    def test_an_install_that_wishes_so_is_gone(
        self, world: World, spools: Path, digest: Digest
    ) -> None:
        fill(spools, "web-1", a_contact(), an_event(), a_wish())

        assert digest.run().forgotten == 1
        assert funnel(world).get("contacts", 0) == 0

    def test_other_installs_stay(self, world: World, spools: Path, digest: Digest) -> None:
        fill(spools, "web-1", a_contact(), a_contact(install_key=b"o" * 32), a_wish())

        digest.run()

        assert funnel(world)["contacts"] == 1

    def test_what_another_process_took_in_before_the_wish_goes_too(
        self, world: World, spools: Path, digest: Digest
    ) -> None:
        wish = a_wish(received_at=NOW + timedelta(seconds=1))
        fill(spools, "web-1", wish)
        fill(spools, "web-2", a_contact())

        digest.run()

        assert funnel(world).get("contacts", 0) == 0

    def test_what_comes_after_the_wish_is_new(
        self, world: World, spools: Path, digest: Digest
    ) -> None:
        later = replace(a_contact(), at=NOW + timedelta(seconds=1))
        fill(spools, "web-1", a_contact(), a_wish(), later)

        digest.run()

        assert funnel(world)["contacts"] == 1


class _Dying:
    """A database that is lost in the middle of writing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def reading(self) -> AbstractContextManager[Stores]:
        return self._world.database.reading()

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        with self._world.database.transaction() as stores:
            yield stores
            raise UnavailableError("cut before the commit")


def test_check_ins_and_new_events_are_counted(world: World, spools: Path, digest: Digest) -> None:
    stays = a_contact(action="stay", reason="holdback", offered=None, arm=Arm.CONTROL)
    fill(spools, "web-1", a_contact(), a_contact(), stays, an_event(1), an_event(1), an_event(2))
    digest.run()
    fill(spools, "web-2", a_contact(), an_event(2))
    digest.run()

    with world.database.reading() as stores:
        counted = {(one.name, one.labels): one.by for one in stores.counters.all(APP)}
    assert counted == {
        ("checkins", (("action", "update"), ("reason", "in_ring"))): 3,
        ("checkins", (("action", "stay"), ("reason", "holdback"))): 1,
        ("events", (("kind", "update"),)): 2,
    }
