from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rollout.documents import render_release
from signing.ceremony import resign, sign_release
from signing.errors import PlanError
from signing.metadata import parse_snapshot, parse_timestamp
from signing.repository import OnlineSigners, Plan, plan, sign_rollout
from signing.state import RepositoryState
from tests.signing.world import (
    APP,
    LINUX,
    NOW,
    ONLINE,
    PUBLISHER,
    World,
    a_layout,
    a_policy,
    a_release,
    a_rollout,
    a_world,
    files_of,
    first_submission,
    forged,
    key,
    next_version,
)

RELEASES = f"releases.stable.{LINUX}"
ROLLOUT = "rollout.stable"


def paths(planned: Plan) -> list[str]:
    return [write.path for write in planned.journal.writes]


def refused(world: World, changed: dict[str, bytes], **changes: Any) -> tuple[str, str]:
    with pytest.raises(PlanError) as caught:
        plan(world.state, changed, world.placed, world.online, world.now, **changes)
    return caught.value.code, caught.value.role


# --- order -------------------------------------------------------------------------------


def test_the_first_plan_writes_everything_in_order() -> None:
    planned = World().plan(first_submission())

    assert [path.rpartition("/")[0] for path in paths(planned)[:2]] == [
        "targets/demo/policy",
        "targets/demo/rollout",
    ]
    assert paths(planned)[2:] == [
        "tuf/1.root.json",
        "tuf/1.targets.json",
        "tuf/1.policy.json",
        f"tuf/1.{RELEASES}.json",
        f"tuf/1.{ROLLOUT}.json",
        "tuf/1.snapshot.json",
        "tuf/timestamp.json",
    ]


def test_only_the_timestamp_is_swapped_and_it_is_last() -> None:
    planned = World().plan(first_submission())

    assert [write.swap for write in planned.journal.writes].index(True) == len(paths(planned)) - 1
    assert planned.journal.timestamp_version == 1


def test_a_release_is_one_document_one_role_snapshot_and_timestamp() -> None:
    world = a_world()
    release = a_release("1.0")
    world.place(release)
    changed = sign_release(world.state, render_release(release), files_of(release), PUBLISHER, NOW)

    planned = world.plan(changed)

    assert paths(planned)[0].endswith(".release.json")
    assert paths(planned)[1:] == [
        f"tuf/2.{RELEASES}.json",
        "tuf/2.snapshot.json",
        "tuf/timestamp.json",
    ]
    assert planned.journal.writes[0].data == render_release(release)


def test_a_changed_rollout_is_four_writes() -> None:
    world = a_world(a_release("1.0"))

    planned = world.plan(sign_rollout(world.state, a_rollout("1.0"), ONLINE, NOW))

    assert len(paths(planned)) == 4


def test_a_plan_of_nothing_is_a_new_timestamp_alone() -> None:
    world = a_world()

    planned = world.plan({})

    assert paths(planned) == ["tuf/timestamp.json"]
    assert planned.journal.timestamp_version == 2
    assert planned.state.metadata["snapshot"] == world.state.metadata["snapshot"]


def test_a_document_that_did_not_change_is_not_written_again() -> None:
    world = a_world()

    planned = world.plan(resign(world.state, "policy", PUBLISHER, NOW))

    assert paths(planned) == ["tuf/2.policy.json", "tuf/2.snapshot.json", "tuf/timestamp.json"]


# --- numbers -----------------------------------------------------------------------------


def test_burned_numbers_are_never_used_again() -> None:
    world = a_world()
    world.state = world.state.having_seen({"snapshot": 57, "timestamp": 90, ROLLOUT: 12})

    planned = world.plan(sign_rollout(world.state, a_rollout(None), ONLINE, NOW))

    versions = planned.state.versions
    assert (versions["snapshot"], versions["timestamp"], versions[ROLLOUT]) == (58, 91, 13)
    assert planned.journal.timestamp_version == 91


def test_a_plan_that_was_thrown_away_has_burned_its_numbers_once_they_are_seen() -> None:
    world = a_world()
    aborted = world.plan(sign_rollout(world.state, a_rollout(None), ONLINE, NOW))

    world.state = world.state.having_seen(aborted.state.versions)
    planned = world.plan(sign_rollout(world.state, a_rollout(None), ONLINE, NOW))

    assert set(paths(planned)[1:-1]) & set(paths(aborted)[1:-1]) == set()


