from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from packaging.version import Version

from rollout.model import Audience, RolloutState, Step
from signing.errors import TrustError
from signing.journal import dump_journal, load_journal
from tests.admin_world import APP, STABLE, World, a_registered_world, a_world
from tests.fakes import FakeDatabase
from update_server.evidence.facts import Past, Paused, StageOpened
from update_server.service.agents.refresh import ensure_secrets
from update_server.service.ports import Database, Role, StoredTarget, Stores
from update_server.service.repository.fsck import Finding, Fsck
from update_server.service.repository.rebuild import rebuild
from update_server.service.studies.codec import decode_fact


def check(world: World, database: Database | None = None) -> tuple[Finding, ...]:
    fsck = Fsck(database or world.database, world.blobs, world.clock, next_check_in_seconds=14_400)
    return fsck.check()


def codes(world: World) -> set[str]:
    return {finding.code for finding in check(world)}


def key(world: World, start: str, end: str) -> str:
    return next(k for k in world.blobs.blobs if k.startswith(start) and k.endswith(end))


@pytest.fixture
def sound(released: World) -> World:
    released.start("2.1.0")
    assert check(released) == ()
    return released


def test_an_app_on_its_way_is_sound(tmp_path: Path) -> None:
    world = a_world(tmp_path / "signer")
    world.services().apps.add(world.caller(Role.ADMIN, None), APP, [STABLE], ["linux-x86_64"])

    assert check(world) == ()


def test_an_announced_channel_is_sound(sound: World) -> None:
    sound.services().apps.add(sound.caller(Role.ADMIN, None), APP, ["beta"], ["macos-arm64"])

    assert check(sound) == ()


@pytest.mark.no_cover
def test_many_states_are_all_looked_at(sound: World) -> None:
    for _ in range(120):
        sound.services().renewer.renew(APP)
    first = key(sound, "apps/demo/tuf/1.", "root.json")
    assert check(sound) == ()

    sound.blobs.blobs[first] += b" "

    assert "changed_file" in codes(sound)


