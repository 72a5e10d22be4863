from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.model import (
    Actor,
    Audience,
    Automatic,
    MustReach,
    RolloutDocument,
    RolloutState,
    Step,
)
from rollout.transitions import promote, pull
from signing.journal import dump_journal, load_journal
from tests.admin_world import (
    APP,
    QUICK_LADDER,
    STABLE,
    World,
    a_registered_world,
    a_released_world,
    a_world,
)
from update_server.service.agents.placement import (
    is_document,
    private_key,
    stored_path,
    upload_key,
)
from update_server.service.errors import BrokenStateError, InexpressibleError
from update_server.service.ports import (
    LeaseLostError,
    Role,
    SignedState,
    SignerRefusedError,
    StoredTarget,
    UnavailableError,
)
from update_server.service.repository.contents import read_contents
from update_server.service.repository.fsck import Fsck
from update_server.service.repository.states import completed


def document(world: World, channel: str = STABLE) -> RolloutDocument:
    with world.database.reading() as stores:
        for stored in stores.releases.documents(APP):
            if (stored.channel, stored.kind) == (channel, "rollout"):
                return parse_rollout(stored.document)
    raise AssertionError("no document")


def timestamp_version(world: World) -> int:
    with world.database.reading() as stores:
        return stores.journal.newest(APP).timestamp_version


def assert_sound(world: World) -> None:
    assert not world.services().reconciler.is_due(APP)
    fsck = Fsck(world.database, world.blobs, world.clock, next_check_in_seconds=14_400)
    assert fsck.check() == ()


# --- level-triggered ---------------------------------------------------------------------


def test_what_is_in_force_is_not_signed_again(released: World) -> None:
    released.start("2.1.0")
    version = timestamp_version(released)

    released.services().reconciler.reconcile(APP)

    assert timestamp_version(released) == version


def test_an_app_on_its_way_has_nothing_to_reconcile(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], ["linux-x86_64"])

    world.services().reconciler.reconcile(APP)

    assert not world.services().reconciler.is_due(APP)


def test_another_check_in_period_is_signed(released: World) -> None:
    released.services().reconciler.reconcile(APP)
    services = released.services()
    services.reconciler._next_check_in_seconds = 60

    assert services.reconciler.is_due(APP)
    services.reconciler.reconcile(APP)

    assert document(released).next_check_in_seconds == 60


def test_a_last_step_that_has_soaked_is_completed(tmp_path: Path) -> None:
    ladder = (Step(ring="all", exposure_bp=10_000, soak_seconds=3_600),)
    world = a_registered_world(tmp_path / "signer", ramp=ladder)
    world.publish("2.0.0")
    rollout = world.start("2.0.0")
    reconciler = world.services().reconciler
    reconciler.reconcile(APP)
    assert world.rollout(rollout).state is RolloutState.ACTIVE

    world.advance(3_600)
    assert reconciler.is_due(APP)
    reconciler.reconcile(APP)

    assert world.rollout(rollout).state is RolloutState.COMPLETED
    assert document(world).entries[0].state is RolloutState.COMPLETED
    assert_sound(world)


def test_a_last_step_that_is_not_everybody_is_never_completed(tmp_path: Path) -> None:
    ladder = (Step(ring="half", exposure_bp=5_000),)
    world = a_registered_world(tmp_path / "signer", ramp=ladder)
    world.publish("2.0.0")
    rollout = world.start("2.0.0")

    world.services().reconciler.reconcile(APP)

    assert world.rollout(rollout).state is RolloutState.ACTIVE


def test_the_lease_of_another_process_is_respected(released: World) -> None:
    with released.database.transaction() as stores:
        stores.apps.take_lease(APP, "another process", released.clock.now(), 3_600)

    with pytest.raises(LeaseLostError):
        released.services().reconciler.reconcile(APP)


# --- wishes that cannot be signed --------------------------------------------------------