@pytest.mark.parametrize("version", [1, 2])
def test_metadata_with_a_burned_number_is_not_taken_in(version: int) -> None:
    world = a_world()
    world.state = world.state.having_seen({"policy": 2})
    data = forged(
        world.state.metadata["policy"], lambda s: s.update(version=version), key("publisher")
    )

    assert refused(world, {"policy": data}) == ("bad_version", "policy")


def test_roots_are_taken_in_one_by_one() -> None:
    world = a_world()
    data = forged(world.state.metadata["root"], lambda s: s.update(version=3), key("root"))

    assert refused(world, {"root": data}) == ("bad_version", "root")


@pytest.mark.parametrize("role", ["snapshot", "timestamp", "mirror"])
def test_snapshot_and_timestamp_are_not_taken_in(role: str) -> None:
    world = a_world()

    assert refused(world, {role: world.state.metadata["snapshot"]}) == ("path_scope", role)


def test_what_has_no_version_is_not_taken_in() -> None:
    assert refused(a_world(), {"policy": b"{}"})[0] == "bad_document"


# --- snapshot and timestamp --------------------------------------------------------------


def test_the_snapshot_lists_every_role() -> None:
    snapshot = parse_snapshot(a_world().state.metadata["snapshot"]).signed

    assert {name: meta.version for name, meta in snapshot.meta.items()} == {
        "targets.json": 1,
        "policy.json": 1,
        f"{RELEASES}.json": 1,
        f"{ROLLOUT}.json": 1,
    }


def test_a_role_that_is_dropped_stays_in_the_snapshot() -> None:
    """Attack 18: agents refuse a snapshot that forgets a role."""
    world = a_world(layout=a_layout(platforms=(LINUX, "macos-arm64")))

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["delegations"]["roles"] = [
            role
            for role in signed["delegations"]["roles"]
            if role["name"] != "releases.stable.macos-arm64"
        ]

    world.submit({"targets": forged(world.state.metadata["targets"], edit, key("publisher"))})

    snapshot = parse_snapshot(world.state.metadata["snapshot"]).signed
    assert snapshot.meta["releases.stable.macos-arm64.json"].version == 1


def test_a_state_that_lost_a_dropped_role_still_lists_it() -> None:
    world = a_world(layout=a_layout(platforms=(LINUX, "macos-arm64")))
    name = "releases.stable.macos-arm64"

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["delegations"]["roles"] = [
            role for role in signed["delegations"]["roles"] if role["name"] != name
        ]

    data = forged(world.state.metadata["targets"], edit, key("publisher"))
    metadata = {role: old for role, old in world.state.metadata.items() if role != name}
    world.state = RepositoryState(app=APP, metadata=metadata)

    planned = world.plan({"targets": data})

    assert f"{name}.json" in parse_snapshot(planned.state.metadata["snapshot"]).signed.meta


def test_the_timestamp_names_one_snapshot_by_hash() -> None:
    world = a_world()
    timestamp = parse_timestamp(world.state.metadata["timestamp"]).signed

    timestamp.snapshot_meta.verify_length_and_hashes(world.state.metadata["snapshot"])
    assert timestamp.snapshot_meta.hashes is not None


def expires(data: bytes) -> datetime:
    text = json.loads(data)["signed"]["expires"]
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def test_online_roles_expire_as_the_table_has_it() -> None:
    metadata = a_world().state.metadata

    assert expires(metadata["timestamp"]) == NOW + timedelta(hours=24)
    assert expires(metadata["snapshot"]) == NOW + timedelta(days=7)
    assert expires(metadata[ROLLOUT]) == NOW + timedelta(hours=72)


@pytest.mark.parametrize("hours", [6, 24, 168])
def test_the_timestamps_life_may_be_chosen(hours: int) -> None:
    world = a_world()

    planned = plan(world.state, {}, {}, ONLINE, NOW, timestamp_expires=timedelta(hours=hours))

    assert expires(planned.state.metadata["timestamp"]) == NOW + timedelta(hours=hours)


@pytest.mark.parametrize("life", [timedelta(hours=5), timedelta(days=8), timedelta(0)])
def test_the_timestamps_life_has_bounds(life: timedelta) -> None:
    assert refused(a_world(), {}, timestamp_expires=life) == ("bad_expiry", "timestamp")


