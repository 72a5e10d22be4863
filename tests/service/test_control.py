from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import parse_rollout
from rollout.model import Actor, Entry, Rollout, RolloutId, RolloutState, Step
from tests.admin_world import APP, QUICK_LADDER, STABLE, World, a_registered_world
from update_server.service.errors import (
    ApprovalsMissingError,
    BadValueError,
    ConflictError,
    IllegalVerbError,
    NeverAllowedError,
    NotNewerError,
    NotRegisteredError,
    NotReleasedError,
    RevisionError,
    UnknownChannelError,
)
from update_server.service.ports import (
    Database,
    LeaseLostError,
    NotFoundError,
    Role,
    Stores,
    UnavailableError,
)
from update_server.service.repository.leases import PATIENCE_SECONDS
from update_server.service.rollouts.changes import record_change
from update_server.service.rollouts.control import Control


def entries(world: World, channel: str = STABLE) -> tuple[Entry, ...]:
    """Return what the newest published document says."""
    with world.database.reading() as stores:
        assert not stores.journal.unpublished()
        for stored in stores.releases.documents(APP):
            if (stored.channel, stored.kind) == (channel, "rollout"):
                return parse_rollout(stored.document).entries
    raise AssertionError("no document")


def entry_of(world: World, rollout: Rollout) -> Entry | None:
    return next((each for each in entries(world) if each.rollout == rollout.id), None)


def actions(world: World) -> list[str]:
    with world.database.reading() as stores:
        return [record.action for record in stores.audit.page(app=APP, before_seq=None, limit=50)]


# --- start -------------------------------------------------------------------------------


def test_a_start_opens_the_first_ring_of_the_signed_ramp(released: World) -> None:
    rollout = released.start("2.1.0", reason="monday")

    assert (rollout.state, rollout.position) == (RolloutState.ACTIVE, 0)
    assert rollout.ladder == QUICK_LADDER
    entry = entry_of(released, rollout)
    assert entry is not None
    assert [ring.name for ring in entry.rings] == ["internal"]
    assert actions(released)[0] == "rollout.start"


def test_a_start_needs_a_release_on_that_channel(released: World) -> None:
    with pytest.raises(NotReleasedError):
        released.start("9.9.9")


def test_a_start_needs_a_known_channel(released: World) -> None:
    with pytest.raises(UnknownChannelError):
        released.start("2.1.0", "beta")


def test_a_start_needs_a_signed_policy(tmp_path: Path) -> None:
    world = World(folder=tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], ["linux-x86_64"])

    with pytest.raises(NotRegisteredError):
        world.start("2.1.0")


def test_a_version_that_is_live_already_is_not_started_again(released: World) -> None:
    first = released.start("2.1.0")

    with pytest.raises(NotNewerError) as raised:
        released.start("2.1.0")

    assert raised.value.rollout.id == first.id


def test_an_older_version_than_the_completed_one_is_not_started(released: World) -> None:
    released.publish("1.9.0")

    with pytest.raises(NotNewerError):
        released.start("1.9.0")


def test_the_first_release_of_a_channel_begins_at_the_last_step_of_its_ring(
    tmp_path: Path,
) -> None:
    ladder = (
        Step(ring="1%", exposure_bp=100),
        Step(ring="all", exposure_bp=5_000),
        Step(ring="all", exposure_bp=10_000),
    )
    world = a_registered_world(tmp_path)
    world.publish("1.0.0")
    world.publish("2.0.0")

    first = world.start("1.0.0", ladder=ladder, ring="all", reason="the first one")
    world.services().reconciler.reconcile(APP)
    second = world.start("2.0.0", ladder=ladder, ring="all", reason="in a hurry")

    assert first.step.exposure_bp == 10_000
    assert world.rollout(first).state is RolloutState.COMPLETED
    assert second.step.exposure_bp == 5_000


def test_a_start_completes_what_is_offered_to_everybody_already(released: World) -> None:
    first = released.start("2.1.0", ring="all", reason="a small fleet")
    released.publish("2.2.0")

    released.start("2.2.0")

    assert released.rollout(first).state is RolloutState.COMPLETED
    entry = entry_of(released, first)
    assert entry is not None
    assert entry.state is RolloutState.COMPLETED


def test_a_newer_version_supersedes_what_was_on_its_way(released: World) -> None:
    older = released.start("2.1.0")
    released.publish("2.2.0")

    newer = released.start("2.2.0")

    assert released.rollout(older).state is RolloutState.SUPERSEDED
    assert entry_of(released, older) is None
    assert entry_of(released, newer) is not None


