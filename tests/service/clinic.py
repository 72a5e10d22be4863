"""A server with a fleet of installs that check in and crash, judged round by round."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.model import Arm, Rollout, RolloutState, Step
from tests.admin_world import APP, STABLE, World
from tests.fakes.spool import FakeSpoolReader
from update_server.evidence.settings import May, Settings
from update_server.service.ports import Blobs, Contact, Database, Event, Signer
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.carry_out import Executor
from update_server.service.studies.judge import Judge
from update_server.service.telemetry.digest import Digest

HOUR = 3_600.0
DAY = 86_400.0
LINUX = "linux-x86_64"
HALF = (
    Step(ring="half", exposure_bp=5_000, soak_seconds=60),
    Step(ring="all", exposure_bp=10_000),
)
OPEN = Settings(minimum_age_seconds=0, minimum_check_ins=0, network_cap=0)
"""The published terms, for a fleet that nobody knew before."""
PAUSES = replace(OPEN, automatic=frozenset({May.PAUSE, May.PROMOTE}))
HOLDS = replace(OPEN, automatic=frozenset({May.PAUSE, May.HOLD}))
WITH_STAFF = (
    Step(ring="internal", soak_seconds=60),
    Step(ring="half", exposure_bp=5_000, soak_seconds=60),
    Step(ring="all", exposure_bp=10_000, approvals=1),
)
FLEET = range(400)


@dataclass(kw_only=True)
class Clinic:
    """One rollout, the fleet that it is offered to, and the judge of it."""

    world: World
    rollout: Rollout
    spools: FakeSpoolReader = field(default_factory=FakeSpoolReader)
    log: list[str] = field(default_factory=list)
    _events: int = 0

    # --- the fleet -----------------------------------------------------------------------

    def contact(self, number: int, **fields: Any) -> Contact:
        """Return a check-in of install *number*, in the arm that its bucket says."""
        bucket = int.from_bytes(key_of(number)[:4]) % 10_000
        exposure = self.rollout.step.exposure_bp or 0
        known: dict[str, Any] = {
            "app": APP,
            "install_key": key_of(number),
            "at": self.world.clock.now(),
            "channel": STABLE,
            "platform": LINUX,
            "version": "2.0.0",
            "action": "stay",
            "reason": "in_ring",
            "rollout": self.rollout.id,
            "ring": self.rollout.step.ring,
            "arm": Arm.CANDIDATE if bucket < exposure else Arm.CONTROL,
            "bucket": bucket,
            "network": number.to_bytes(16),
        }
        return Contact(**{**known, **fields})

    def check_in(self, numbers: Iterable[int], **fields: Any) -> None:
        """Let installs check in, one after the other."""
        spool = self.spools.writer("web")
        for number in numbers:
            spool.contact(self.contact(number, **fields))
            self.world.advance(0.01)

    def crash(self, numbers: Iterable[int]) -> None:
        """Let the app crash on installs."""
        spool = self.spools.writer("web")
        for number in numbers:
            self.world.advance(0.01)
            self._events += 1
            now = self.world.clock.now()
            event = Event(
                app=APP,
                install_key=key_of(number),
                id=f"00000000-0000-4000-8000-{self._events:012}",
                at=now,
                received_at=now,
                kind="crash",
                version="2.1.0",
                channel=STABLE,
            )
            spool.events([event])

    def candidates(self, numbers: Iterable[int]) -> list[int]:
        """Return those of *numbers* that are offered the release."""
        return [n for n in numbers if self.contact(n).arm is Arm.CANDIDATE]

    def controls(self, numbers: Iterable[int]) -> list[int]:
        """Return those of *numbers* that are not."""
        return [n for n in numbers if self.contact(n).arm is Arm.CONTROL]

    def fork(self, folder: Path) -> Clinic:
        """Return a copy that shares nothing with this one."""
        return Clinic(
            world=self.world.fork(folder),
            rollout=self.rollout,
            spools=copy.deepcopy(self.spools),
            _events=self._events,
        )

    # --- the server ----------------------------------------------------------------------

    def judge(
        self,
        *,
        database: Database | None = None,
        blobs: Blobs | None = None,
        signer: Signer | None = None,
    ) -> Judge:
        """Return the judge of a controller that has just started."""
        services = self.world.services(database=database, blobs=blobs, signer=signer)
        source = database or self.world.database
        executor = Executor(
            source,
            self.world.clock,
            control=services.control,
            holds=services.holds,
            log=self.log.append,
        )
        return Judge(source, executor)

    def round(self, judge: Judge | None = None, *, database: Database | None = None) -> None:
        """Digest, judge and carry out, as the controller does."""
        judge = judge or self.judge()
        began_at = self.world.clock.now()
        Digest(database or self.world.database, self.spools).run()
        work(judge, began_at)

    @property
    def now(self) -> Rollout:
        """The rollout as it stands."""
        return self.world.rollout(self.rollout)

    @property
    def state(self) -> RolloutState:
        """The state of the rollout."""
        return self.now.state

    @property
    def decisions(self) -> Sequence[StoredDecision]:
        """What was decided, oldest first."""
        with self.world.database.reading() as stores:
            page = stores.decisions.page(APP, rollout=self.rollout.id, limit=100)
        return list(reversed(page))

    @property
    def verdicts(self) -> list[str]:
        """The verdicts, oldest first; or why there was none."""
        return [each.verdict or str(each.record["no_verdict"]) for each in self.decisions]


def work(judge: Judge, caught_up_to: datetime) -> None:
    """Do all that a round does after its digest."""
    for study in judge.studies():
        judge.judge(study, caught_up_to)
    for decision in judge.undone():
        judge.carry_out(decision)


def key_of(number: int) -> bytes:
    """Return the key of an install."""
    return hashlib.sha256(str(number).encode()).digest()


def a_clinic(
    world: World, *, terms: Settings = OPEN, ladder: tuple[Step, ...] = HALF, **policy: Any
) -> Clinic:
    """Return a clinic whose rollout of 2.1.0 has just opened to one half of the fleet."""
    world.change_policy(ramp=ladder, **policy)
    rollout = world.start("2.1.0", terms=terms)
    return Clinic(world=world, rollout=rollout)


def staffed(
    world: World, *, terms: Settings = OPEN, ladder: tuple[Step, ...] = WITH_STAFF
) -> Clinic:
    """Return a clinic whose rollout begins in a ring of groups, where a first day is short."""
    return a_clinic(world, terms=replace(terms, outcome_seconds=300), ladder=ladder)


def ill_on_windows(world: World, **policy: Any) -> Clinic:
    """Return a clinic whose release crashes on one platform, and may be held back there."""
    clinic = a_clinic(world, terms=HOLDS, **policy)
    clinic.check_in(range(400))
    clinic.check_in(range(400, 800), platform="windows-x86_64")
    clinic.world.advance(60)
    clinic.crash(clinic.candidates(range(400, 800))[:60])
    clinic.crash([*clinic.controls(range(800))[:10], *clinic.candidates(range(400))[:5]])
    clinic.world.advance(700)
    return clinic


def sicken(clinic: Clinic) -> None:
    """Let many of the candidates crash, and hardly any control."""
    clinic.check_in(FLEET)
    clinic.world.advance(60)
    clinic.crash(clinic.candidates(FLEET)[:60])
    clinic.crash(clinic.controls(FLEET)[:3])
    clinic.world.advance(700)


def quiet(clinic: Clinic, rounds: int = 6) -> None:
    """Let the installs of the ring of groups check in again and again, and do well."""
    for _ in range(rounds):
        clinic.check_in(range(30), arm=Arm.INTERNAL, bucket=0)
        clinic.world.advance(700)
        clinic.round()


def settle(clinic: Clinic, rounds: int = 4) -> None:
    """Let rounds pass until nothing moves any more."""
    for _ in range(rounds):
        clinic.world.advance(700)
        clinic.round()
