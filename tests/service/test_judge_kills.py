"""Killed before any of its effects, the judge decides the same, and does it once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.model import Actor, Arm, RolloutState
from tests.admin_world import APP, World
from tests.kill_switch import KilledError, KillSwitch
from tests.service.clinic import (
    PAUSES,
    Clinic,
    a_clinic,
    ill_on_windows,
    quiet,
    settle,
    sicken,
    staffed,
)
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.leases import LEASE_SECONDS

pytestmark = pytest.mark.no_cover  # the same lines, killed everywhere


def to_be_paused(world: World) -> Clinic:
    clinic = a_clinic(world, terms=PAUSES)
    sicken(clinic)
    return clinic


def to_be_pulled(world: World) -> Clinic:
    clinic = a_clinic(world)
    sicken(clinic)
    return clinic


def to_be_promoted(world: World) -> Clinic:
    clinic = staffed(world)
    quiet(clinic, 1)
    clinic.check_in(range(30), arm=Arm.INTERNAL, bucket=0)
    clinic.world.advance(700)
    return clinic


def is_paused(clinic: Clinic) -> bool:
    return clinic.now.paused_by is Actor.AUTOMATIC


def is_pulled(clinic: Clinic) -> bool:
    return (clinic.state, str(clinic.now.replacement)) == (RolloutState.PULLED, "2.0.0")


def is_promoted(clinic: Clinic) -> bool:
    return clinic.now.position == 1


def is_held(clinic: Clinic) -> bool:
    [hold] = clinic.world.services().holds.all(APP)
    return hold.hold.audience.platform == ("windows-x86_64",)


Make = Callable[[World], Clinic]
Check = Callable[[Clinic], bool]


def decided(clinic: Clinic, outcome: str) -> StoredDecision:
    [decision] = [each for each in clinic.decisions if each.outcome == outcome]
    return decision


@pytest.mark.parametrize(
    ("make", "outcome", "is_done"),
    [
        (to_be_paused, "paused", is_paused),
        (to_be_pulled, "pulled", is_pulled),
        (to_be_promoted, "promoted", is_promoted),
        (ill_on_windows, "held", is_held),
    ],
    ids=["pause", "pull", "promote", "hold"],
)
def test_a_kill_between_any_two_steps_changes_no_decision(
    released: World, tmp_path: Path, make: Make, outcome: str, is_done: Check
) -> None:
    before = make(released)
    whole = before.fork(tmp_path / "whole")
    whole.round()
    settle(whole)
    wanted = decided(whole, outcome)
    at = 0
    while killed(clinic := before.fork(tmp_path / f"killed-{at}"), at):
        clinic.world.advance(LEASE_SECONDS + 1)
        clinic.round()
        settle(clinic)

        found = decided(clinic, outcome)
        assert (found.id, found.record, found.log_size) == (
            wanted.id,
            wanted.record,
            wanted.log_size,
        ), at
        assert is_done(clinic), at
        clinic.world.services().reconciler.reconcile(APP)  # as the controller does
        assert clinic.world.services().report.rollout(APP, clinic.rollout.id).published, at
        at += 1
    assert at > 5


def killed(clinic: Clinic, at: int) -> bool:
    """Do one round, and tell whether it was killed before the effect of this number."""
    switch = KillSwitch(at)
    database = switch.database(clinic.world.database)
    judge = clinic.judge(
        database=database,
        blobs=switch.blobs(clinic.world.blobs),
        signer=switch.signer(clinic.world.signer),
    )
    try:
        clinic.round(judge, database=database)
    except KilledError:
        return True
    return False