def test_a_ladder_of_ones_own_needs_a_reason(released: World) -> None:
    ladder = (Step(ring="half", exposure_bp=5_000), Step(ring="all", exposure_bp=10_000))

    with pytest.raises(BadValueError) as raised:
        released.start("2.1.0", ladder=ladder)
    rollout = released.start("2.1.0", ladder=ladder, reason="a hotfix")

    assert raised.value.field == "reason"
    assert entry_of(released, rollout).exposure_bp == 5_000  # type: ignore[union-attr]


def test_a_start_at_a_later_ring_is_an_override(released: World) -> None:
    with pytest.raises(BadValueError):
        released.start("2.1.0", ring="10%")
    rollout = released.start("2.1.0", ring="10%", reason="tested elsewhere")

    assert rollout.position == 1


def test_a_ring_that_the_ladder_does_not_have_is_refused(released: World) -> None:
    with pytest.raises(BadValueError) as raised:
        released.start("2.1.0", ring="moon", reason="why not")

    assert raised.value.field == "start_ring"


def test_a_pulled_version_never_comes_back(released: World) -> None:
    rollout = released.start("2.1.0")
    released.services().control.pull(released.caller(), APP, rollout.id, reason="bad")

    with pytest.raises(NeverAllowedError):
        released.start("2.1.0")

    assert released.rollout(rollout).state is RolloutState.PULLED