def test_a_promotion_that_nobody_can_approve_any_more_is_taken_back(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        stores.rollouts.replace(rollout, promote(rollout, released.clock.now()))

    with pytest.raises(SignerRefusedError) as raised:
        released.services().reconciler.reconcile(APP)

    assert raised.value.code == "approvals_missing"
    assert (released.rollout(rollout).position, released.rollout(rollout).revision) == (0, 3)
    assert_sound(released)


def test_a_start_that_nobody_can_approve_gives_way_to_what_it_superseded(
    released: World,
) -> None:
    older = released.start("2.1.0")
    released.services().control.pause(released.caller(), APP, older.id)
    released.publish("2.2.0")
    newer = replace(
        released.rollout(older),
        id=type(older.id)("ro_newer"),
        version=Version("2.2.0"),
        state=RolloutState.ACTIVE,
        revision=1,
        paused_by=None,
    )
    with released.database.transaction() as stores:
        paused = stores.rollouts.get(APP, older.id)
        gone = replace(paused, state=RolloutState.SUPERSEDED, revision=9, paused_by=None)
        stores.rollouts.replace(paused, gone)
        stores.rollouts.add(newer)

    with pytest.raises(SignerRefusedError):
        released.services().reconciler.reconcile(APP)

    assert released.rollout(newer).state is RolloutState.SUPERSEDED
    restored = released.rollout(older)
    assert (restored.state, restored.paused_by) == (RolloutState.PAUSED, Actor.PERSON)
    assert_sound(released)


def test_a_lifted_hold_that_nobody_approved_is_placed_again(released: World) -> None:
    released.start("2.1.0")
    held = released.services().holds.add(
        released.caller(),
        APP,
        STABLE,
        title="Driver",
        link="https://status.example.org/h1",
        audience=Audience(),
    )
    with released.database.transaction() as stores:
        stores.rollouts.lift_hold(APP, held.hold.id, released.clock.now())

    with pytest.raises(SignerRefusedError):
        released.services().reconciler.reconcile(APP)

    assert [each.hold for each in released.services().holds.all(APP)] == [held.hold]
    assert_sound(released)


def test_a_pull_stays_though_a_promotion_stood_in_its_way(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        stores.rollouts.replace(rollout, promote(rollout, released.clock.now()))

    pulled = released.services().control.pull(released.caller(), APP, rollout.id, reason="bad")

    assert pulled.state is RolloutState.PULLED
    assert_sound(released)


def test_a_replacement_without_an_edge_is_taken_back_and_the_pull_stays(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        pulled = replace(
            rollout, state=RolloutState.PULLED, replacement=Version("1.0.0"), revision=2
        )
        stores.rollouts.replace(rollout, pulled)

    with pytest.raises(SignerRefusedError) as raised:
        released.services().reconciler.reconcile(APP)

    assert raised.value.code == "never"
    kept = released.rollout(rollout)
    assert (kept.state, kept.replacement) == (RolloutState.PULLED, None)
    assert_sound(released)


def test_recovery_sends_nobody_back_more_often_than_the_policy_says_but_pulls(
    tmp_path: Path,
) -> None:
    world = a_released_world(tmp_path / "signer", automatic=Automatic(max_rollbacks_per_day=0))
    rollout = world.start("2.1.0")
    with world.database.transaction() as stores:
        wish = pull(rollout, world.clock.now(), "bad", Version("2.0.0"))
        stores.rollouts.replace(rollout, wish)

    with pytest.raises(SignerRefusedError) as raised:
        world.services().reconciler.reconcile(APP)

    assert raised.value.code == "not_automatic"
    kept = world.rollout(rollout)
    assert (kept.state, kept.replacement) == (RolloutState.PULLED, None)
    assert_sound(world)
    again = world.services().control.pull(
        world.caller(), APP, rollout.id, replacement=Version("2.0.0")
    )
    assert again.replacement == Version("2.0.0")
    assert_sound(world)


def test_the_replacement_of_an_older_pull_survives_a_refused_wish(released: World) -> None:
    pulled = released.start("2.1.0")
    released.services().control.pull(released.caller(), APP, pulled.id, reason="bad")
    released.publish("2.2.0")
    rollout = released.start("2.2.0")
    with released.database.transaction() as stores:
        stores.rollouts.replace(rollout, promote(rollout, released.clock.now()))

    with pytest.raises(SignerRefusedError):
        released.services().reconciler.reconcile(APP)

    kept = released.rollout(pulled)
    assert (kept.state, kept.replacement) == (RolloutState.PULLED, Version("2.0.0"))
    assert_sound(released)


def test_a_refusal_that_is_no_judgement_takes_nothing_back(released: World) -> None:
    class Keyless:
        def __init__(self, inner: Any) -> None:
            self.status = inner.status

        def sign_rollout(self, *_: object, **__: object) -> object:
            raise SignerRefusedError("no_key", "the key is on holiday")

    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        stores.rollouts.replace(rollout, promote(rollout, released.clock.now()))
    services = released.services(signer=Keyless(released.signer))  # type: ignore[arg-type]

    with pytest.raises(SignerRefusedError):
        services.reconciler.reconcile(APP)

    assert released.rollout(rollout).position == 1


def test_a_pause_that_the_signer_refuses_for_good_is_told(released: World) -> None:
    class Stubborn:
        def __init__(self, inner: Any) -> None:
            self.status = inner.status

        def sign_rollout(self, *_: object, **__: object) -> object:
            raise SignerRefusedError("never", "I do not like pauses")

    rollout = released.start("2.1.0")
    services = released.services(signer=Stubborn(released.signer))  # type: ignore[arg-type]

    with pytest.raises(SignerRefusedError):
        services.control.pause(released.caller(), APP, rollout.id)

    assert released.rollout(rollout).state is RolloutState.PAUSED
    assert services.reconciler.is_due(APP)


def test_one_channels_refusal_does_not_keep_another_from_its_pause(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.register(channels=("beta", "stable"))
    for channel in ("beta", "stable"):
        world.publish("2.0.0", channel=channel)
    beta, stable = world.start("2.0.0", "beta"), world.start("2.0.0", "stable")
    with world.database.transaction() as stores:
        stores.rollouts.replace(beta, promote(beta, world.clock.now()))
        paused = replace(stable, state=RolloutState.PAUSED, revision=2)
        stores.rollouts.replace(stable, paused)

    with pytest.raises(SignerRefusedError):
        world.services().reconciler.reconcile(APP)

    assert document(world, "stable").entries[0].state is RolloutState.PAUSED
    assert_sound(world)


def test_a_wish_that_no_document_can_say_is_told_and_not_due(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        ladder = (Step(ring="\N{SNOWMAN}", exposure_bp=100), *QUICK_LADDER)
        stores.rollouts.replace(rollout, replace(rollout, ladder=ladder, revision=2))
    reconciler = released.services().reconciler

    with pytest.raises(InexpressibleError):
        reconciler.reconcile(APP)

    assert not reconciler.is_due(APP)
    assert not released.services().report.rollout(APP, rollout.id).published


def test_a_position_of_which_the_policy_tells_no_more_is_taken_to_be_no_wider(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    rollout = released.services().control.promote(released.caller(), APP, rollout.id)
    with released.database.transaction() as stores:
        ladder = (
            Step(ring="other", exposure_bp=500),
            Step(ring="another", exposure_bp=900),
            Step(ring="all", exposure_bp=10_000),
        )
        wish = replace(rollout, ladder=ladder, position=2, revision=9)
        stores.rollouts.replace(rollout, wish)

    with pytest.raises(SignerRefusedError):
        released.services().reconciler.reconcile(APP)

    assert released.rollout(rollout).position == 1
    assert_sound(released)


# --- what crashes leave ------------------------------------------------------------------


def test_a_state_that_was_signed_and_not_recorded_is_recorded(released: World) -> None:
    state = released.signer.refresh(APP)
    assert timestamp_version(released) < state.timestamp_version

    released.services().reconciler.reconcile(APP)

    assert timestamp_version(released) == state.timestamp_version
    assert_sound(released)


def test_states_that_were_signed_by_others_meanwhile_are_published_with_the_next(
    released: World,
) -> None:
    # Two holders that lost their lease had these signed, and recorded neither.
    world = released
    metadata = world.signed_release("2.2.0")
    files = {
        target.path: (target.sha256, target.length_bytes)
        for target in placed_targets(world, metadata)
    }
    world.signer.admit(APP, metadata, files)
    world.signer.refresh(APP)

    world.services().reconciler.reconcile(APP)

    with world.database.reading() as stores:
        assert len(stores.releases.get(APP, STABLE, Version("2.2.0"))) == 2
    assert_sound(world)


def placed_targets(world: World, metadata: dict[str, bytes]) -> list[StoredTarget]:
    """Place the new files of *metadata*, as a submission does before the signer is asked."""
    with world.database.reading() as stores:
        known = {target.path for target in stores.releases.targets(APP)}
    targets = [
        target
        for target in read_contents(APP, metadata).targets
        if not is_document(target) and target.path not in known
    ]
    for target in targets:
        world.blobs.copy(upload_key(APP, target.sha256), private_key(APP, stored_path(target)))
    return targets


def test_a_journal_is_completed_by_what_storage_lacks(released: World) -> None:
    state = released.signer.status(APP)
    journal = load_journal(state.journal)
    root = released.blobs.blobs.pop("apps/demo/tuf/1.root.json")

    whole = completed(journal, state.metadata, released.blobs)

    (added,) = [write for write in whole.writes if write not in journal.writes]
    assert (added.path, added.data) == ("tuf/1.root.json", root)
    assert load_journal(dump_journal(whole)) == whole


def test_storage_with_other_bytes_than_were_signed_stops_everything(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.reading() as stores:
        documents = [d for d in stores.releases.documents(APP) if d.kind == "rollout"]
    planted = f"apps/demo/tuf/{documents[0].version + 1}.rollout.stable.json"
    released.blobs.create(planted, b"something else")

    with pytest.raises(BrokenStateError):
        released.services().control.pause(released.caller(), APP, rollout.id)

    released.blobs.delete(planted)
    released.services().reconciler.reconcile(APP)
    assert_sound(released)


def test_a_timestamp_that_is_newer_than_the_journals_is_left_alone(released: World) -> None:
    released.services().renewer.renew(APP)
    with released.database.reading() as stores:
        row = stores.journal.newest(APP)
    older = load_journal(row.body)
    released.services().renewer.renew(APP)
    timestamp = released.blobs.blobs["apps/demo/tuf/timestamp.json"]
    with released.database.transaction() as stores:
        stores.journal.add(APP, 1_000, dump_journal(older), released.clock.now())

    released.services().reconciler.reconcile(APP)

    assert released.blobs.blobs["apps/demo/tuf/timestamp.json"] == timestamp


def test_a_timestamp_that_this_server_did_not_sign_raises_an_alarm(released: World) -> None:
    rollout = released.start("2.1.0")
    key = "apps/demo/tuf/timestamp.json"
    foreign = json.loads(released.blobs.blobs[key])
    foreign["signed"]["version"] += 10
    released.blobs.blobs[key] = json.dumps(foreign).encode()

    with pytest.raises(BrokenStateError):
        released.services().control.pull(released.caller(), APP, rollout.id, reason="bad")


def test_a_state_that_says_what_its_role_may_not_is_never_recorded(released: World) -> None:
    state = released.signer.refresh(APP)
    journal = load_journal(state.journal)
    forged = state.metadata["policy"].replace(b'"custom"', b'"custam"')
    write = replace(journal.writes[-1], path="tuf/1.policy.json", data=forged, swap=False)

    class Odd:
        def status(self, _app: str) -> SignedState:
            return replace(
                state,
                journal=dump_journal(replace(journal, writes=(write, *journal.writes))),
                metadata={**state.metadata, "policy": forged},
            )

    before = timestamp_version(released)
    with pytest.raises(BrokenStateError):
        released.services(signer=Odd()).reconciler.reconcile(APP)  # type: ignore[arg-type]

    assert timestamp_version(released) == before


def test_a_signer_without_memory_of_the_app_is_no_news(released: World) -> None:
    class Forgetful:
        def status(self, _app: str) -> SignedState:
            raise SignerRefusedError("bad_memory", "it cannot be read")

    with pytest.raises(SignerRefusedError):
        released.services(signer=Forgetful()).reconciler.reconcile(APP)  # type: ignore[arg-type]


def test_what_was_recorded_is_published_though_the_signer_is_down(released: World) -> None:
    class Down:
        def status(self, _app: str) -> SignedState:
            raise UnavailableError("no answer")

    state = released.signer.refresh(APP)
    with released.database.transaction() as stores:
        stores.journal.add(APP, state.timestamp_version, state.journal, released.clock.now())

    assert released.services().reconciler.is_due(APP)
    with pytest.raises(UnavailableError):
        released.services(signer=Down()).reconciler.reconcile(APP)  # type: ignore[arg-type]

    with released.database.reading() as stores:
        assert not stores.journal.unpublished()


# --- public and private ------------------------------------------------------------------


def public_artifacts(world: World, version: str) -> list[str]:
    prefix = "apps/demo/targets/"
    return [
        key
        for key in world.blobs.blobs
        if key.startswith(prefix) and f"/{version}/" in key and key.endswith(".srn")
    ]


def test_files_become_public_with_the_first_general_ring(released: World) -> None:
    rollout = released.start("2.1.0")
    assert not public_artifacts(released, "2.1.0")  # the internal ring alone
    released.advance(60)

    released.services().control.promote(released.caller(), APP, rollout.id)

    assert len(public_artifacts(released, "2.1.0")) == 2


def test_a_replacement_is_public(tmp_path: Path) -> None:
    world = a_released_world(tmp_path / "signer")
    world.publish("2.2.0", rollback_to=["2.1.0"])
    rollout = world.start("2.2.0")
    assert not public_artifacts(world, "2.1.0")

    world.services().control.pull(world.caller(), APP, rollout.id, replacement=Version("2.1.0"))

    assert len(public_artifacts(world, "2.1.0")) == 2


def test_a_version_that_must_be_reached_is_public(released: World) -> None:
    must = MustReach(version=Version("2.1.0"), after=released.clock.now())

    released.change_policy(must_reach=(must,))

    assert len(public_artifacts(released, "2.1.0")) == 2


def test_a_ring_that_is_paused_before_it_was_published_makes_nothing_public(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    wish = replace(promote(rollout, released.clock.now()), state=RolloutState.PAUSED)
    with released.database.transaction() as stores:
        stores.rollouts.replace(rollout, wish)

    with pytest.raises(SignerRefusedError):
        released.services().reconciler.reconcile(APP)

    assert document(released).entries[0].state is RolloutState.PAUSED
    assert not public_artifacts(released, "2.1.0")
