from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.model import Arm
from tests.admin_world import APP, World
from tests.service.clinic import LINUX, OPEN, WITH_STAFF, Clinic, a_clinic, key_of, sicken
from update_server.evidence.settings import May
from update_server.service.ports import Event
from update_server.service.ports.quarantine import Aside
from update_server.service.rollouts.witness import WORDS, Asked, NoEvidence, Witness, witness_of

KNOWN_FOR_A_WEEK = replace(OPEN, minimum_age_seconds=7 * 86_400.0, minimum_check_ins=3)


def witness(clinic: Clinic, number: int, *, held: bool = False) -> Witness:
    asked = Asked(app=APP, key=key_of(number), platform=LINUX, held=held)
    with clinic.world.database.reading() as stores:
        return witness_of(stores, asked, clinic.rollout.id)


@pytest.fixture
def world(released: World) -> World:
    return released


@pytest.fixture
def clinic(world: World) -> Clinic:
    return a_clinic(world)


def test_an_install_that_entered_is_evidence_in_its_arm(clinic: Clinic) -> None:
    candidate, control = clinic.candidates(range(40))[0], clinic.controls(range(40))[0]
    clinic.check_in([candidate, control])
    clinic.world.advance(700)
    clinic.round()

    told = witness(clinic, candidate)

    assert (told.counted.why_not, told.counted.arm) == (None, "candidate")
    assert told.counted.entered_at is not None
    assert witness(clinic, control).counted.arm == "control"
    assert told.history is not None
    assert told.history.check_ins == 1
    assert told.last is not None
    assert told.last.version == "2.0.0"
    assert told.progress is not None
    assert told.progress.arm is Arm.CANDIDATE


def test_of_an_install_that_nobody_heard_of_nothing_is_known(clinic: Clinic) -> None:
    told = witness(clinic, 1)

    assert (told.history, told.last, told.progress, told.set_aside) == (None, None, None, ())
    assert told.counted.why_not is NoEvidence.NEVER_SEEN


def test_without_a_rollout_there_is_nothing_to_be_evidence_of(clinic: Clinic) -> None:
    asked = Asked(app=APP, key=key_of(1), platform=LINUX, held=False)
    with clinic.world.database.reading() as stores:
        told = witness_of(stores, asked, None)

    assert told.counted.why_not is NoEvidence.NO_ROLLOUT


def test_an_install_that_came_after_the_release_is_too_young(world: World) -> None:
    clinic = a_clinic(world, terms=KNOWN_FOR_A_WEEK)
    clinic.check_in([1])
    clinic.world.advance(60)
    clinic.round()

    assert witness(clinic, 1).counted.why_not is NoEvidence.TOO_YOUNG


def test_whoever_asked_for_the_update_is_self_selected(clinic: Clinic) -> None:
    clinic.check_in([1], self_selected=True)
    clinic.world.advance(60)
    clinic.round()

    assert witness(clinic, 1).counted.why_not is NoEvidence.SELF_SELECTED


def test_a_network_with_too_many_crashes_is_no_evidence(world: World) -> None:
    clinic = a_clinic(world, terms=replace(OPEN, network_cap=3))
    clinic.check_in(range(30), network=b"one-network-here")
    clinic.world.advance(60)
    clinic.round()
    clinic.crash(range(4))
    clinic.world.advance(700)
    clinic.round()

    assert witness(clinic, 20).counted.why_not is NoEvidence.NETWORK_CAP


def test_internal_installs_are_no_evidence(world: World) -> None:
    clinic = a_clinic(world, ladder=WITH_STAFF)
    clinic.check_in([1], arm=Arm.INTERNAL, bucket=0)
    clinic.world.advance(700)
    clinic.round()

    told = witness(clinic, 1).counted
    assert (told.why_not, told.arm) == (NoEvidence.INTERNAL, "internal")


def test_a_hold_is_why_an_install_is_no_evidence(clinic: Clinic) -> None:
    assert witness(clinic, 1, held=True).counted.why_not is NoEvidence.HELD


def test_nobody_enters_while_a_rollout_is_paused(world: World) -> None:
    clinic = a_clinic(world, terms=replace(OPEN, automatic=frozenset({May.PAUSE})))
    sicken(clinic)
    clinic.round()
    clinic.check_in([5_000], rollout=None, arm=None, bucket=None)
    clinic.world.advance(700)
    clinic.round()

    assert witness(clinic, 5_000).counted.why_not is NoEvidence.PAUSED


def test_an_install_that_has_not_come_since_the_step_opened_did_not_enter(clinic: Clinic) -> None:
    clinic.check_in([1], rollout=None, arm=None, bucket=None)
    clinic.world.advance(60)
    clinic.round()

    assert witness(clinic, 1).counted.why_not is NoEvidence.NOT_ENTERED


def test_a_rollout_that_ended_is_judged_no_more(clinic: Clinic) -> None:
    clinic.world.services().control.pull(clinic.world.caller(), APP, clinic.rollout.id, reason="r")
    with clinic.world.database.transaction() as stores:
        stores.studies.end(clinic.rollout.id, clinic.world.clock.now())

    assert witness(clinic, 1).counted.why_not is NoEvidence.NOT_JUDGED


def test_reports_that_were_set_aside_are_told_by_rule(clinic: Clinic) -> None:
    now = clinic.world.clock.now()
    event: dict[str, Any] = {"at": now, "received_at": now, "kind": "crash", "version": "9"}
    report = Event(
        app=APP, install_key=key_of(1)[:8], id="e", quarantine="unknown_version", **event
    )
    with clinic.world.database.transaction() as stores:
        stores.quarantine.add([Aside(event=report)])

    assert witness(clinic, 1).set_aside == (("unknown_version", 1),)
    assert witness(clinic, 2).set_aside == ()


def test_each_reason_has_words() -> None:
    assert WORDS.keys() == set(NoEvidence)