DAMAGES: dict[str, tuple[Callable[[World], object], str]] = {
    "a metadata file is gone": (
        lambda w: w.blobs.delete(key(w, "apps/demo/tuf/", "1.snapshot.json")),
        "missing_file",
    ),
    "a metadata file was changed": (
        lambda w: w.blobs.blobs.update({key(w, "apps/demo/tuf/", "1.snapshot.json"): b"{}"}),
        "changed_file",
    ),
    "the timestamp is an old one": (
        lambda w: w.blobs.blobs.update({"apps/demo/tuf/timestamp.json": b"{}"}),
        "untrusted",
    ),
    "a role is not signed": (
        lambda w: w.blobs.blobs.update(
            {
                (k := "apps/demo/tuf/1.policy.json"): w.blobs.blobs[k].replace(
                    b'"sig":"', b'"sig":"0'
                )
            }
        ),
        "untrusted",
    ),
    "the root is gone": (
        lambda w: w.blobs.delete("apps/demo/tuf/1.root.json"),
        "untrusted",
    ),
    "an artifact is gone": (
        lambda w: w.blobs.delete(key(w, "apps/demo/targets/", "demo-2.0.0.srn")),
        "missing_file",
    ),
    "a private artifact was changed": (
        lambda w: w.blobs.blobs.update(
            {(k := key(w, "private/", "demo-2.1.0.srn")): w.blobs.blobs[k][:-1] + b"!"}
        ),
        "changed_file",
    ),
    "a release document is gone": (
        lambda w: w.blobs.delete(key(w, "apps/demo/targets/", ".release.json")),
        "missing_file",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_to_storage_is_found(what: str, sound: World) -> None:
    damage, code = DAMAGES[what]

    damage(sound)

    assert code in codes(sound)


def test_a_file_of_another_length_is_missing(sound: World) -> None:
    artifact = key(sound, "apps/demo/targets/", "demo-2.0.0.srn")
    sound.blobs.blobs[artifact] += b"x"

    assert "missing_file" in codes(sound)


def in_state(world: World) -> Any:
    return world.database._state


def test_damage_to_the_database_is_found(sound: World) -> None:
    state = in_state(sound)
    documents = dict(state.documents)
    for name, damage in {
        "documents": {k: replace(d, version=d.version + 1) for k, d in documents.items()},
        "releases": {},
        "targets": {},
        "journal": {},
    }.items():
        kept = getattr(state, name)
        setattr(state, name, damage)
        found = codes(sound)
        setattr(state, name, kept)
        assert found, name
    assert check(sound) == ()


def test_a_broken_audit_chain_is_found(sound: World) -> None:
    state = in_state(sound)
    seq, record = next(iter(state.audit.items()))
    state.audit[seq] = replace(record, reason="nothing happened")

    assert [f.code for f in check(sound)] == ["audit_broken"]


def test_a_state_that_waits_is_found(sound: World) -> None:
    state = sound.signer.refresh(APP)
    with sound.database.transaction() as stores:
        stores.journal.add(APP, state.timestamp_version, state.journal, sound.clock.now())

    assert "unpublished" in codes(sound)


def test_a_journal_that_is_none_is_found(sound: World) -> None:
    with sound.database.transaction() as stores:
        row = stores.journal.add(APP, 99, b"{}", sound.clock.now())
        stores.journal.mark_published(row.id, sound.clock.now())

    assert "bad_journal" in codes(sound)


def test_a_wish_that_is_not_in_force_is_found(sound: World) -> None:
    with sound.database.transaction() as stores:
        (rollout, _) = stores.rollouts.of_app(APP)
        wish = replace(rollout, state=RolloutState.PAUSED, revision=2)
        stores.rollouts.replace(rollout, wish)

    assert codes(sound) == {"not_in_force"}


def test_a_wish_that_cannot_be_said_is_found(sound: World) -> None:
    with sound.database.transaction() as stores:
        (rollout, _) = stores.rollouts.of_app(APP)
        ladder = (Step(ring="\N{SNOWMAN}", exposure_bp=1),)
        stores.rollouts.replace(rollout, replace(rollout, ladder=ladder, revision=2))

    assert codes(sound) == {"inexpressible"}


def test_an_app_that_only_storage_knows_is_found(sound: World) -> None:
    sound.blobs.create("apps/ghost/tuf/timestamp.json", b"{}")

    assert [(f.app, f.code) for f in check(sound)] == [("ghost", "unknown_app")]


def test_an_app_that_moves_while_it_is_looked_at_is_looked_at_again(sound: World) -> None:
    """The first look meets a state before it is published, as beside a running server."""
    state = sound.signer.refresh(APP)
    with sound.database.transaction() as stores:
        stores.journal.add(APP, state.timestamp_version, state.journal, sound.clock.now())
    looks = 0

    class Moving:
        @contextmanager
        def reading(self) -> Iterator[Stores]:
            nonlocal looks
            looks += 1
            with sound.database.reading() as stores:
                yield stores
            if looks == 6:
                sound.services().reconciler.reconcile(APP)

    assert check(sound, cast("Database", Moving())) == ()


def test_a_target_of_no_release_must_be_public(sound: World) -> None:
    with sound.database.transaction() as stores:
        stores.releases.add_targets(
            [StoredTarget(app=APP, path="demo/x.txt", sha256="0" * 64, length_bytes=1)]
        )

    assert codes(sound) == {"missing_file"}


# --- rebuilding --------------------------------------------------------------------------


def lose_database(world: World) -> None:
    world.database = FakeDatabase()
    world.secrets.clear()
    ensure_secrets(world.database, lambda: b"n" * 32)


def rebuilt(world: World) -> None:
    lose_database(world)
    assert rebuild(world.database, world.blobs, world.clock) == (APP,)


def signed_parts(world: World) -> tuple[object, ...]:
    """Return what a database knows from signatures alone."""
    with world.database.reading() as stores:
        return (
            {r.document for r in stores.releases.all(APP)},
            stores.releases.targets(APP),
            stores.releases.documents(APP),
        )


def test_a_lost_database_is_rebuilt_from_what_is_signed(released: World) -> None:
    rollout = released.start("2.1.0")
    released.advance(60)
    released.services().control.promote(released.caller(), APP, rollout.id)
    before = signed_parts(released)

    rebuilt(released)

    assert signed_parts(released) == before
    with released.database.reading() as stores:
        app = stores.apps.get(APP)
    assert (app.registered, app.channels, app.platforms) == (
        True,
        (STABLE,),
        released.platforms,
    )
    again = released.rollout(rollout)
    assert (again.position, again.state, again.ladder) == (1, RolloutState.ACTIVE, rollout.ladder)
    assert check(released) == ()


def test_a_rebuilt_server_goes_on(released: World) -> None:
    rollout = released.start("2.1.0")
    rebuilt(released)

    pulled = released.services().control.pull(released.caller(), APP, rollout.id)
    released.publish("2.2.0", rollback_to=["2.0.0"])
    released.start("2.2.0")

    assert pulled.replacement == Version("2.0.0")
    assert check(released) == ()


def test_a_rebuilt_server_takes_in_what_the_signer_signed_last(released: World) -> None:
    state = released.signer.refresh(APP)

    rebuilt(released)
    released.services().reconciler.reconcile(APP)

    with released.database.reading() as stores:
        assert stores.journal.newest(APP).timestamp_version == state.timestamp_version
    assert check(released) == ()


def test_rebuilding_what_is_there_changes_nothing_but_the_log(released: World) -> None:
    released.start("2.1.0")
    with released.database.reading() as stores:
        before = (stores.rollouts.of_app(APP), stores.releases.all(APP), stores.journal.newest(APP))

    rebuild(released.database, released.blobs, released.clock)

    with released.database.reading() as stores:
        after = (stores.rollouts.of_app(APP), stores.releases.all(APP), stores.journal.newest(APP))
    assert after == before
    assert check(released) == ()


def test_holds_and_paused_and_pulled_rollouts_come_back(released: World) -> None:
    control, caller = released.services().control, released.caller()
    pulled = released.start("2.1.0")
    control.pull(caller, APP, pulled.id)
    released.publish("2.2.0")
    paused = released.start("2.2.0")
    control.pause(caller, APP, paused.id)
    for rollout in (None, paused.id):
        released.services().holds.add(
            caller,
            APP,
            STABLE,
            title="Driver",
            link="https://status.example.org/h1",
            audience=Audience(os_version=("<13",)),
            rollout=rollout,
        )

    rebuilt(released)

    assert released.rollout(pulled).replacement == Version("2.0.0")
    assert released.rollout(paused).state is RolloutState.PAUSED
    with released.database.reading() as stores:
        assert {held.rollout for held in stores.rollouts.holds(APP)} == {None, paused.id}
    assert check(released) == ()


@pytest.mark.parametrize("is_paused", [False, True])
def test_rollouts_that_go_on_are_judged_again(released: World, *, is_paused: bool) -> None:
    control, caller = released.services().control, released.caller()
    pulled = released.start("2.1.0")
    control.pull(caller, APP, pulled.id)
    released.publish("2.2.0")
    started = released.start("2.2.0")
    if is_paused:
        control.pause(caller, APP, started.id)

    rebuilt(released)

    with released.database.reading() as stores:
        live = {head.rollout for head in stores.studies.live()}
        facts = [decode_fact(body) for _, body in stores.studies.facts(started.id, 9)]
    assert live == {started.id}
    assert [type(fact) for fact in facts] == [StageOpened, Past, Paused][: 2 + is_paused]


def test_a_pull_without_a_replacement_comes_back(released: World) -> None:
    released.publish("2.2.0")
    rollout = released.start("2.2.0")
    released.services().control.pull(released.caller(), APP, rollout.id)

    rebuilt(released)

    again = released.rollout(rollout)
    assert (again.state, again.replacement) == (RolloutState.PULLED, None)
    assert check(released) == ()


def test_a_ladder_of_ones_own_comes_back_as_far_as_it_is_open(released: World) -> None:
    ladder = (
        Step(ring="tiny", exposure_bp=7),
        Step(ring="half", exposure_bp=5_000, holdback_bp=100),
        Step(ring="all", exposure_bp=10_000),
    )
    rollout = released.start("2.1.0", ladder=ladder, ring="half", reason="an experiment")

    rebuilt(released)

    again = released.rollout(rollout)
    assert [step.ring for step in again.ladder] == ["tiny", "half", "all"]
    assert (again.position, again.step.holdback_bp) == (1, 100)
    assert check(released) == ()


def test_a_ring_of_groups_that_are_none_comes_back_as_nothing_open(tmp_path: Path) -> None:
    world = a_registered_world(
        tmp_path / "signer",
        internal_groups=(),
        ramp=(Step(ring="all", exposure_bp=10_000),),
    )
    world.publish("2.0.0")
    ladder = (Step(ring="internal"), Step(ring="all", exposure_bp=10_000))
    rollout = world.start("2.0.0", ladder=ladder, reason="nobody is internal")

    rebuilt(world)

    assert world.rollout(rollout).step.exposure_bp is None
    assert check(world) == ()


def test_an_unsigned_repository_is_not_taken_for_truth(released: World) -> None:
    policy = key(released, "apps/demo/tuf/", "policy.json")
    signed = released.blobs.blobs[policy]
    released.blobs.blobs[policy] = signed.replace(b'"sig":"', b'"sig":"0')
    assert released.blobs.blobs[policy] != signed
    lose_database(released)

    with pytest.raises(TrustError):
        rebuild(released.database, released.blobs, released.clock)

    with released.database.reading() as stores:
        assert stores.apps.all() == []


def test_a_repository_whose_files_are_gone_is_not_taken_for_truth(released: World) -> None:
    released.blobs.delete("apps/demo/tuf/1.root.json")
    lose_database(released)

    with pytest.raises(TrustError):
        rebuild(released.database, released.blobs, released.clock)


def test_an_expired_repository_is_rebuilt_all_the_same(released: World) -> None:
    released.advance(10 * 86_400)

    rebuilt(released)

    released.services().renewer.renew(APP)
    assert check(released) == ()


def test_a_journal_from_before_is_kept(released: World) -> None:

    lose_database(released)
    rebuild(released.database, released.blobs, released.clock)
    with released.database.reading() as stores:
        row = stores.journal.newest(APP)
    assert row.published_at is not None
    assert dump_journal(load_journal(row.body)) == row.body
