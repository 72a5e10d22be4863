"""The controller leads or waits, does each of its duties by itself, and ends what was begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Arm, RolloutId, RolloutState
from signing.metadata import parse_timestamp
from tests.admin_world import APP, World, a_released_world, a_world
from tests.fakes.spool import FakeSpoolReader
from tests.kill_switch import KilledError, KillSwitch
from update_server.controller import (
    EXTEND_SECONDS,
    JUDGE_SECONDS,
    LEAD_SECONDS,
    SPOOLED_WITHIN,
    TIDY_SECONDS,
    Controller,
    Leadership,
)
from update_server.evidence.cuts import GRID_SECONDS, SETTLING_SECONDS
from update_server.service.ports import Contact, Event, Role, UnavailableError
from update_server.service.repository.fsck import Fsck
from update_server.service.rollouts.recount import Recounter
from update_server.service.studies.carry_out import Executor
from update_server.service.studies.judge import Judge
from update_server.service.telemetry.digest import Digest, Digested

HOUR = 3_600.0


@dataclass(kw_only=True)
class Office:
    """A world with controllers."""

    world: World
    spools: FakeSpoolReader = field(default_factory=FakeSpoolReader)
    told: list[str] = field(default_factory=list)

    def controller(self, name: str = "a", spools: Any = None) -> Controller:
        """Return a controller process that has just started."""
        world, services = self.world, self.world.services()
        return Controller(
            world.database,
            world.clock,
            leadership=Leadership(world.database, world.clock, name),
            blobs=world.blobs,
            digest=Digest(world.database, spools or self.spools),
            judge=Judge(
                world.database,
                Executor(
                    world.database,
                    world.clock,
                    control=services.control,
                    holds=services.holds,
                    log=self.told.append,
                ),
            ),
            reconciler=services.reconciler,
            renewer=services.renewer,
            recounter=Recounter(world.database, world.clock, next_check_in_seconds=14_400),
            log=self.told.append,
        )

    def contact(self) -> Contact:
        return Contact(
            app=APP,
            install_key=b"k" * 32,
            at=self.world.clock.now(),
            channel="stable",
            platform="linux-x86_64",
            version="2.0.0",
            action="stay",
            reason="up_to_date",
            arm=Arm.CONTROL,
        )

    def session(self) -> Event:
        """Return a session that crashed."""
        now = self.world.clock.now()
        return Event(
            app=APP,
            install_key=b"k" * 32,
            id="e1",
            at=now,
            received_at=now,
            kind="session",
            version="2.0.0",
            body={"sid": "s1", "status": "crashed"},
        )

    @property
    def contacts(self) -> int:
        return len(self.world.database._state.contacts)

    @property
    def timestamp(self) -> Any:
        return parse_timestamp(self.world.blobs.blobs[f"apps/{APP}/tuf/timestamp.json"]).signed


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    return a_released_world(tmp_path_factory.mktemp("world") / "signer")


@pytest.fixture
def office(prepared: World, tmp_path: Path) -> Office:
    return Office(world=prepared.fork(tmp_path / "signer"))


# --- leading ------------------------------------------------------------------------------


def test_of_two_controllers_one_works_and_the_other_follows_when_it_dies(office: Office) -> None:
    first, second = office.controller("a"), office.controller("b")
    first.round()
    office.spools.writer("web").contact(office.contact())

    second.round()
    assert office.contacts == 0  # it does not lead, and so does nothing

    office.world.advance(LEAD_SECONDS - 1)
    second.round()
    assert office.contacts == 0
    office.world.advance(2)
    second.round()
    assert office.contacts == 1
    assert office.told == []


def test_a_leader_that_lives_keeps_the_lead(office: Office) -> None:
    first, second = office.controller("a"), office.controller("b")
    for _ in range(10):
        first.round()
        office.world.advance(EXTEND_SECONDS)
        second.round()
    office.spools.writer("web").contact(office.contact())

    second.round()
    assert office.contacts == 0
    first.round()
    assert office.contacts == 1


def test_a_leader_writes_its_lease_only_now_and_then(office: Office) -> None:
    leadership = Leadership(office.world.database, office.world.clock, "a")
    assert leadership.holds()
    office.world.database.down = True
    office.world.advance(EXTEND_SECONDS - 1)

    assert leadership.holds()
    office.world.advance(1)
    with pytest.raises(UnavailableError):
        leadership.holds()


# --- duties -------------------------------------------------------------------------------


def test_what_was_spooled_is_counted(office: Office) -> None:
    office.spools.writer("web").contact(office.contact())

    office.controller().round()

    assert office.contacts == 1


def test_a_timestamp_is_renewed_each_hour_and_not_before(office: Office) -> None:
    controller = office.controller()
    controller.round()
    before = office.timestamp.version
    office.world.advance(HOUR - 60)
    controller.round()
    assert office.timestamp.version == before

    office.world.advance(60)
    controller.round()
    controller.round()

    assert office.timestamp.version == before + 1


def test_a_rollout_that_has_soaked_in_its_last_step_is_completed(office: Office) -> None:
    world = office.world
    rollout = world.start("2.1.0")
    controller = office.controller()
    control = world.services().control
    for _ in range(2):
        world.advance(60)
        rollout = control.promote(world.caller(), APP, rollout.id)
    controller.round()

    assert world.rollout(rollout).state is RolloutState.COMPLETED


def test_a_journal_that_was_not_published_is_published(office: Office, tmp_path: Path) -> None:
    """The admin app was killed in every moment of a start; the controller ends or undoes it."""
    for moment in range(100):
        world = office.world.fork(tmp_path / f"fork-{moment}")
        switch = KillSwitch(moment)
        services = world.services(
            database=switch.database(world.database),
            blobs=switch.blobs(world.blobs),
            signer=switch.signer(world.signer),
        )
        caller = world.caller()
        try:
            services.control.start(caller, APP, "stable", Version("2.1.0"))
        except KilledError:
            world.advance(60)  # the dead one's lease on the repository runs out
            repairing = Office(world=world)
            repairing.controller().round()
            # What was not signed yet needs the operator, who is gone: it is taken back.
            assert [
                line for line in repairing.told if "0 of 1 operators approved" not in line
            ] == []
            with world.database.reading() as stores:
                assert stores.journal.unpublished() == []
            findings = Fsck(
                world.database, world.blobs, world.clock, next_check_in_seconds=14_400
            ).check()
            assert findings == ()
        else:
            assert moment > 3
            return
    raise AssertionError("the start never ended")


def test_old_identities_and_uploads_are_tidied_up_daily(office: Office) -> None:
    spool = office.spools.writer("web")
    spool.contact(office.contact())
    spool.events([office.session()])
    spool.events([replace(office.session(), id="aside", quarantine="implausible")])
    controller = office.controller()
    controller.round()
    state = office.world.database._state
    assert (office.contacts, len(state.histories)) == (1, 1)
    assert (len(state.sessions), len(state.reports)) == (1, 1)
    assert (len(state.asides), len(state.aside_counts)) == (1, 1)
    assert state.arrivals

    office.world.advance(200 * TIDY_SECONDS)
    controller.round()

    state = office.world.database._state
    assert (office.contacts, len(state.histories)) == (0, 0)
    assert (len(state.sessions), len(state.reports)) == (0, 0)
    assert (state.asides, state.aside_counts, state.arrivals) == ({}, {}, {})


# --- faults -------------------------------------------------------------------------------


class BrokenSpools(FakeSpoolReader):
    """Spools on a disk that is gone, while ``broken``."""

    broken = True

    def spools(self) -> Any:
        if self.broken:
            raise OSError("the disk is gone")
        return super().spools()


def test_a_failing_duty_is_told_once_and_keeps_no_other_from_its_own(office: Office) -> None:
    spools = BrokenSpools()
    controller = office.controller(spools=spools)
    controller.round()
    before = office.timestamp.version
    office.world.advance(HOUR)

    controller.round()
    controller.round()

    assert office.told == ["telemetry failed: OSError: the disk is gone"]
    assert office.timestamp.version == before + 1
    spools.broken = False
    controller.round()
    controller.round()
    assert office.told[1:] == ["telemetry works again"]


def test_another_failure_of_the_same_duty_is_told_as_well(office: Office) -> None:
    controller = office.controller()
    office.world.database.down = True
    controller.round()
    controller.round()
    office.world.database.down = False
    controller.round()

    assert office.told == [
        "leading failed: UnavailableError: the database does not answer",
        "leading works again",
    ]


def test_who_publishes_just_now_is_no_failure(office: Office) -> None:
    controller = office.controller()
    controller.round()
    office.world.advance(HOUR)
    now = office.world.clock.now()
    with office.world.database.transaction() as stores:
        stores.apps.take_lease(APP, "a publisher", now, 30)

    controller.round()

    assert office.told == []


def test_an_app_that_is_not_registered_is_left_alone(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, ["stable"], ["linux-x86_64"])
    office = Office(world=world)

    office.controller().round()

    assert office.told == []


@pytest.fixture
def running(office: Office) -> Iterator[tuple[threading.Event, threading.Thread]]:
    stop = threading.Event()
    thread = threading.Thread(target=office.controller().run, args=(stop,))
    thread.start()
    yield stop, thread
    stop.set()
    thread.join(20)


def test_it_works_until_it_is_told_to_stop(
    office: Office, running: tuple[threading.Event, threading.Thread]
) -> None:
    stop, thread = running
    office.spools.writer("web").contact(office.contact())
    stop.set()
    thread.join(20)

    assert not thread.is_alive()


# --- judging ------------------------------------------------------------------------------


@dataclass
class Witness:
    """A judge that only writes down what it is asked."""

    asked: list[datetime] = field(default_factory=list)
    hurries: bool = False

    def studies(self) -> list[Any]:
        return [SimpleNamespace(rollout="ro_1")]

    def judge(self, _: Any, caught_up_to: datetime) -> None:
        self.asked.append(caught_up_to)

    def undone(self) -> list[Any]:
        return []


def watched(office: Office, **digested: Any) -> tuple[Controller, Witness]:
    """Return a controller whose digest always tells the same, and its judge."""
    controller, witness = office.controller(), Witness()
    controller._judge = witness  # type: ignore[assignment]
    controller._digest = SimpleNamespace(run=lambda: Digested(**digested))  # type: ignore[assignment]
    return controller, witness


def test_studies_are_judged_by_what_was_received_until_shortly_before(office: Office) -> None:
    controller, witness = watched(office, contacts=1)

    controller.round()

    assert witness.asked == [office.world.clock.now() - SPOOLED_WITHIN]


def test_while_spools_hold_more_no_time_has_passed_for_the_judge(office: Office) -> None:
    controller, witness = watched(office, contacts=1, more=True)
    for _ in range(3):
        office.world.advance(60)
        controller.round()

    assert len(set(witness.asked)) == 1
    assert witness.asked[0].year == 1


@pytest.mark.parametrize(("hurries", "looks"), [(False, 2), (True, 4)])
def test_without_news_studies_are_looked_at_now_and_then(
    office: Office, hurries: bool, looks: int
) -> None:
    controller, witness = watched(office)
    witness.hurries = hurries
    for _ in range(4):
        controller.round()
        office.world.advance(JUDGE_SECONDS / 2)

    assert len(witness.asked) == looks


def test_a_study_that_cannot_be_read_keeps_no_other_from_being_judged(office: Office) -> None:
    world = office.world
    rollout = world.start("2.1.0")
    with world.database.transaction() as stores:
        study = stores.studies.get(rollout.id)
        other = replace(study, rollout=RolloutId("ro_damaged"), state=b"no state", version=1)
        stores.studies.add(other)
        stores.studies.add_facts(other.rollout, [b"no fact"])

    controller = office.controller()
    controller.round()
    world.advance(GRID_SECONDS + 2 * SETTLING_SECONDS)
    controller.round()

    with world.database.reading() as stores:
        assert stores.studies.count_facts(rollout.id) == 0
    assert [line for line in office.told if "ro_damaged" in line] == office.told
    assert len(office.told) == 1
