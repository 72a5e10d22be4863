"""Keys come and go: planned, after a theft, and one signature at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError

from signing.ceremony import resign
from signing.chain import walk
from signing.errors import CeremonyError, PlanError, SubmissionError
from signing.repository import OnlineSigners
from signing.rotation import Guard, add_signature, change_keys
from signing.state import RepositoryState
from tests.signing.world import (
    APP,
    LINUX,
    NOW,
    ONLINE,
    PUBLISHER,
    World,
    a_layout,
    a_release,
    a_rollout,
    a_world,
    key,
)

ROLLOUT = "rollout.stable"
RELEASES = f"releases.stable.{LINUX}"
NEW_ONLINE = OnlineSigners(
    rollout=(key("rollout"),),
    snapshot=(key("new-snapshot"),),
    timestamp=(key("new-timestamp"),),
)


def both(world: World) -> OnlineSigners:
    old, new = world.online, NEW_ONLINE
    return OnlineSigners(
        rollout=old.rollout,
        snapshot=old.snapshot + new.snapshot,
        timestamp=old.timestamp + new.timestamp,
    )


def new_root(world: World) -> dict[str, bytes]:
    """Return a root that replaces the snapshot and timestamp keys."""
    guards = {
        "snapshot": Guard(keys=(key("new-snapshot").public_key,)),
        "timestamp": Guard(keys=(key("new-timestamp").public_key, key("standby").public_key)),
    }
    return change_keys(world.state, guards, [key("root")], NOW)


def guarded_by(name: str) -> Guard:
    return Guard(keys=(key(name).public_key,))


def test_online_keys_are_replaced_without_an_agent_noticing(tmp_path: Path) -> None:
    """docs/trust.md, 9: sign with old and new, then the root, then drop the old."""
    world = a_world(a_release("1.0"))
    world.agent(tmp_path / "old").refresh()

    world.online = both(world)
    world.roll_out(a_rollout("1.0"))
    world.agent(tmp_path / "old").refresh()
    world.submit(new_root(world))
    world.agent(tmp_path / "old").refresh()
    world.online = NEW_ONLINE
    world.take_in({})

    for name in ("old", "fresh"):
        world.agent(tmp_path / name).refresh()


def test_a_root_that_names_other_online_keys_than_the_servers_is_not_published() -> None:
    world = a_world()

    with pytest.raises(PlanError) as caught:
        world.submit(new_root(world))

    assert caught.value.code == "unsigned"


def test_after_a_theft_the_new_keys_sign_alone(tmp_path: Path) -> None:
    world = a_world(a_release("1.0"))
    world.agent(tmp_path / "old").refresh()
    world.online = NEW_ONLINE

    world.submit(new_root(world))

    for name in ("old", "fresh"):
        world.agent(tmp_path / name).refresh()


def test_the_cold_key_signs_timestamps_when_the_online_one_is_lost(tmp_path: Path) -> None:
    world = a_world()
    world.online = OnlineSigners(
        rollout=ONLINE.rollout, snapshot=ONLINE.snapshot, timestamp=(key("standby"),)
    )

    world.take_in({})

    world.agent(tmp_path / "agent").refresh()


def test_a_new_rollout_key_takes_over_the_signed_document() -> None:
    world = a_world(a_release("1.0"))
    world.roll_out(a_rollout("1.0"))
    before = role_document(world)
    changed = change_keys(world.state, {ROLLOUT: guarded_by("new-rollout")}, PUBLISHER, NOW)
    world.online = OnlineSigners(
        rollout=(key("new-rollout"),), snapshot=ONLINE.snapshot, timestamp=ONLINE.timestamp
    )

    world.submit(changed)

    assert role_document(world) == before
    assert walk(APP, world.state.metadata).failures == {}
    assert json.loads(world.state.metadata[ROLLOUT])["signed"]["version"] == 3


def role_document(world: World) -> object:
    (target,) = json.loads(world.state.metadata[ROLLOUT])["signed"]["targets"].values()
    return target["custom"]


def test_a_new_rollout_key_signs_nothing_that_the_old_one_did_not_sign() -> None:
    world = a_world(a_release("1.0"))
    changed = change_keys(world.state, {ROLLOUT: guarded_by("new-rollout")}, PUBLISHER, NOW)
    planted = world.state.metadata[ROLLOUT].replace(b"14400", b"14401")
    world.state = world.state.with_changes({ROLLOUT: planted})
    world.online = OnlineSigners(
        rollout=(key("new-rollout"),), snapshot=ONLINE.snapshot, timestamp=ONLINE.timestamp
    )

    with pytest.raises(PlanError) as caught:
        world.plan(changed)

    assert (caught.value.code, caught.value.role) == ("unsigned", ROLLOUT)


def test_a_new_release_key_must_sign_the_role_in_the_same_step() -> None:
    world = a_world(a_release("1.0"))
    changed = change_keys(world.state, {RELEASES: guarded_by("second")}, PUBLISHER, NOW)

    with pytest.raises(SubmissionError) as caught:
        world.check(changed)
    again = resign(world.state.with_changes(changed), RELEASES, [key("second")], NOW)
    world.submit({**changed, **again})

    assert set(changed) == {"targets"}
    assert (caught.value.code, caught.value.role) == ("unsigned", RELEASES)
    assert walk(APP, world.state.metadata).failures == {}


def test_a_stolen_publisher_key_is_replaced_everywhere(tmp_path: Path) -> None:
    world = a_world(a_release("1.0"))
    world.agent(tmp_path / "old").refresh()
    guards = {role: guarded_by("second") for role in ("targets", "policy", RELEASES)}

    world.submit(change_keys(world.state, guards, [key("root"), key("second")], NOW))

    stolen = key("publisher").public_key.keyid.encode()
    assert stolen not in world.state.metadata["root"]
    assert stolen not in world.state.metadata["targets"]
    for name in ("old", "fresh"):
        agent = world.agent(tmp_path / name)
        agent.refresh()
        assert agent.get_targetinfo("demo/policy/stable.json")


def test_a_platform_without_metadata_changes_hands_without_any() -> None:
    world = a_world(layout=a_layout(platforms=(LINUX, "macos-arm64")))
    metadata = {k: v for k, v in world.state.metadata.items() if k != "releases.stable.macos-arm64"}
    state = RepositoryState(app=APP, metadata=metadata)
    guards = {"releases.stable.macos-arm64": guarded_by("second")}

    changed = change_keys(state, guards, [key("publisher"), key("second")], NOW)

    assert set(changed) == {"targets"}


def test_an_agent_refuses_a_root_of_strangers(tmp_path: Path) -> None:
    world = a_world()
    other = World()
    agent = world.agent(tmp_path / "agent")
    agent.refresh()
    forged = json.loads(world.first_root)
    forged["signed"]["version"] = 2
    forged["signatures"] = []
    data = add_signature("root", json.dumps(forged).encode(), key("fourth"))
    world.blobs.files["apps/demo/tuf/2.root.json"] = data

    with pytest.raises(RepositoryError):
        world.agent(tmp_path / "agent").refresh()

    assert other.state.metadata == {}


@pytest.mark.parametrize("role", ["mirror", "releases.beta.linux-x86_64"])
def test_an_unknown_role_has_no_keys_to_change(role: str) -> None:
    with pytest.raises(CeremonyError) as caught:
        change_keys(a_world().state, {role: guarded_by("second")}, PUBLISHER, NOW)

    assert caught.value.code == "bad_role"


@pytest.mark.parametrize("role", ["root", "policy"])
@pytest.mark.parametrize("threshold", [0, 2])
def test_a_threshold_must_be_met_by_distinct_keys(role: str, threshold: int) -> None:
    guard = Guard(keys=(key("second").public_key, key("second").public_key), threshold=threshold)

    with pytest.raises(CeremonyError) as caught:
        change_keys(a_world().state, {role: guard}, PUBLISHER, NOW)

    assert caught.value.code == "too_few_keys"


def test_a_root_is_not_changed_without_its_key() -> None:
    with pytest.raises(CeremonyError) as caught:
        change_keys(a_world().state, {"snapshot": guarded_by("second")}, PUBLISHER, NOW)

    assert (caught.value.code, caught.value.role) == ("no_key", "root")


def test_keys_that_no_role_names_leave_the_metadata() -> None:
    signers = [key("root"), key("second")]

    changed = change_keys(a_world().state, {"root": guarded_by("second")}, signers, NOW)

    assert key("backup").public_key.keyid not in json.loads(changed["root"])["signed"]["keys"]