def test_another_time_zone_means_the_same_instant() -> None:
    world = a_world()
    world.now = NOW.astimezone(timezone(timedelta(hours=9)))

    assert expires(world.plan({}).state.metadata["timestamp"]) == NOW + timedelta(hours=24)


# --- refreshing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "signed"),
    [
        (1, {"timestamp"}),
        (23, {"timestamp"}),
        (24, {"timestamp", "snapshot", ROLLOUT}),
        (24 * 30, {"timestamp", "snapshot", ROLLOUT}),
    ],
)
def test_what_is_due_is_signed_again(hours: int, signed: set[str]) -> None:
    world = a_world()
    world.now = NOW + timedelta(hours=hours)

    planned = world.plan({})

    before, after = world.state.metadata, planned.state.metadata
    assert {role for role in after if after[role] != before[role]} == signed


def test_a_snapshot_is_signed_daily_though_rollouts_are_younger() -> None:
    world = a_world(a_release("1.0"))
    world.now = NOW + timedelta(hours=20)
    rollout = sign_rollout(world.state, a_rollout("1.0"), ONLINE, world.now)
    world.state = world.state.with_changes(rollout)
    snapshot = world.state.metadata["snapshot"]
    listed = forged(
        snapshot, lambda s: s["meta"][f"{ROLLOUT}.json"].update(version=2), key("snapshot")
    )
    world.state = world.state.with_changes({"snapshot": listed})
    world.now = NOW + timedelta(hours=25)

    planned = world.plan({})

    assert paths(planned) == ["tuf/3.snapshot.json", "tuf/timestamp.json"]


def test_a_rollout_is_signed_again_with_the_same_document() -> None:
    world = a_world(a_release("1.0"))
    world.roll_out(a_rollout("1.0"))
    world.now = NOW + timedelta(hours=24)

    planned = world.plan({})

    before = json.loads(world.state.metadata[ROLLOUT])["signed"]
    after = json.loads(planned.state.metadata[ROLLOUT])["signed"]
    assert after["targets"] == before["targets"]
    assert after["version"] == before["version"] + 1
    assert not [path for path in paths(planned) if path.startswith("targets/")]


def test_a_channel_starts_with_an_empty_rollout() -> None:
    world = World()
    planned = world.plan(first_submission())

    (target,) = json.loads(planned.state.metadata[ROLLOUT])["signed"]["targets"].values()
    assert target["custom"]["entries"] == []
    assert target["custom"]["next_check_in_seconds"] == 14_400


def test_a_channel_that_comes_back_revives_no_old_rollout() -> None:
    layout = a_layout(channels=("stable", "beta"))
    world = a_world(layout=layout)
    world.roll_out(a_rollout("1.0", channel="beta"))
    full = world.state.metadata["targets"]

    def drop(signed: dict[str, Any]) -> None:
        signed["version"] = 2
        roles = signed["delegations"]["roles"]
        signed["delegations"]["roles"] = [r for r in roles if "beta" not in r["name"]]
        (policy,) = [r for r in roles if r["name"] == "policy"]
        policy["paths"] = ["demo/policy/stable.json"]

    def only_stable(signed: dict[str, Any]) -> None:
        signed["version"] = 2
        del signed["targets"]["demo/policy/beta.json"]

    both = world.state.metadata["policy"]
    world.submit(
        {
            "targets": forged(full, drop, key("publisher")),
            "policy": forged(both, only_stable, key("publisher")),
        }
    )
    world.submit(
        {
            "targets": forged(full, lambda s: s.update(version=3), key("publisher")),
            "policy": forged(both, lambda s: s.update(version=3), key("publisher")),
        }
    )

    signed = json.loads(world.state.metadata["rollout.beta"])["signed"]
    (target,) = signed["targets"].values()
    assert (signed["version"], target["custom"]["entries"]) == (3, [])


# --- what an agent would refuse is not planned -------------------------------------------


def test_a_file_that_is_not_in_place_is_not_planned() -> None:
    world = a_world()
    release = a_release("1.0")
    changed = sign_release(world.state, render_release(release), files_of(release), PUBLISHER, NOW)

    assert refused(world, changed) == ("missing_file", release.artifact.path)