def test_a_start_above_the_ceiling_is_refused(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", ceiling=((0, 100),))
    world.publish("2.0.0")

    with pytest.raises(NeverAllowedError):
        world.start("2.0.0", ring="10%", reason="hurry")

    with world.database.reading() as stores:
        assert not stores.rollouts.of_app(APP)


# --- promote -----------------------------------------------------------------------------


def test_a_promotion_opens_the_next_step_after_its_soak(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)

    promoted = released.services().control.promote(released.caller(), APP, rollout.id)

    assert (promoted.position, promoted.revision) == (1, 2)
    assert entry_of(released, promoted).exposure_bp == 1_000  # type: ignore[union-attr]


def test_a_promotion_before_the_soak_is_over_must_be_meant(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control

    with pytest.raises(ApprovalsMissingError):
        control.promote(released.caller(), APP, rollout.id)
    with pytest.raises(BadValueError):
        control.promote(released.caller(), APP, rollout.id, override=True, reason=" ")
    promoted = control.promote(released.caller(), APP, rollout.id, override=True, reason="a hotfix")

    assert promoted.position == 1


def test_a_promotion_can_skip_to_a_later_ring(released: World) -> None:
    rollout = released.start("2.1.0")

    promoted = released.services().control.promote(
        released.caller(), APP, rollout.id, ring="all", override=True, reason="a hotfix"
    )

    assert promoted.step.ring == "all"


def test_the_last_step_without_a_soak_completes_the_rollout(released: World) -> None:
    rollout = released.complete("2.1.0")

    assert rollout.state is RolloutState.COMPLETED
    assert entry_of(released, rollout).state is RolloutState.COMPLETED  # type: ignore[union-attr]
    assert [each.version for each in entries(released)] == [Version("2.1.0")]


def test_a_completed_rollout_takes_no_promotion(released: World) -> None:
    rollout = released.complete("2.1.0")

    with pytest.raises(IllegalVerbError) as raised:
        released.services().control.promote(released.caller(), APP, rollout.id)

    assert raised.value.legal == ["pause", "pull"]
    assert raised.value.rollout == rollout


def test_a_promotion_of_nothing_is_not_found(released: World) -> None:
    with pytest.raises(NotFoundError):
        released.services().control.promote(released.caller(), APP, RolloutId("ro_none"))


def test_a_step_that_wants_two_people_cannot_be_promoted_by_one(tmp_path: Path) -> None:
    ladder = (Step(ring="1%", exposure_bp=100), Step(ring="all", exposure_bp=10_000, approvals=2))
    world = a_registered_world(tmp_path / "signer", ramp=ladder)
    world.publish("2.0.0")
    rollout = world.start("2.0.0")

    with pytest.raises(ApprovalsMissingError) as raised:
        world.services().control.promote(world.caller(), APP, rollout.id)

    assert raised.value.needed == 2
    assert world.rollout(rollout).position == 0


# --- pause and resume --------------------------------------------------------------------


def test_a_pause_is_in_force_and_settled_when_it_returns(released: World) -> None:
    rollout = released.start("2.1.0")
    before = released.clock.now()

    paused = released.services().control.pause(released.caller(), APP, rollout.id, reason="crashes")

    assert (paused.state, paused.paused_by) == (RolloutState.PAUSED, Actor.PERSON)
    assert entry_of(released, paused).state is RolloutState.PAUSED  # type: ignore[union-attr]
    # The lease of every web process, and a margin, have passed since it was published.
    assert (released.clock.now() - before).total_seconds() == 2.25


def test_a_pause_twice_changes_nothing_but_waits_again(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    first = control.pause(released.caller(), APP, rollout.id)
    before = released.clock.now()

    second = control.pause(released.caller(), APP, rollout.id)

    assert second == first
    assert (released.clock.now() - before).total_seconds() == 2.25


def test_a_pause_while_the_signer_is_down_is_kept_for_later(released: World) -> None:
    rollout = released.start("2.1.0")

    class Down:
        def __getattr__(self, name: str) -> object:
            raise UnavailableError("the signer does not answer")

    services = released.services(signer=Down())  # type: ignore[arg-type]
    with pytest.raises(UnavailableError):
        services.control.pause(released.caller(), APP, rollout.id)
    assert released.rollout(rollout).state is RolloutState.PAUSED
    assert released.services().reconciler.is_due(APP)

    released.services().reconciler.reconcile(APP)

    assert entry_of(released, rollout).state is RolloutState.PAUSED  # type: ignore[union-attr]


def test_a_pause_is_recorded_though_another_process_holds_the_lease(released: World) -> None:
    rollout = released.start("2.1.0")
    with released.database.transaction() as stores:
        stores.apps.take_lease(APP, "a stalled process", released.clock.now(), 3_600)
    before = released.clock.now()

    with pytest.raises(LeaseLostError):
        released.services().control.pause(released.caller(), APP, rollout.id)

    assert released.rollout(rollout).state is RolloutState.PAUSED
    assert (released.clock.now() - before).total_seconds() >= PATIENCE_SECONDS


OWN_LADDER = (Step(ring="crew"), Step(ring="all", exposure_bp=10_000, soak_seconds=60))


@pytest.mark.parametrize("ladder", [None, OWN_LADDER])
@pytest.mark.parametrize("verb", ["pause", "pull"])
def test_the_first_internal_group_of_a_policy_delays_neither_pause_nor_pull(
    tmp_path: Path, verb: str, ladder: tuple[Step, ...] | None
) -> None:
    world = a_registered_world(tmp_path / "signer", internal_groups=())
    world.publish("2.0.0")
    world.complete("2.0.0")
    world.publish("2.1.0", rollback_to=["2.0.0"])
    rollout = world.start("2.1.0", ladder=ladder, reason="a test")
    world.change_policy(internal_groups=("staff",))

    stopped = getattr(world.services().control, verb)(world.caller(), APP, rollout.id)

    assert entry_of(world, rollout).state is stopped.state  # type: ignore[union-attr]
    assert not world.services().reconciler.is_due(APP)


def test_the_first_internal_group_of_a_policy_is_taken_in_by_the_next_reconcile(
    tmp_path: Path,
) -> None:
    world = a_registered_world(tmp_path / "signer", internal_groups=())
    world.publish("2.0.0")
    rollout = world.start("2.0.0")
    world.change_policy(internal_groups=("staff",))

    world.services().reconciler.reconcile(APP)

    internal = entry_of(world, rollout).rings[0]  # type: ignore[union-attr]
    assert internal.audience.groups == ("staff",)


def test_a_resume_ends_a_pause(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    control.pause(released.caller(), APP, rollout.id)

    resumed = control.resume(released.caller(), APP, rollout.id, reason="fixed")

    assert (resumed.state, resumed.paused_by) == (RolloutState.ACTIVE, None)
    assert control.resume(released.caller(), APP, rollout.id) == resumed
    assert entry_of(released, resumed).state is RolloutState.ACTIVE  # type: ignore[union-attr]


def test_a_completed_rollout_that_was_paused_is_resumed_and_then_completed_again(
    released: World,
) -> None:
    rollout = released.complete("2.1.0")
    control = released.services().control
    control.pause(released.caller(), APP, rollout.id)

    resumed = control.resume(released.caller(), APP, rollout.id)
    released.services().reconciler.reconcile(APP)

    assert resumed.state is RolloutState.ACTIVE
    assert released.rollout(rollout).state is RolloutState.COMPLETED
    assert entry_of(released, rollout).state is RolloutState.COMPLETED  # type: ignore[union-attr]


def test_pulling_a_completed_rollout_brings_the_one_before_it_back(released: World) -> None:
    rollout = released.complete("2.1.0")

    released.services().control.pull(released.caller(), APP, rollout.id)

    last = entries(released)[-1]
    assert (last.version, last.state) == (Version("2.0.0"), RolloutState.COMPLETED)


def test_a_resume_after_an_automatic_pause_needs_two(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    control.pause(released.caller(), APP, rollout.id, by=Actor.AUTOMATIC)

    with pytest.raises(ApprovalsMissingError) as raised:
        control.resume(released.caller(), APP, rollout.id)

    assert raised.value.needed == 2
    assert released.rollout(rollout).state is RolloutState.PAUSED


def test_a_pulled_rollout_takes_no_pause(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    control.pull(released.caller(), APP, rollout.id)

    with pytest.raises(IllegalVerbError) as raised:
        control.pause(released.caller(), APP, rollout.id)

    assert raised.value.legal == []


# --- pull --------------------------------------------------------------------------------


def test_a_pull_sends_installs_to_the_newest_version_they_may_go_back_to(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    with released.database.reading() as stores:
        generation = stores.apps.get(APP).generation

    pulled = released.services().control.pull(released.caller(), APP, rollout.id, reason="bad")

    assert pulled.replacement == Version("2.0.0")
    rollback, entry = entries(released)[:2]
    assert (rollback.rollback, rollback.version) == (True, Version("2.0.0"))
    assert rollback.from_versions == frozenset({Version("2.1.0")})
    assert (entry.rollout, entry.state) == (rollout.id, RolloutState.PULLED)
    with released.database.reading() as stores:
        assert stores.apps.get(APP).generation >= generation + 2  # at once, and when signed


def test_a_pull_again_is_the_same_pull(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    first = control.pull(released.caller(), APP, rollout.id, reason="bad")

    assert control.pull(released.caller(), APP, rollout.id, reason="worse") == first


def test_a_pull_without_a_way_back_leaves_installs_where_they_are(released: World) -> None:
    released.publish("2.2.0")
    rollout = released.start("2.2.0")

    pulled = released.services().control.pull(released.caller(), APP, rollout.id)

    assert pulled.replacement is None
    assert not any(entry.rollback for entry in entries(released))


def test_the_way_back_must_be_signed_on_all_platforms(released: World) -> None:
    linux, windows = released.platforms
    released.submit(released.signed_release("2.2.0", platforms=[linux], rollback_to=["2.0.0"]))
    released.submit(released.signed_release("2.2.0", platforms=[windows]))
    rollout = released.start("2.2.0")

    pulled = released.services().control.pull(released.caller(), APP, rollout.id)

    assert pulled.replacement is None


def test_a_revoked_version_is_no_replacement(released: World) -> None:
    rollout = released.start("2.1.0")
    released.change_policy(revoked=["2.0.0"])

    pulled = released.services().control.pull(released.caller(), APP, rollout.id)

    assert pulled.replacement is None


@pytest.mark.parametrize("version", ["1.0.0", "2.0.1"])
def test_a_replacement_without_a_signed_edge_is_refused(version: str, released: World) -> None:
    rollout = released.start("2.1.0")

    with pytest.raises(NeverAllowedError):
        released.services().control.pull(
            released.caller(), APP, rollout.id, replacement=Version(version)
        )

    assert released.rollout(rollout).state is RolloutState.ACTIVE


def test_a_replacement_that_was_never_released_is_refused(released: World) -> None:
    released.publish("2.2.0", rollback_to=["1.5.0"])
    rollout = released.start("2.2.0")

    with pytest.raises(NeverAllowedError):
        released.services().control.pull(
            released.caller(), APP, rollout.id, replacement=Version("1.5.0")
        )


def test_a_named_replacement_below_the_floor_is_refused(released: World) -> None:
    rollout = released.start("2.1.0")
    released.change_policy(floor="2.0.5")

    with pytest.raises(NeverAllowedError):
        released.services().control.pull(
            released.caller(), APP, rollout.id, replacement=Version("2.0.0")
        )


def test_a_pulled_rollout_can_still_be_given_a_replacement(released: World) -> None:
    released.publish("2.2.0", rollback_to=["2.1.0"])
    rollout = released.start("2.2.0")
    control = released.services().control
    assert control.pull(released.caller(), APP, rollout.id).replacement is None

    again = control.pull(released.caller(), APP, rollout.id, replacement=Version("2.1.0"))

    assert again.replacement == Version("2.1.0")
    assert entries(released)[0].version == Version("2.1.0")


def test_the_replacement_must_be_older(released: World) -> None:
    released.publish("2.2.0", rollback_to=["2.1.0"])
    rollout = released.start("2.1.0")

    with pytest.raises(NeverAllowedError):
        released.services().control.pull(
            released.caller(), APP, rollout.id, replacement=Version("2.2.0")
        )


# --- two at once -------------------------------------------------------------------------


def test_an_old_revision_is_refused_by_all_verbs_that_look_at_it(released: World) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    caller = released.caller()

    for verb in (control.promote, control.resume, control.pull):
        with pytest.raises(RevisionError) as raised:
            verb(caller, APP, rollout.id, expected_revision=7)
        assert raised.value.rollout == rollout


class Interrupted:
    """A database in which somebody else acts once, after a read or a commit of this request."""

    def __init__(
        self, inner: Database, act: Callable[[], object], after_commit: int | None = None
    ) -> None:
        self._inner = inner
        self._act = act
        self._commits_left = after_commit
        self._acted = False

    @contextmanager
    def reading(self) -> Iterator[Stores]:
        with self._inner.reading() as stores:
            yield stores
        if self._commits_left is None:
            self._interrupt()

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        with self._inner.transaction() as stores:
            yield stores
        if self._commits_left is not None:
            self._commits_left -= 1
            if self._commits_left == 0:
                self._interrupt()

    def _interrupt(self) -> None:
        if not self._acted:
            self._acted = True
            self._act()


def interrupted(
    world: World, act: Callable[[], object], after_commit: int | None = None
) -> Control:
    """Return a process that somebody overtakes, by default right after it has looked."""
    database = Interrupted(world.database, act, after_commit)
    return world.services(database=database).control


def test_of_two_promotions_at_once_one_wins(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    caller = released.caller()
    other = released.services().control
    control = interrupted(released, lambda: other.promote(caller, APP, rollout.id))

    with pytest.raises(ConflictError) as raised:
        control.promote(caller, APP, rollout.id)

    assert raised.value.rollout.position == 1
    assert released.rollout(rollout).position == 1


def test_of_two_starts_at_once_one_wins(released: World) -> None:
    caller = released.caller()
    control = interrupted(released, lambda: released.start("2.1.0"))

    with pytest.raises(ConflictError):
        control.start(caller, APP, STABLE, Version("2.1.0"))

    with released.database.reading() as stores:
        assert len([r for r in stores.rollouts.of_app(APP) if r.version == Version("2.1.0")]) == 1


def test_a_promotion_loses_against_a_pull_in_between(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    caller = released.caller()
    other = released.services().control
    control = interrupted(released, lambda: other.pull(caller, APP, rollout.id))

    with pytest.raises(ConflictError) as raised:
        control.promote(caller, APP, rollout.id)

    assert raised.value.rollout.state is RolloutState.PULLED


def test_a_pause_takes_over_from_a_promotion_that_stalls_before_it_is_signed(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    caller = released.caller()
    other = released.services().control
    # The commits are the lease and the wish; the pause waits until the lease is over.
    control = interrupted(released, lambda: other.pause(caller, APP, rollout.id), 2)

    with pytest.raises(ConflictError):
        control.promote(caller, APP, rollout.id)

    paused = released.rollout(rollout)
    assert (paused.state, paused.position) == (RolloutState.PAUSED, 0)
    assert entry_of(released, rollout).state is RolloutState.PAUSED  # type: ignore[union-attr]
    assert not released.services().reconciler.is_due(APP)
    assert "rollout.take_back" in actions(released)


def test_many_operators_at_once_leave_one_winner_each_time(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    caller = released.caller()
    barrier, turn = threading.Barrier(4), threading.Event()
    outcomes: list[str] = []

    def take_turns(_: float) -> None:
        turn.wait(0.001)

    def promote() -> None:
        # Time stands still, so that nobody's lease runs out; only the turn is waited for.
        control = released.services(wait=take_turns).control
        barrier.wait()
        try:
            control.promote(caller, APP, rollout.id)
            outcomes.append("won")
        except (ConflictError, ApprovalsMissingError) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=promote) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("won") == 1
    assert released.rollout(rollout).position == 1


def test_a_pull_that_reads_what_somebody_else_has_just_changed_is_a_conflict(
    released: World,
) -> None:
    rollout = released.start("2.1.0")
    control = released.services().control
    stale = replace(rollout, revision=7)

    with released.database.transaction() as stores, pytest.raises(ConflictError) as raised:
        record_change(stores, stale, replace(stale, revision=8), actor="me", verb="pull")

    assert raised.value.rollout == rollout
    assert control.pull(released.caller(), APP, rollout.id).revision == 2
