"""Recounts: what is counted when, and how little of the time that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.model import Arm, Rollout, RolloutId, RolloutState
from tests.fakes import FakeClock, FakeDatabase
from tests.fakes.database import FakeStores
from tests.store.values import ROLLOUT, a_contact, a_control, a_rollout, an_app, an_event
from update_server.service.ports import FunnelCell, Phase
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Recount, Slice
from update_server.service.rollouts.recount import EVERY_SECONDS, SHARE, STATED, Recounter

DAY = timedelta(days=1)
SMALL = RolloutId("ro_small")
OTHER = RolloutId("ro_other")


class Office:
    """A database with rollouts, and who counts them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.database = FakeDatabase()
        self.writes = 0
        self.looks: list[str] = []
        self.seconds_an_install = 0.0
        with self.database.transaction() as stores:
            stores.apps.add(an_app())

    def start(self, rollout_id: str = ROLLOUT, **changes: Any) -> Rollout:
        rollout = a_rollout(rollout_id, changed_at=self.clock.now(), **changes)
        with self.database.transaction() as stores:
            stores.rollouts.add(rollout)
        return rollout

    def tell(self, *records: Any) -> None:
        with self.database.transaction() as stores:
            for record in records:
                is_event = hasattr(record, "received_at")
                stores.telemetry.absorb([] if is_event else [record], [record] if is_event else [])

    def recounter(self, most: int = 10) -> Recounter:
        return Recounter(_Watched(self), self.clock, next_check_in_seconds=14_400, most=most)

    def found(self, rollout: str = ROLLOUT) -> Recount | None:
        with self.database.reading() as stores:
            return stores.recounts.of([RolloutId(rollout)]).get(RolloutId(rollout))

    def counted(self) -> Recount:
        found = self.found()
        assert found is not None
        return found


class _Watched:
    """The office's database: each look at installs takes its time there."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @contextmanager
    def reading(self) -> Iterator[FakeStores]:
        with self._office.database.reading() as stores:
            counted = stores.recounts.slice

            def slow(rollout: Rollout, **asked: Any) -> Slice:
                known = sum(name == rollout.id for name, _ in stores.recounts._state.progress)
                looked_at = min(known, asked["most"])
                self._office.looks.append(rollout.id)
                self._office.clock.advance(
                    timedelta(seconds=self._office.seconds_an_install * looked_at)
                )
                return counted(rollout, **asked)

            stores.recounts.slice = slow  # type: ignore[method-assign]
            yield stores

    @contextmanager
    def transaction(self) -> Iterator[FakeStores]:
        self._office.writes += 1
        with self._office.database.transaction() as stores:
            yield stores


@pytest.fixture
def office() -> Office:
    return Office()


def contacts(names: Sequence[str], rollout: str = ROLLOUT) -> list[Any]:
    return [a_contact(name, rollout=RolloutId(rollout)) for name in names]


def test_a_live_rollout_is_counted_at_once(office: Office) -> None:
    office.start()
    now = office.clock.now()
    office.tell(
        a_contact("1", at=now - 2 * DAY),
        an_event("1", phase=Phase.APPLIED),
        a_control("2", at=now - 2 * DAY, telemetry="off"),
    )

    office.recounter().step()

    assert office.found() == Recount(
        rollout=ROLLOUT,
        counted_at=now,
        silent=(FunnelCell(ring="1%", arm=Arm.CANDIDATE, step="silent", installs=1),),
        levels=(
            LevelCount(arm=Arm.CANDIDATE, level="crash", installs=1),
            LevelCount(arm=Arm.CONTROL, level="off", installs=1),
        ),
    )


def test_a_pulled_one_is_counted_with_those_that_only_run_it(office: Office) -> None:
    office.start(state=RolloutState.PULLED)
    now = office.clock.now()
    runs_it = a_control("2", version="2.1.0", rollout=None, arm=None, at=now)
    office.tell(a_contact("1"), runs_it, replace(runs_it, install_key=b"3"))

    recounter = office.recounter(most=1)
    recounter.step()

    assert office.counted().pull == PullCounts(offered=3, downloaded=2, installed=2, still_on=2)


@pytest.mark.parametrize("state", [RolloutState.COMPLETED, RolloutState.SUPERSEDED])
def test_what_is_over_is_not_counted(office: Office, state: RolloutState) -> None:
    office.start(state=state)
    office.tell(*contacts("12"))

    office.recounter().step()

    assert (office.found(), office.looks, office.writes) == (None, [], 0)


def test_it_is_counted_again_after_a_second_and_stored_if_it_is_news(office: Office) -> None:
    office.start()
    recounter = office.recounter()

    recounter.step()
    recounter.step()
    assert (len(office.looks), office.writes) == (1, 1)

    office.clock.advance(timedelta(seconds=EVERY_SECONDS))
    recounter.step()
    assert (len(office.looks), office.writes) == (2, 1)

    office.tell(*contacts("1"))
    office.clock.advance(timedelta(seconds=EVERY_SECONDS))
    recounter.step()
    assert (len(office.looks), office.writes) == (3, 2)

    office.clock.advance(STATED)
    recounter.step()
    assert office.writes == 3
    assert office.counted().counted_at == office.clock.now()


def test_many_installs_are_counted_in_a_small_part_of_the_time(office: Office) -> None:
    office.start()
    office.tell(*contacts([f"{n:03}" for n in range(100)]))
    office.seconds_an_install = 0.02
    recounter = office.recounter(most=10)
    began = office.clock.monotonic()

    rounds = 0
    while office.found() is None:
        recounter.step()
        office.clock.advance(timedelta(seconds=0.5))
        rounds += 1

    passed = office.clock.monotonic() - began
    assert len(office.looks) == 10
    assert len(office.looks) * 10 * office.seconds_an_install / passed == pytest.approx(
        SHARE, rel=0.2
    )
    assert office.counted().levels[0].installs == 100


def test_a_small_rollout_does_not_wait_until_a_large_one_is_counted(office: Office) -> None:
    office.start()
    office.start(SMALL)
    office.tell(*contacts([f"{n:03}" for n in range(100)]), *contacts("1", SMALL))
    office.seconds_an_install = 0.02
    recounter = office.recounter(most=10)

    while office.found() is None:
        recounter.step()
        office.clock.advance(timedelta(seconds=0.5))

    assert office.looks.count(SMALL) >= 10


def test_a_count_begins_anew_when_the_rollout_changes(office: Office) -> None:
    rollout = office.start()
    office.tell(*contacts("abc"))
    office.seconds_an_install = 1.0
    recounter = office.recounter(most=2)
    recounter.step()
    pulled = replace(rollout, state=RolloutState.PULLED, revision=rollout.revision + 1)
    with office.database.transaction() as stores:
        stores.rollouts.replace(rollout, pulled)

    office.seconds_an_install = 0.0
    office.clock.advance(timedelta(minutes=10))
    recounter.step()

    assert office.counted().pull == PullCounts(offered=3)


def test_one_that_is_over_waits_no_longer(office: Office) -> None:
    rollout = office.start()
    office.start(OTHER)
    office.tell(*contacts("abc"))
    office.seconds_an_install = 1.0
    recounter = office.recounter(most=2)
    recounter.step()
    with office.database.transaction() as stores:
        done = replace(rollout, state=RolloutState.COMPLETED, revision=rollout.revision + 1)
        stores.rollouts.replace(rollout, done)

    office.clock.advance(timedelta(minutes=10))
    recounter.step()

    assert office.found() is None
    assert office.found(OTHER) is not None
