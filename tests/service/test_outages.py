from __future__ import annotations

import pytest

from tests.admin_world import World
from tests.service.clinic import DAY, HOUR, Clinic, a_clinic
from tests.service.test_digest import _Dying
from update_server.evidence.facts import Fact, Outage
from update_server.service.ports import UnavailableError
from update_server.service.studies.codec import decode_fact, decode_state
from update_server.service.telemetry.digest import Digest


@pytest.fixture
def clinic(released: World) -> Clinic:
    return a_clinic(released)


def outages(clinic: Clinic) -> list[Outage]:
    return [fact for fact in facts(clinic) if isinstance(fact, Outage)]


def facts(clinic: Clinic) -> list[Fact]:
    with clinic.world.database.reading() as stores:
        return [decode_fact(body) for _, body in stores.studies.facts(clinic.rollout.id, 1_000)]


def digest(clinic: Clinic) -> None:
    """Let a process that has just started digest."""
    Digest(clinic.world.database, clinic.spools).run()


def test_nobody_heard_of_for_a_quarter_of_the_window_is_an_outage(clinic: Clinic) -> None:
    clinic.check_in(range(3))
    digest(clinic)
    heard_at = facts(clinic)[-1].at

    clinic.world.advance(7 * HOUR)
    clinic.check_in(range(3))
    digest(clinic)

    [outage] = outages(clinic)
    assert outage.began_at == heard_at
    assert outage.at == facts(clinic)[-3].at
    assert isinstance(facts(clinic)[-4], Outage)  # before what ended it


def test_it_is_seen_within_one_batch(clinic: Clinic) -> None:
    clinic.check_in([1])
    clinic.world.advance(7 * HOUR)
    clinic.check_in([2])
    clinic.world.advance(5 * HOUR)
    clinic.check_in([3])

    digest(clinic)

    assert len(outages(clinic)) == 1


def test_before_the_first_contact_there_is_none(clinic: Clinic) -> None:
    clinic.world.advance(3 * DAY)
    clinic.check_in([1])

    digest(clinic)

    assert outages(clinic) == []


def test_what_was_heard_in_ticks_counts(clinic: Clinic) -> None:
    clinic.check_in(range(3))
    clinic.world.advance(700)
    clinic.round()
    assert facts(clinic) == []

    clinic.world.advance(7 * HOUR)
    clinic.check_in([1])
    clinic.round()

    with clinic.world.database.reading() as stores:
        state = decode_state(stores.studies.get(clinic.rollout.id).state)
    assert len(state.stage.outages) + len(outages(clinic)) == 1


def test_a_digest_that_is_killed_tells_of_it_again(clinic: Clinic) -> None:
    clinic.check_in([1])
    digest(clinic)
    clinic.world.advance(7 * HOUR)
    clinic.check_in([2])

    dying = Digest(_Dying(clinic.world), clinic.spools)  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        dying.run()
    dying._database = clinic.world.database
    dying.run()

    assert len(outages(clinic)) == 1
