"""Crashes that are known and accepted: waivers, and what a resume makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.model import Actor, Approvals, Rollout
from tests.admin_world import APP, STABLE, World, a_released_world
from update_server.evidence.facts import Resumed
from update_server.service.access.caller import AUTOMATIC
from update_server.service.errors import (
    BadValueError,
    NotReleasedError,
    PendingError,
    UnknownChannelError,
)
from update_server.service.ports import NotFoundError
from update_server.service.ports.waivers import Waiver
from update_server.service.studies.codec import decode_fact
from update_server.service.studies.waivers import LONGEST, MOST

SIGNATURE, OTHER = "1f2e3d4c5b6a7988", "00112233445566aa"
NEW = Version("2.1.0")
DAY = timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    alone = Approvals(resume_after_auto_pause=1)
    return a_released_world(tmp_path / "signer", approvals=alone)


def add(
    world: World,
    signature: str = SIGNATURE,
    *,
    version: Version = NEW,
    channel: str = STABLE,
    life: timedelta = DAY,
    reason: str = "known",
) -> Waiver:
    return world.services().waivers.add(
        world.caller(),
        APP,
        channel,
        version,
        signature,
        expires_at=world.clock.now() + life,
        reason=reason,
    )


def paused(world: World, by: Actor = Actor.AUTOMATIC) -> Rollout:
    rollout = world.start("2.1.0")
    caller = AUTOMATIC if by is Actor.AUTOMATIC else world.caller()
    return world.services().control.pause(caller, APP, rollout.id, by=by, reason="crashes")


def told(world: World, rollout: Rollout) -> Mapping[str, float]:
    """Return what the study was told of the last resume: until when each signature is waived."""
    with world.database.reading() as stores:
        facts = [decode_fact(body) for _, body in stores.studies.facts(rollout.id, 100)]
    resumed = [fact for fact in facts if isinstance(fact, Resumed)]
    return dict(resumed[-1].waived)


# --- the list ----------------------------------------------------------------------------


def test_a_waiver_is_listed_until_it_expires(world: World) -> None:
    first, second = add(world), add(world, OTHER, life=2 * DAY)

    assert world.services().waivers.all(APP) == [second, first]
    world.clock.advance(DAY)
    assert world.services().waivers.all(APP) == [second]


def test_who_waived_what_and_why_is_in_the_audit_log(world: World) -> None:
    waiver = add(world)
    world.services().waivers.remove(world.caller(), APP, waiver.id, reason="mended")

    with world.database.reading() as stores:
        removed, added = stores.audit.page(app=APP, before_seq=None, limit=2)
    assert (added.action, added.subject, added.reason) == ("waiver.add", waiver.id, "known")
    assert added.after["signature"] == SIGNATURE
    assert (removed.action, removed.reason) == ("waiver.remove", "mended")
    assert world.services().waivers.all(APP) == []


def test_a_waiver_that_is_not_there_cannot_be_removed(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.services().waivers.remove(world.caller(), APP, "wv_none")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"life": timedelta(0)}, "expires_at"),
        ({"life": LONGEST + timedelta(seconds=1)}, "expires_at"),
    ],
)
def test_a_waiver_has_a_reason_and_lasts_fourteen_days_at_most(
    world: World, fields: Mapping[str, object], field: str
) -> None:
    with pytest.raises(BadValueError) as raised:
        add(world, **fields)  # type: ignore[arg-type]

    assert raised.value.field == field
    assert add(world, life=LONGEST).expires_at == world.clock.now() + LONGEST


def test_a_waiver_is_of_a_release_on_a_channel(world: World) -> None:
    with pytest.raises(NotReleasedError):
        add(world, version=Version("9.9"))
    with pytest.raises(UnknownChannelError):
        add(world, channel="beta")


def test_a_version_has_no_more_waivers_than_anybody_can_look_at(world: World) -> None:
    for number in range(MOST):
        add(world, f"{number:016x}")

    with pytest.raises(BadValueError) as raised:
        add(world)
    assert raised.value.field == "signature"
    world.clock.advance(DAY)
    assert add(world).signature == SIGNATURE


# --- resume ------------------------------------------------------------------------------


def test_a_resume_after_an_automatic_pause_tells_of_the_waivers_of_the_version(
    world: World,
) -> None:
    longer = add(world, life=3 * DAY)
    add(world)  # the same crash, and it ends sooner
    add(world, OTHER, version=Version("2.0.0"))
    rollout = paused(world)

    world.services().control.resume(world.caller(), APP, rollout.id, reason="known")

    assert told(world, rollout) == {SIGNATURE: longer.expires_at.timestamp()}


def test_what_has_expired_is_not_told(world: World) -> None:
    add(world)
    rollout = paused(world)
    world.clock.advance(DAY)

    world.services().control.resume(world.caller(), APP, rollout.id, reason="known")

    assert told(world, rollout) == {}


def test_a_resume_after_a_persons_pause_waives_nothing_by_itself(world: World) -> None:
    add(world)
    rollout = paused(world, Actor.PERSON)

    world.services().control.resume(world.caller(), APP, rollout.id, reason="known")

    assert told(world, rollout) == {}


def test_what_a_resume_waives_gets_waivers(world: World) -> None:
    add(world, OTHER)
    rollout = paused(world)
    until = world.clock.now() + 2 * DAY

    world.services().control.resume(
        world.caller(),
        APP,
        rollout.id,
        reason="known",
        waived=[SIGNATURE, SIGNATURE],
        waived_for=2 * DAY,
    )

    made, _ = world.services().waivers.all(APP)
    assert (made.signature, made.version, made.expires_at) == (SIGNATURE, NEW, until)
    assert (made.reason, made.created_by) == ("known", world.caller().name)
    assert told(world, rollout).keys() == {SIGNATURE, OTHER}


def test_waiving_takes_a_reason(world: World) -> None:
    rollout = paused(world)

    with pytest.raises(BadValueError) as raised:
        world.services().control.resume(
            world.caller(), APP, rollout.id, waived=[SIGNATURE], waived_for=DAY
        )

    assert raised.value.field == "reason"
    assert world.services().waivers.all(APP) == []


def test_a_waiver_that_comes_between_two_approvals_is_another_resume(tmp_path: Path) -> None:
    two = Approvals(resume_after_auto_pause=2)
    world = a_released_world(tmp_path / "signer", approvals=two)
    rollout, control = paused(world), world.services().control
    with pytest.raises(PendingError):
        control.resume(world.person("ann"), APP, rollout.id, reason="known")
    add(world)

    with pytest.raises(PendingError):
        control.resume(world.person("ben"), APP, rollout.id, reason="known")
    control.resume(world.person("ann"), APP, rollout.id, reason="known")

    assert told(world, rollout).keys() == {SIGNATURE}
