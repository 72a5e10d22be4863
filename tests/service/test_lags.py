from __future__ import annotations

import pytest

from rollout.model import Arm, RolloutState
from tests.admin_world import World
from tests.service.clinic import FLEET, PAUSES, Clinic, a_clinic, sicken, staffed, work
from tests.service.test_digest import _Dying
from update_server.evidence.facts import Fact, Lag
from update_server.service.ports import UnavailableError
from update_server.service.studies.codec import decode_fact
from update_server.service.telemetry.digest import Digest


@pytest.fixture
def clinic(released: World) -> Clinic:
    return a_clinic(released, terms=PAUSES)


def digest(clinic: Clinic, *, records: int = 2_000) -> None:
    """Let a process that has just started digest."""
    Digest(
        clinic.world.database, clinic.spools, records_per_spool=records, clock=clinic.world.clock
    ).run()


def facts(clinic: Clinic) -> list[Fact]:
    with clinic.world.database.reading() as stores:
        return [decode_fact(body) for _, body in stores.studies.facts(clinic.rollout.id, 1_000)]


def lags(clinic: Clinic) -> list[float]:
    return [fact.seconds for fact in facts(clinic) if isinstance(fact, Lag)]


@pytest.mark.parametrize(("late", "told"), [(59.0, []), (61.0, [61.0])])
def test_more_than_a_minute_is_late(clinic: Clinic, late: float, told: list[float]) -> None:
    clinic.check_in([1])
    clinic.world.advance(late - 0.01)

    digest(clinic)

    assert lags(clinic) == pytest.approx(told)
    if told:
        assert isinstance(facts(clinic)[-2], Lag)  # before what is late
        assert facts(clinic)[-2].at == facts(clinic)[-1].at


def test_it_is_told_once_and_so_is_its_end(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.check_in([1, 2])
        clinic.world.advance(100)
        digest(clinic)
    for _ in range(2):
        clinic.check_in([1, 2])
        digest(clinic)

    assert len(lags(clinic)) == 2
    assert lags(clinic)[0] > 100
    assert lags(clinic)[1] == 0


def test_a_process_that_starts_anew_knows_what_was_told_in_ticks(clinic: Clinic) -> None:
    clinic.check_in([1, 2])
    clinic.world.advance(100)
    digest(clinic)
    clinic.world.advance(700)
    clinic.round()
    assert facts(clinic) == []

    clinic.check_in([1, 2])
    clinic.world.advance(100)
    digest(clinic)

    assert lags(clinic) == []


def test_what_was_not_committed_was_not_told(clinic: Clinic) -> None:
    clinic.check_in([1])
    clinic.world.advance(100)
    dying = _Dying(clinic.world)  # type: ignore[arg-type]
    late = Digest(dying, clinic.spools, clock=clinic.world.clock)
    with pytest.raises(UnavailableError):
        late.run()
    assert lags(clinic) == []

    digest(clinic)

    assert len(lags(clinic)) == 1


def test_without_a_clock_nothing_is_late(clinic: Clinic) -> None:
    clinic.check_in([1])
    clinic.world.advance(1_000)

    Digest(clinic.world.database, clinic.spools).run()

    assert lags(clinic) == []


def look(clinic: Clinic) -> None:
    began_at = clinic.world.clock.now()
    digest(clinic)
    work(clinic.judge(), began_at)


def test_as_long_as_it_lags_the_judge_is_suspended_and_says_why(clinic: Clinic) -> None:
    clinic.check_in(FLEET)
    clinic.world.advance(61)

    look(clinic)

    suspended = clinic.decisions[-1]  # at once, and not by the next ten minutes
    assert (suspended.verdict, suspended.outcome) == ("suspend", "frozen")
    assert suspended.record["suspended_by"] == "telemetry_lag"
    sentence = suspended.record["sentence"]
    assert sentence.startswith("Stopped judging 2.1.0: what installs sent is taken in 65 s late.")
    assert "It goes on by itself once the server has caught up" in sentence

    clinic.check_in(FLEET)
    look(clinic)
    clinic.world.advance(700)
    look(clinic)

    assert clinic.verdicts[-1] != "suspend"
    assert clinic.decisions[-1].record["suspended_by"] is None


@pytest.mark.parametrize(("looks_at_the_clock", "position"), [(True, 0), (False, 1)])
def test_nothing_is_promoted_by_old_news(
    released: World, *, looks_at_the_clock: bool, position: int
) -> None:
    clinic = staffed(released)
    for _ in range(4):
        clinic.check_in(range(30), arm=Arm.INTERNAL, bucket=0)
        clinic.world.advance(700)

    if looks_at_the_clock:
        look(clinic)
    else:
        clinic.round()

    assert clinic.now.position == position


def test_harm_still_pauses(clinic: Clinic) -> None:
    sicken(clinic)

    look(clinic)

    assert clinic.state is RolloutState.PAUSED
