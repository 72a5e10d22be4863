"""The study of a rollout learns of every change, in the transaction that makes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.model import Actor, Audience, Rollout, RolloutId, Step
from rollout.transitions import resume
from tests.admin_world import APP, STABLE, World
from update_server.evidence.facts import (
    Fact,
    Past,
    Paused,
    PlatformHeld,
    PlatformReleased,
    Resumed,
    StageOpened,
    Unsuspended,
)
from update_server.evidence.settings import STANDARD, Settings
from update_server.evidence.state import State
from update_server.service.access.caller import AUTOMATIC
from update_server.service.errors import ApprovalsMissingError, BadValueError
from update_server.service.ports import NotFoundError, StoredHold
from update_server.service.ports.studies import StoredStudy
from update_server.service.rollouts.changes import record_change
from update_server.service.studies.codec import decode_fact, decode_settings, encode_state


def all_facts(world: World, rollout: Rollout) -> list[Fact]:
    with world.database.reading() as stores:
        return [decode_fact(body) for _, body in stores.studies.facts(rollout.id, 100)]


def facts(world: World, rollout: Rollout) -> list[Fact]:
    """Return what the study was told, but of the time before it."""
    return [fact for fact in all_facts(world, rollout) if not isinstance(fact, Past)]


def study(world: World, rollout: Rollout) -> StoredStudy:
    with world.database.reading() as stores:
        return stores.studies.get(rollout.id)


def hold(world: World, audience: Audience, rollout: RolloutId | None = None) -> None:
    world.services().holds.add(
        world.caller(),
        APP,
        STABLE,
        title="Crashes with driver 531",
        link="https://status.example.org/531",
        audience=audience,
        rollout=rollout,
    )


def test_a_start_opens_a_study_with_the_published_terms(released: World) -> None:
    rollout = released.start("2.1.0")

    kept = study(released, rollout)
    assert (kept.app, kept.channel, kept.opened_at) == (APP, STABLE, rollout.started_at)
    assert decode_settings(kept.settings) == STANDARD
    assert facts(released, rollout) == [
        StageOpened(
            at=rollout.started_at.timestamp(),
            position=0,
            ring="internal",
            exposure_bp=None,
            soak_seconds=60,
            next_ring="10%",
        )
    ]


def test_a_start_tells_of_the_time_before(released: World) -> None:
    rollout = released.start("2.1.0")

    told = all_facts(released, rollout)
    assert [type(fact) for fact in told] == [StageOpened, Past]  # known before anybody enters
    assert told[1].at == rollout.started_at.timestamp()


def test_a_rollout_keeps_the_terms_that_it_was_started_with(released: World) -> None:
    terms = Settings(alpha=0.001, automatic=frozenset())

    rollout = released.start("2.1.0", terms=terms)

    assert decode_settings(study(released, rollout).settings) == terms


def test_a_refused_start_leaves_no_study(released: World) -> None:
    released.change_policy(ramp=(Step(ring="all", exposure_bp=10_000, approvals=2),))
    with pytest.raises(ApprovalsMissingError):
        released.start("2.1.0")

    with released.database.reading() as stores:
        assert [head for head in stores.studies.live() if head.channel == STABLE] == []


def test_a_promote_opens_a_stage(released: World) -> None:
    rollout = released.start("2.1.0")
    at = released.advance(60)
    released.services().control.promote(released.caller(), APP, rollout.id)

    assert facts(released, rollout)[1:] == [
        StageOpened(
            at=at.timestamp(),
            position=1,
            ring="10%",
            exposure_bp=1_000,
            soak_seconds=60,
            next_ring="all",
        )
    ]


@pytest.mark.parametrize("by", list(Actor))
def test_a_pause_says_whose_it_is_and_a_resume_ends_it(released: World, by: Actor) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    at = released.advance(5).timestamp()
    control.pause(AUTOMATIC if by is Actor.AUTOMATIC else released.caller(), APP, rollout.id, by=by)
    control.pause(released.caller(), APP, rollout.id)  # again: it is paused already

    assert facts(released, rollout)[1:] == [Paused(at=at, automatic=by is Actor.AUTOMATIC)]
    if by is Actor.PERSON:
        control.resume(released.caller(), APP, rollout.id)
        assert isinstance(facts(released, rollout)[-1], Resumed)


def test_a_resume_tells_what_is_waived(released: World) -> None:
    rollout = released.start("2.1.0")
    released.services().control.pause(released.caller(), APP, rollout.id)
    paused = released.rollout(rollout)
    now = released.clock.now()
    with released.database.transaction() as stores:
        waived = {"abc": now + timedelta(days=3)}
        resumed = resume(paused, now)
        record_change(stores, paused, resumed, actor="me", verb="resume", waived=waived)

    at = now.timestamp()
    assert facts(released, rollout)[-1] == Resumed(at=at, waived=(("abc", at + 3 * 86_400),))


def test_an_operator_waives_signatures_for_some_time(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    control.pause(released.caller(), APP, rollout.id)
    at = released.clock.now()

    control.resume(
        released.caller(),
        APP,
        rollout.id,
        reason="known",
        waived=["abc"],
        waived_for=timedelta(days=1),
    )

    resumed = facts(released, rollout)[-1]
    assert isinstance(resumed, Resumed)
    assert resumed.waived == (("abc", (at + timedelta(days=1)).timestamp()),)


def test_a_resume_ends_the_suspension_of_a_rollout_that_is_not_paused(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    control.resume(released.caller(), APP, rollout.id)  # there is nothing to end
    with released.database.transaction() as stores:
        kept = stores.studies.get(rollout.id)
        suspended = encode_state(State(suspended=True))
        stores.studies.replace(replace(kept, state=suspended), kept.version)

    with pytest.raises(BadValueError) as raised:
        control.resume(released.caller(), APP, rollout.id)
    same = control.resume(released.caller(), APP, rollout.id, reason="it was a proxy")

    at = released.clock.now().timestamp()
    assert raised.value.field == "reason"
    assert facts(released, rollout)[1:] == [Unsuspended(at=at)]
    assert same.revision == rollout.revision
    with released.database.reading() as stores:
        [record] = stores.audit.page(app=APP, before_seq=None, limit=1)
    assert (record.action, record.reason) == ("rollout.unsuspend", "it was a proxy")


@pytest.mark.parametrize("verb", ["pull", "supersede", "complete"])
def test_what_ends_a_rollout_ends_its_study(released: World, verb: str) -> None:
    rollout = released.start("2.1.0")
    if verb == "pull":
        released.services().control.pull(released.caller(), APP, rollout.id)
    elif verb == "supersede":
        released.publish("2.2.0")
        released.start("2.2.0")
    else:
        for _ in range(2):
            released.advance(60)
            released.services().control.promote(released.caller(), APP, rollout.id)

    assert study(released, rollout).ended_at == released.rollout(rollout).changed_at
    assert facts(released, rollout) == []


def test_a_hold_on_platforms_keeps_them_out_of_the_study(released: World) -> None:
    rollout = released.start("2.1.0")

    hold(released, Audience(platform=("linux-x86_64", "windows-x86_64")), rollout.id)

    at = released.clock.now().timestamp()
    held = [fact for fact in facts(released, rollout) if isinstance(fact, PlatformHeld)]
    assert {fact.platform for fact in held} == {"linux-x86_64", "windows-x86_64"}
    assert all(abs(fact.at - at) < 60 for fact in held)


def test_a_lifted_hold_lets_its_platforms_enter_a_stage_that_opens_anew(released: World) -> None:
    rollout = released.start("2.1.0")
    both = Audience(platform=("linux-x86_64", "windows-x86_64"))
    hold(released, both, rollout.id)
    hold(released, Audience(platform=("windows-x86_64",)))
    first, _ = lifted_first(released)

    told = facts(released, rollout)[-2:]

    assert first.hold.audience == both
    assert isinstance(told[0], PlatformReleased)
    assert told[0].platform == "linux-x86_64"  # the other one is kept by the other hold
    assert isinstance(told[1], StageOpened)
    assert told[1].position == rollout.position


def lifted_first(world: World) -> tuple[StoredHold, StoredHold]:
    with world.database.reading() as stores:
        first, second = stores.rollouts.holds(APP)
    world.services().holds.lift(world.caller(), APP, first.hold.id, reason="the driver is fixed")
    return first, second


@pytest.mark.parametrize(
    "audience",
    [
        Audience(os_version=(">=12",)),
        Audience(platform=("linux-x86_64",), locale=("de",)),
        Audience(),
    ],
)
def test_a_narrower_hold_is_learnt_of_by_the_installs_that_it_keeps(
    released: World, audience: Audience
) -> None:
    rollout = released.start("2.1.0")

    hold(released, audience)

    assert len(facts(released, rollout)) == 1


def test_a_hold_on_another_rollout_is_none_of_its_business(released: World) -> None:
    with released.database.reading() as stores:
        older = stores.rollouts.of_app(APP)[0]
    rollout = released.start("2.1.0")

    hold(released, Audience(platform=("linux-x86_64",)), older.id)

    assert len(facts(released, rollout)) == 1


def test_a_rollout_without_a_study_changes_all_the_same(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        stores.studies._state.studies.clear()

    released.services().control.pause(released.caller(), APP, rollout.id)

    with released.database.reading() as stores, pytest.raises(NotFoundError):
        stores.studies.get(rollout.id)


def test_a_faster_clock_soaks_as_long_as_the_signer_asks(released: World) -> None:
    rollout = released.start("2.1.0", terms=Settings(speed=60.0))
    released.advance(10)
    released.services().control.pause(released.caller(), APP, rollout.id)

    opened, paused = facts(released, rollout)
    assert isinstance(opened, StageOpened)
    assert opened.soak_seconds == 3_600
    assert paused.at - opened.at == 600
