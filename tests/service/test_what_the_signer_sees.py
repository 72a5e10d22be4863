"""What the use-cases show the signer, and what they make of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.model import Actor, Audience, Entry, Rollout, RolloutState, Step
from rollout.transitions import pause, promote
from tests.admin_world import APP, STABLE, World, a_registered_world
from update_server.service.errors import ApprovalsMissingError
from update_server.service.ports import (
    LeaseLostError,
    SignedState,
    Signer,
)
from update_server.service.repository.leases import LEASE_SECONDS
from update_server.signer.memory import recall


class Watched:
    """The signer. ``shown`` has the tokens of each request; ``before`` acts ahead of the first."""

    def __init__(self, inner: Signer, before: Callable[[], object] | None = None) -> None:
        self.status = inner.status
        self.shown: list[tuple[str, ...]] = []
        self._inner = inner
        self._before = before

    def sign_rollout(
        self, app: str, channel: str, document: bytes, approvals: Sequence[str], **more: Any
    ) -> SignedState:
        act, self._before = self._before, None
        if act is not None:
            act()
        self.shown.append(tuple(approvals))
        return self._inner.sign_rollout(app, channel, document, approvals, **more)


def watched(world: World, before: Callable[[], object] | None = None) -> tuple[Any, Watched]:
    """Return a process's use-cases, and the signer that it asks."""
    signer = Watched(world.signer, before)
    return world.services(signer=signer), signer  # type: ignore[arg-type]


def entries(world: World) -> tuple[Entry, ...]:
    with world.database.reading() as stores:
        for stored in stores.releases.documents(APP):
            if (stored.channel, stored.kind) == (STABLE, "rollout"):
                return parse_rollout(stored.document).entries
    raise AssertionError("no document")


def wish(world: World, old: Rollout, new: Rollout) -> None:
    """Record a wish, as a process does that is killed before it asks the signer."""
    with world.database.transaction() as stores:
        stores.rollouts.replace(old, new)


def paused_automatically(world: World) -> set[str]:
    history = recall(world.folder / APP, APP).histories[STABLE]
    return {str(version) for version in history.paused_automatically}


# --- who narrows -------------------------------------------------------------------------


def test_who_pauses_pulls_or_holds_is_shown(released: World) -> None:
    rollout, caller = released.start("2.1.0"), released.caller()
    services, signer = watched(released)

    services.control.pause(caller, APP, rollout.id)
    services.holds.add(
        caller,
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(),
    )
    services.control.pull(caller, APP, rollout.id)

    assert signer.shown == [(caller.secret,)] * 3
    assert paused_automatically(released) == set()


def test_a_pause_by_the_server_itself_shows_nobody(released: World) -> None:
    rollout = released.start("2.1.0")
    services, signer = watched(released)

    services.control.pause(released.caller(), APP, rollout.id, by=Actor.AUTOMATIC)

    assert signer.shown == [()]
    assert paused_automatically(released) == {"2.1.0"}


def test_a_persons_pause_that_recovery_finished_is_ended_by_one(released: World) -> None:
    rollout = released.start("2.1.0")
    wish(released, rollout, pause(rollout, released.clock.now(), Actor.PERSON, "crashes"))
    released.services().reconciler.reconcile(APP)

    resumed = released.services().control.resume(released.caller(), APP, rollout.id)

    assert resumed.state is RolloutState.ACTIVE
    assert entries(released)[0].state is RolloutState.ACTIVE


def test_an_automatic_pause_that_recovery_finished_is_ended_by_two(released: World) -> None:
    rollout = released.start("2.1.0")
    wish(released, rollout, pause(rollout, released.clock.now(), Actor.AUTOMATIC, "crashes"))
    released.services().reconciler.reconcile(APP)

    with pytest.raises(ApprovalsMissingError) as refused:
        released.services().control.resume(released.caller(), APP, rollout.id)

    assert refused.value.needed == 2
    assert entries(released)[0].state is RolloutState.PAUSED


def test_who_pauses_approves_no_promotion_that_was_left_over(released: World) -> None:
    rollout = released.start("2.1.0")
    wish(released, rollout, promote(rollout, released.clock.now()))
    services, signer = watched(released)

    services.control.pause(released.caller(), APP, rollout.id)

    assert signer.shown[0] == ()
    assert (released.rollout(rollout).position, entries(released)[0].exposure_bp) == (0, 0)
    assert entries(released)[0].state is RolloutState.PAUSED


def test_who_holds_makes_no_automatic_pause_a_persons(released: World) -> None:
    rollout, caller = released.start("2.1.0"), released.caller()
    wish(released, rollout, pause(rollout, released.clock.now(), Actor.AUTOMATIC, "crashes"))
    services, _ = watched(released)

    services.holds.add(
        caller,
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(),
    )

    assert paused_automatically(released) == {"2.1.0"}


