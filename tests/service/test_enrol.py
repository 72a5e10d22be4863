from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.model import Reason
from tests.public_world import APP, HIGH_BUCKET, LOW_BUCKET, World, a_world
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.errors import BadCodeError, UnknownAppError

CODE = "enrol_0123"


@pytest.fixture
def world() -> World:
    world = a_world()
    world.put_code(CODE)
    return world


def test_a_code_becomes_a_credential_that_opens_the_groups_ring(world: World) -> None:
    enrolled = world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)
    world.refresh()

    assignment = world.check_in(HIGH_BUCKET, enrolments=(enrolled.credential,)).assignment

    assert enrolled.group == "staff"
    assert (assignment.reason, assignment.ring) == (Reason.IN_RING, "internal")


def test_the_credential_is_bound_to_the_install(world: World) -> None:
    enrolled = world.services.enrol.enrol(APP, LOW_BUCKET, CODE)
    world.refresh()

    assignment = world.check_in(HIGH_BUCKET, enrolments=(enrolled.credential,)).assignment

    assert assignment.reason is Reason.OUTSIDE_RING


def test_neither_code_nor_credential_nor_install_id_is_stored(world: World) -> None:
    enrolled = world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)

    with world.database.reading() as stores:
        stored = repr((stores.access.enrolments(APP), stores.access.codes(APP)))
        stored += repr(stores.audit.page(app=APP, before_seq=None, limit=10))
    for secret in (CODE, enrolled.credential, HIGH_BUCKET):
        assert secret not in stored
    assert hash_of_secret(enrolled.credential) in stored


def test_a_code_is_good_for_as_many_uses_as_it_was_made_for(world: World) -> None:
    world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)

    with pytest.raises(BadCodeError):
        world.services.enrol.enrol(APP, LOW_BUCKET, CODE)


def test_an_invented_code_enrols_nobody(world: World) -> None:
    with pytest.raises(BadCodeError):
        world.services.enrol.enrol(APP, HIGH_BUCKET, "enrol_guess")


def test_an_expired_code_enrols_nobody(world: World) -> None:
    world.advance(timedelta(days=2).total_seconds())

    with pytest.raises(BadCodeError):
        world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)


def test_a_revoked_code_enrols_nobody(world: World) -> None:
    with world.database.transaction() as stores:
        stores.access.revoke_code(APP, "en_1", world.clock.now())

    with pytest.raises(BadCodeError):
        world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)


def test_an_enrolment_is_in_the_audit_log(world: World) -> None:
    world.services.enrol.enrol(APP, HIGH_BUCKET, CODE)

    with world.database.reading() as stores:
        record = stores.audit.page(app=APP, before_seq=None, limit=1)[0]
    assert (record.action, record.after) == ("enrolment.use", {"group": "staff", "code": "en_1"})


def test_an_unknown_app_is_named(world: World) -> None:
    with pytest.raises(UnknownAppError):
        world.services.enrol.enrol("nope", HIGH_BUCKET, CODE)