def test_a_role_that_does_not_verify_is_not_planned() -> None:
    world = a_world()
    data = forged(world.state.metadata["policy"], next_version, key("rollout"))

    assert refused(world, {"policy": data}) == ("unsigned", "policy")


def test_a_rollout_by_another_key_is_not_planned() -> None:
    world = a_world()
    world.online = OnlineSigners(
        rollout=(key("fourth"),), snapshot=ONLINE.snapshot, timestamp=ONLINE.timestamp
    )

    changed = sign_rollout(world.state, a_rollout(None), world.online, NOW)

    assert refused(world, changed) == ("unsigned", ROLLOUT)


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_a_wrong_online_key_signs_nothing(role: str) -> None:
    world = World()
    signers = {
        "rollout": ONLINE.rollout,
        "snapshot": ONLINE.snapshot,
        "timestamp": ONLINE.timestamp,
    }
    world.online = OnlineSigners(**{**signers, role: (key("fourth"),)})

    assert refused(world, first_submission()) == ("unsigned", role)


def test_a_delegation_without_metadata_is_not_planned() -> None:
    submitted = first_submission()
    del submitted[RELEASES]

    assert refused(World(), submitted) == ("bad_document", RELEASES)


@pytest.mark.parametrize("role", ["root", "targets"])
def test_without_root_and_targets_nothing_is_planned(role: str) -> None:
    submitted = first_submission()
    del submitted[role]

    assert refused(World(), submitted)[0] == "bad_document"


def test_a_document_out_of_scope_is_not_planned() -> None:
    world = a_world()

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        (target,) = signed["targets"].values()
        signed["targets"] = {"demo/rollout/stable.json": target}

    data = forged(world.state.metadata["policy"], edit, key("publisher"))

    assert refused(world, {"policy": data})[0] == "path_scope"


def test_a_snapshot_that_lists_another_version_is_not_planned() -> None:
    """Attack 17: mix and match, here by a state that was tampered with."""
    world = a_world()
    snapshot = forged(
        world.state.metadata["snapshot"],
        lambda s: s["meta"]["policy.json"].update(version=9),
        key("snapshot"),
    )
    world.state = world.state.with_changes({"snapshot": snapshot})

    assert refused(world, {}) == ("bad_version", "policy")


def test_a_snapshot_that_lacks_a_role_is_not_planned() -> None:
    world = a_world()
    snapshot = forged(
        world.state.metadata["snapshot"], lambda s: s["meta"].pop("policy.json"), key("snapshot")
    )
    world.state = world.state.with_changes({"snapshot": snapshot})

    assert refused(world, {}) == ("bad_version", "policy")


def test_a_snapshot_by_a_key_of_the_past_is_signed_again() -> None:
    world = a_world()
    stale = forged(world.state.metadata["snapshot"], str, key("fourth"))
    world.state = world.state.with_changes({"snapshot": stale})

    assert "tuf/2.snapshot.json" in paths(world.plan({}))


def test_a_state_rebuilt_without_its_snapshot_gets_a_new_one() -> None:
    world = a_world()
    kept = {k: v for k, v in world.state.metadata.items() if k not in {"snapshot", "timestamp"}}
    world.state = RepositoryState(app=APP, metadata=kept, highest={"snapshot": 8, "timestamp": 9})

    planned = world.plan({})

    assert paths(planned) == ["tuf/9.snapshot.json", "tuf/timestamp.json"]
    assert planned.journal.timestamp_version == 10


# --- rollouts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", a_policy(), a_rollout() + b" ", a_rollout().replace(b'"demo"', b'"other"')],
)
def test_what_is_no_rollout_of_this_app_is_not_signed(document: bytes) -> None:
    with pytest.raises(PlanError) as caught:
        sign_rollout(a_world().state, document, ONLINE, NOW)

    assert caught.value.code == "bad_document"


def test_an_unknown_channels_rollout_is_not_planned() -> None:
    world = a_world()
    changed = sign_rollout(world.state, a_rollout(channel="beta"), ONLINE, NOW)

    assert refused(world, changed) == ("unsigned", "rollout.beta")


def test_planning_changes_nothing_by_itself() -> None:
    world = a_world()
    before = (dict(world.state.metadata), dict(world.state.highest))

    first, second = world.plan({}), world.plan({})

    assert (dict(world.state.metadata), dict(world.state.highest)) == before
    assert first.journal == second.journal