def test_an_automatic_pause_outlasts_what_superseded_its_rollout(released: World) -> None:
    rollout, caller = released.start("2.1.0"), released.caller()
    control = released.services().control
    control.pause(caller, APP, rollout.id, by=Actor.AUTOMATIC)
    released.publish("2.2.0")
    newer = released.start("2.2.0")
    control.pull(caller, APP, newer.id)

    with pytest.raises(ApprovalsMissingError) as refused:
        released.start("2.1.0")

    assert refused.value.needed == 2


# --- who is too late ---------------------------------------------------------------------


def test_a_promotion_that_stalls_while_it_is_asked_for_does_not_end_a_pause(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    caller, others = released.caller(), released.services().control

    def overtake() -> None:
        released.advance(LEASE_SECONDS + 1)
        others.pause(caller, APP, rollout.id)

    services, signer = watched(released, before=overtake)
    with pytest.raises(LeaseLostError):
        services.control.promote(caller, APP, rollout.id)

    assert signer.shown == [(caller.secret,)]  # it did ask, after the pause was signed
    paused = released.rollout(rollout)
    assert (paused.state, paused.position) == (RolloutState.PAUSED, 0)
    assert entries(released)[0].state is RolloutState.PAUSED
    assert not released.services().reconciler.is_due(APP)


def test_a_pause_goes_on_from_what_was_signed_and_not_recorded(released: World) -> None:
    rollout, caller = released.start("2.1.0"), released.caller()
    services, _ = watched(released, before=lambda: released.signer.refresh(APP))

    with pytest.raises(LeaseLostError):
        services.control.pause(caller, APP, rollout.id)
    assert released.rollout(rollout).state is RolloutState.PAUSED

    services.control.pause(caller, APP, rollout.id)

    assert entries(released)[0].state is RolloutState.PAUSED


# --- soak --------------------------------------------------------------------------------


def test_a_step_soaks_anew_after_a_pause(released: World) -> None:
    rollout, caller = released.start("2.1.0"), released.caller()
    control = released.services().control
    control.pause(caller, APP, rollout.id)
    released.advance(3_600)
    control.resume(caller, APP, rollout.id)

    with pytest.raises(ApprovalsMissingError):
        control.promote(caller, APP, rollout.id)
    released.advance(60)

    assert control.promote(caller, APP, rollout.id).position == 1


def test_what_is_resumed_at_its_last_step_is_completed_by_the_next_reconcile(
    released: World,
) -> None:
    rollout, caller = released.complete("2.1.0"), released.caller()
    control = released.services().control
    control.pause(caller, APP, rollout.id)

    assert control.resume(caller, APP, rollout.id).state is RolloutState.ACTIVE
    assert entries(released)[0].state is RolloutState.ACTIVE
    released.services().reconciler.reconcile(APP)

    assert entries(released)[0].state is RolloutState.COMPLETED


# --- the last-good release ---------------------------------------------------------------


def test_a_pull_brings_the_last_good_release_back_with_nobodys_approval(released: World) -> None:
    rollout = released.complete("2.1.0")
    assert [str(entry.version) for entry in entries(released)] == ["2.1.0"]
    services, signer = watched(released)

    services.control.pull(released.caller(), APP, rollout.id)

    assert len(signer.shown) == 1
    back = entries(released)[-1]
    assert (back.version, back.state) == (Version("2.0.0"), RolloutState.COMPLETED)
    assert back.exposure_bp == 10_000


def test_a_pull_is_in_force_though_no_last_good_release_may_come_back(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", ramp=(Step(ring="all", exposure_bp=10_000),))
    rollouts = []
    for version in ("1.0.0", "2.0.0", "2.1.0"):
        world.publish(version)
        rollouts.append(world.start(version))
        world.services().reconciler.reconcile(APP)
    first, second, newest = rollouts
    world.change_policy(revoked=["1.0.0", "2.0.0"])

    pulled = world.services().control.pull(world.caller(), APP, newest.id, reason="bad")

    assert pulled.state is RolloutState.PULLED
    assert [entry.state for entry in entries(world)] == [RolloutState.PULLED]
    for given_up in (first, second):
        assert world.rollout(given_up).state is RolloutState.SUPERSEDED
    assert not world.services().reconciler.is_due(APP)


def test_the_last_good_release_is_not_given_up_for_another_wish_that_was_refused(
    released: World,
) -> None:
    completed = released.complete("2.1.0")
    released.publish("2.2.0")
    rollout = released.start("2.2.0")
    wish(released, rollout, replace(promote(rollout, released.clock.now()), revision=2))

    released.services().control.pull(released.caller(), APP, completed.id, reason="bad")

    assert released.rollout(rollout).position == 0
    assert [(str(e.version), e.state.value) for e in entries(released) if not e.rollback] == [
        ("2.2.0", "active"),
        ("2.1.0", "pulled"),
        ("2.0.0", "completed"),
    ]
