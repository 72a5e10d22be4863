"""What newcomers report, and how often somebody says that all is well, moves no evidence."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.admin_world import APP, STABLE, a_registered_world
from tests.service.clinic import FLEET, HALF, HOUR, Clinic, key_of
from update_server.evidence.settings import Settings
from update_server.service.ports import Event
from update_server.service.telemetry.digest import Digest
from update_server.service.telemetry.exports import Evidence

pytestmark = pytest.mark.no_cover  # the same lines for each of thousands

WARY = Settings(minimum_age_seconds=HOUR, network_cap=0, automatic=frozenset())
"""The published terms, where an hour makes an install old enough to count. People decide."""

NEWCOMERS = range(1_000, 1_500)
STRANGERS = range(2_000, 2_500)
SESSIONS = 50_000 if os.environ.get("SERINUS_FULL") == "1" else 5_000
HOURS = 40


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A fleet that was known before the release, and of which some crashed; no test changes it."""
    world = a_registered_world(tmp_path_factory.mktemp("forgeries") / "signer")
    world.publish("2.0.0")
    clinic = Clinic(world=world, rollout=world.complete("2.0.0"))
    for _ in range(3):
        clinic.check_in(FLEET, rollout=None, arm=None)
        world.advance(HOUR)
    digest(clinic)
    world.change_policy(ramp=HALF)
    world.publish("2.1.0", rollback_to=["2.0.0"])
    clinic.rollout = world.start("2.1.0", terms=WARY)
    clinic.check_in(FLEET)
    world.advance(60)
    run_well(clinic, FLEET, each=1)
    clinic.crash([*clinic.candidates(FLEET)[:8], *clinic.controls(FLEET)[:5]])
    digest(clinic)
    return clinic


@pytest.fixture
def clinic(prepared: Clinic, tmp_path: Path) -> Clinic:
    """The same, with what tests forge."""
    return prepared.fork(tmp_path / "forged")


@pytest.fixture
def honest(prepared: Clinic, tmp_path: Path) -> tuple[Evidence, ...]:
    """The evidence where nobody forges anything."""
    return judged(prepared.fork(tmp_path / "honest"), prepared)


def digest(clinic: Clinic) -> None:
    Digest(clinic.world.database, clinic.spools).run()


def run_well(clinic: Clinic, numbers: Iterable[int], *, each: int) -> None:
    """Let installs tell of sessions on the version that they were told to run, all of them well."""
    now = clinic.world.clock.now()
    candidates = set(clinic.candidates(numbers))
    clinic.spools.writer("web").events(
        [
            Event(
                app=APP,
                install_key=key_of(number),
                id=f"session-{number}-{count}",
                at=now,
                received_at=now,
                kind="session",
                version="2.1.0" if number in candidates else "2.0.0",
                channel=STABLE,
                body={"sid": f"{number}-{count}", "status": "exited"},
            )
            for number in numbers
            for count in range(each)
        ]
    )


def silent(clinic: Clinic) -> list[int]:
    """Return candidates that are not heard of any more."""
    return clinic.candidates(FLEET)[40:60]


def judged(clinic: Clinic, since: Clinic, run: Iterable[int] = ()) -> tuple[Evidence, ...]:
    """Return the evidence of *since*, 40 hours on; *run* tell of 50,000 sessions on the way.

    All but those that are silent check in each hour.
    """
    clock = clinic.world.clock
    clock.advance(since.world.clock.now() + timedelta(seconds=700) - clock.now())
    quiet, tellers = set(silent(clinic)), list(run)
    judge = clinic.judge()
    for hour in range(HOURS):
        clinic.round(judge)
        clinic.check_in(number for number in FLEET if number not in quiet)
        if hour == HOURS // 2 and tellers:
            run_well(clinic, tellers, each=1 + SESSIONS // len(tellers))
        clinic.world.advance(HOUR)
    clinic.round(judge)
    (live,) = clinic.world.services().exports.read(APP).rollouts
    return live.evidence


def ratio(evidence: Iterable[Evidence], metric: str) -> float:
    (found,) = (one.ratio for one in evidence if one.metric == metric)
    return found


def test_five_hundred_crashes_of_newcomers_move_no_e_value(
    clinic: Clinic, prepared: Clinic, honest: tuple[Evidence, ...]
) -> None:
    clinic.check_in(NEWCOMERS)

    clinic.crash(NEWCOMERS)

    assert judged(clinic, prepared) == honest


def test_thousands_of_sessions_that_are_said_to_be_well_move_no_e_value(
    clinic: Clinic, prepared: Clinic, honest: tuple[Evidence, ...]
) -> None:
    heard_of = [one for one in clinic.candidates(FLEET) if one not in silent(clinic)]
    clinic.check_in(NEWCOMERS)

    found = judged(clinic, prepared, run=[*heard_of, *NEWCOMERS, *STRANGERS])

    assert found == honest
    with clinic.world.database.reading() as stores:
        assert sum(one.sessions for one in stores.sessions.hours(APP)) > SESSIONS


def test_both_could_have_moved(
    clinic: Clinic, prepared: Clinic, honest: tuple[Evidence, ...]
) -> None:
    """The control: installs that were known crash, and those not heard of tell of sessions."""
    clinic.crash(clinic.candidates(FLEET)[8:20])

    found = judged(clinic, prepared, run=silent(clinic)[:1])

    assert ratio(found, "crash") > 100 * ratio(honest, "crash") > 100
    assert 1 < 2 * ratio(found, "silence") < ratio(honest, "silence")
