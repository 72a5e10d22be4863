"""Killed before any of its effects, a verb is in force or undone; nothing signed is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.model import Rollout, RolloutState
from signing.errors import CeremonyError
from tests.admin_world import APP, STABLE, World, a_released_world
from tests.builders import a_hold
from tests.kill_switch import KilledError, KillSwitch
from update_server.service.errors import ApprovalsMissingError, NotNewerError
from update_server.service.ports import Role, SignerRefusedError
from update_server.service.repository.fsck import Fsck
from update_server.service.repository.leases import LEASE_SECONDS
from update_server.service.repository.storage import verified
from update_server.web.admin.services import AdminServices

pytestmark = pytest.mark.no_cover  # the same lines, killed everywhere

Act = Callable[[World, AdminServices], object]


def the_live_rollout(world: World) -> Rollout:
    with world.database.reading() as stores:
        return stores.rollouts.of_app(APP)[0]


def start(world: World, services: AdminServices) -> object:
    return services.control.start(world.caller(), APP, STABLE, Version("2.1.0"))


def promote(world: World, services: AdminServices) -> object:
    return services.control.promote(world.caller(), APP, the_live_rollout(world).id)


def pause(world: World, services: AdminServices) -> object:
    return services.control.pause(world.caller(), APP, the_live_rollout(world).id, reason="bad")


def resume(world: World, services: AdminServices) -> object:
    return services.control.resume(world.caller(), APP, the_live_rollout(world).id)


def pull(world: World, services: AdminServices) -> object:
    return services.control.pull(world.caller(), APP, the_live_rollout(world).id, reason="bad")


def add_hold(world: World, services: AdminServices) -> object:
    hold = a_hold()
    return services.holds.add(
        world.caller(), APP, STABLE, title=hold.title, link=hold.link, audience=hold.audience
    )


def lift_hold(world: World, services: AdminServices) -> object:
    for held in services.holds.all(APP):
        services.holds.lift(world.caller(), APP, held.hold.id)
    return None


def renew(world: World, services: AdminServices) -> object:
    world.advance(3600)
    services.renewer.renew(APP)
    return None


def publish(world: World, services: AdminServices) -> object:
    return world.submit(world.signed_release("2.2.0", rollback_to=["2.0.0"]), services)


def nothing(_world: World) -> None:
    """Leave the world as it is."""


def started(world: World) -> None:
    start(world, world.services())
    world.advance(60)


def paused(world: World) -> None:
    started(world)
    pause(world, world.services())


def held(world: World) -> None:
    started(world)
    add_hold(world, world.services())


VERBS: dict[str, tuple[Callable[[World], None], Act, RolloutState | None]] = {
    "start": (nothing, start, RolloutState.ACTIVE),
    "promote": (started, promote, RolloutState.ACTIVE),
    "pause": (started, pause, RolloutState.PAUSED),
    "resume": (paused, resume, RolloutState.ACTIVE),
    "pull": (started, pull, RolloutState.PULLED),
    "add_hold": (started, add_hold, None),
    "lift_hold": (held, lift_hold, None),
    "renew": (started, renew, None),
    "publish": (nothing, publish, None),
}


NARROW = (RolloutState.PAUSED, RolloutState.PULLED)

# What one is told who asks again for what was done.
DONE_ALREADY: dict[str, type[Exception]] = {
    "start": NotNewerError,
    "promote": ApprovalsMissingError,  # the next step was not waited for
    "publish": CeremonyError,
}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = a_released_world(
        tmp_path_factory.mktemp("world") / "signer", platforms=("linux-x86_64",)
    )
    for role in (Role.OPERATOR, Role.PUBLISHER):
        world.caller(role)
    return world


def run_until_killed(world: World, act: Act, at: int | None) -> KillSwitch:
    switch = KillSwitch(at)
    services = world.services(
        database=switch.database(world.database),
        blobs=switch.blobs(world.blobs),
        signer=switch.signer(world.signer),
    )
    try:
        act(world, services)
    except KilledError:
        assert switch.effects == (at or 0) + 1
    return switch


def recover(world: World) -> None:
    """Do what the controller does once the lease of the dead is over."""
    world.advance(LEASE_SECONDS + 1)
    reconciler = world.services().reconciler
    try:
        reconciler.reconcile(APP)
    except SignerRefusedError:
        # Nobody could approve what was begun: it was taken back, which the next one proves.
        reconciler.reconcile(APP)
    assert not reconciler.is_due(APP)


def signed_state(world: World, rollout: Rollout) -> RolloutState | None:
    with world.database.reading() as stores:
        (document,) = [d for d in stores.releases.documents(APP) if d.kind == "rollout"]
    entries = parse_rollout(document.document).entries
    return next((entry.state for entry in entries if entry.rollout == rollout.id), None)


def assert_sound(world: World) -> None:
    fsck = Fsck(world.database, world.blobs, world.clock, next_check_in_seconds=14_400)
    assert fsck.check() == ()
    with world.database.reading() as stores:
        assert not stores.journal.unpublished()
        newest = stores.journal.newest(APP)
    assert newest.timestamp_version == world.signer.status(APP).timestamp_version


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_is_killed_before_any_effect_leaves_a_sound_server(
    name: str, released: World, tmp_path: Path
) -> None:
    prepare, act, wanted = VERBS[name]
    ready = released.fork(tmp_path / "ready")
    prepare(ready)
    effects = run_until_killed(ready.fork(tmp_path / "whole"), act, None).effects
    kept = 0

    for at in range(effects):
        world = ready.fork(tmp_path / str(at))
        run_until_killed(world, act, at)
        recorded = the_live_rollout(world).state
        # Agents see a whole repository at every instant.
        assert verified(APP, world.blobs, world.clock.now()).findings == ()

        recover(world)

        assert_sound(world)
        rollout = the_live_rollout(world)
        if rollout.state is not RolloutState.SUPERSEDED:
            assert signed_state(world, rollout) is rollout.state
        if recorded in NARROW:
            assert rollout.state is recorded  # a pause or a pull is never lost
            kept += 1
        # Whoever asked got no answer and asks again.
        try:
            act(world, world.services())
        except DONE_ALREADY.get(name, ()):
            pass
        assert_sound(world)
        if wanted is not None:
            rollout = the_live_rollout(world)
            assert (rollout.state, signed_state(world, rollout)) == (wanted, wanted)
    assert kept >= (effects - 1 if wanted in NARROW else 0)
