from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Delegations, SuccinctRoles

from rollout.documents import render_release
from rollout.model import MustReach
from signing.ceremony import first_repository, is_released, resign, sign_policy, sign_releases
from signing.chain import walk
from signing.contents import role_contents
from signing.delegations import delegate
from signing.drafts import Draft
from signing.errors import CeremonyError
from signing.metadata import parse_root, parse_targets
from signing.public_keys import with_owner
from signing.state import RepositoryState
from tests.signing.world import (
    APP,
    LINUX,
    NOW,
    ONLINE_KEYS,
    PUBLISHER,
    SOLO,
    World,
    a_layout,
    a_policy,
    a_release,
    a_rollout,
    a_world,
    files_of,
    first_submission,
    key,
)

RELEASES = f"releases.stable.{LINUX}"


def a_draft(version: str = "1.0", platform: str = LINUX, **changes: object) -> Draft:
    release = a_release(version, platform, **changes)
    return Draft(document=render_release(release), files=files_of(release))


def refused(error: pytest.ExceptionInfo[CeremonyError]) -> str:
    return error.value.code


# --- the first repository ----------------------------------------------------------------


def test_the_first_repository_has_every_offline_role() -> None:
    signed = first_submission(a_layout(channels=("stable", "beta")))

    assert set(signed) == {
        "root",
        "targets",
        "policy",
        f"releases.stable.{LINUX}",
        f"releases.beta.{LINUX}",
    }


def test_root_lists_a_backup_key_and_a_cold_timestamp_key() -> None:
    root = parse_root(first_submission()["root"]).signed

    keyids = {name: set(role.keyids) for name, role in root.roles.items()}
    assert keyids["root"] == {key("root").public_key.keyid, key("backup").public_key.keyid}
    assert keyids["timestamp"] == {
        key("timestamp").public_key.keyid,
        key("standby").public_key.keyid,
    }
    assert root.roles["root"].threshold == 1


def test_rollout_snapshot_and_timestamp_are_three_keys() -> None:
    signed = first_submission()
    root = parse_root(signed["root"]).signed
    delegations = parse_targets("targets", signed["targets"]).signed.delegations

    assert delegations is not None
    assert delegations.roles is not None
    keyids = [
        *root.roles["snapshot"].keyids,
        *root.roles["timestamp"].keyids,
        *delegations.roles["rollout.stable"].keyids,
    ]
    assert len(set(keyids)) == len(keyids) == 4


def test_a_cold_timestamp_key_may_be_lacking() -> None:
    online = {name: k for name, k in ONLINE_KEYS.items() if name != "timestamp-standby"}

    signed = first_repository(a_layout(), SOLO, online, {"stable": a_policy()}, NOW)

    assert len(parse_root(signed["root"]).signed.roles["timestamp"].keyids) == 1


def test_each_role_expires_as_the_table_has_it() -> None:
    signed = first_submission(a_layout(channels=("nightly",)))

    days = {name: (json.loads(data)["signed"]["expires"][:10]) for name, data in signed.items()}
    assert days == {
        "root": str((NOW + timedelta(days=365)).date()),
        "targets": str((NOW + timedelta(days=365)).date()),
        "policy": str((NOW + timedelta(days=90)).date()),
        f"releases.nightly.{LINUX}": str((NOW + timedelta(days=30)).date()),
    }


def test_every_delegation_ends_the_search() -> None:
    delegations = parse_targets("targets", first_submission()["targets"]).signed.delegations

    assert delegations is not None
    assert delegations.roles is not None
    assert {role.terminating for role in delegations.roles.values()} == {True}


def test_the_owner_of_a_key_is_signed_with_it() -> None:
    backup = with_owner(key("backup").public_key, "Ada", "paper")

    signed = first_repository(
        a_layout(), SOLO, ONLINE_KEYS, {"stable": a_policy()}, NOW, spare_keys={"root": [backup]}
    )

    keys = json.loads(signed["root"])["signed"]["keys"]
    assert keys[backup.keyid]["x-serinus-owner"] == "Ada"
    assert keys[backup.keyid]["x-serinus-uri"] == "paper"


@pytest.mark.parametrize("policies", [{}, {"beta": a_policy("beta")}])
def test_each_channel_needs_its_policy(policies: dict[str, bytes]) -> None:
    with pytest.raises(CeremonyError) as caught:
        first_repository(a_layout(), SOLO, ONLINE_KEYS, policies, NOW)

    assert refused(caught) == "missing_policy"


@pytest.mark.parametrize(
    "document",
    [a_policy("beta"), a_policy(app="other"), b"{}", a_policy() + b" ", a_policy()[:-1]],
)
def test_a_policy_that_says_something_else_is_not_signed(document: bytes) -> None:
    with pytest.raises(CeremonyError) as caught:
        first_repository(a_layout(), SOLO, ONLINE_KEYS, {"stable": document}, NOW)

    assert refused(caught) == "bad_document"


@pytest.mark.parametrize("name", ["rollout", "snapshot", "timestamp"])
def test_each_of_the_servers_keys_is_needed(name: str) -> None:
    online = {other: k for other, k in ONLINE_KEYS.items() if other != name}

    with pytest.raises(CeremonyError) as caught:
        first_repository(a_layout(), SOLO, online, {"stable": a_policy()}, NOW)

    assert refused(caught) == "missing_key"


def test_a_threshold_needs_as_many_keys() -> None:
    with pytest.raises(CeremonyError) as caught:
        first_repository(a_layout(team=True), SOLO, ONLINE_KEYS, {"stable": a_policy()}, NOW)

    assert refused(caught) == "too_few_keys"


def test_a_channel_may_have_release_keys_of_its_own() -> None:
    layout = a_layout(channels=("stable", "nightly"), platforms=(LINUX, "macos-arm64"))
    signers = {
        **SOLO,
        "releases.nightly": [key("second")],
        "releases.nightly.macos-arm64": [key("third")],
    }
    policies = {channel: a_policy(channel) for channel in layout.channels}

    signed = first_repository(layout, signers, ONLINE_KEYS, policies, NOW)

    assert signer_of(signed["releases.stable.macos-arm64"]) == key("publisher").public_key.keyid
    assert signer_of(signed[f"releases.nightly.{LINUX}"]) == key("second").public_key.keyid
    assert signer_of(signed["releases.nightly.macos-arm64"]) == key("third").public_key.keyid


def signer_of(data: bytes) -> str:
    (signature,) = json.loads(data)["signatures"]
    return str(signature["keyid"])


def test_hash_bins_are_not_used() -> None:
    bins = SuccinctRoles([], 1, bit_length=8, name_prefix="bin")

    with pytest.raises(CeremonyError) as caught:
        delegate(Delegations({}, succinct_roles=bins), "policy", [], 1, [])

    assert refused(caught) == "bad_role"


# --- releases ----------------------------------------------------------------------------


def test_a_release_makes_its_role_one_version_higher() -> None:
    world = a_world()

    signed = sign_releases(world.state, [a_draft()], PUBLISHER, NOW)

    assert set(signed) == {RELEASES}
    state = world.state.with_changes(signed)
    assert state.versions[RELEASES] == 2
    assert set(role_contents(state, RELEASES).releases) == {Version("1.0")}


def test_older_releases_stay_listed() -> None:
    world = a_world(a_release("1.0"))

    signed = sign_releases(world.state, [a_draft("1.1")], PUBLISHER, NOW)

    releases = role_contents(world.state.with_changes(signed), RELEASES).releases
    assert set(releases) == {Version("1.0"), Version("1.1")}


def test_a_release_of_several_platforms_is_signed_at_once() -> None:
    world = a_world(layout=a_layout(platforms=(LINUX, "macos-arm64")))
    drafts = [a_draft("1.0"), a_draft("1.0", "macos-arm64"), a_draft("1.1")]

    signed = sign_releases(world.state, drafts, PUBLISHER, NOW)

    state = world.state.with_changes(signed)
    assert set(signed) == {RELEASES, "releases.stable.macos-arm64"}
    assert [state.versions[name] for name in signed] == [2, 2]
    assert len(role_contents(state, RELEASES).releases) == 2


def test_a_version_above_the_burned_numbers_is_signed() -> None:
    state = a_world().state.having_seen({RELEASES: 9})

    signed = sign_releases(state, [a_draft()], PUBLISHER, NOW)

    assert json.loads(signed[RELEASES])["signed"]["version"] == 10


def test_two_new_platforms_are_delegated_to_in_one_step() -> None:
    world = a_world(layout=a_layout(platforms=()))
    drafts = [a_draft("1.0"), a_draft("1.0", "macos-arm64")]

    signed = sign_releases(world.state, drafts, PUBLISHER, NOW)

    assert json.loads(signed["targets"])["signed"]["version"] == 2
    trusted = walk(APP, {**world.state.metadata, **signed})
    assert trusted.failures == {}
    assert set(trusted.roles) >= {RELEASES, "releases.stable.macos-arm64"}


def test_a_new_platform_is_guarded_like_the_channels_others() -> None:
    signers = {**SOLO, "releases": [key("second")]}
    first = first_repository(a_layout(), signers, ONLINE_KEYS, {"stable": a_policy()}, NOW)
    state = RepositoryState(app=APP).with_changes(first)

    signed = sign_releases(
        state, [a_draft("1.0", "macos-arm64")], [key("publisher"), key("second")], NOW
    )

    assert signer_of(signed["releases.stable.macos-arm64"]) == key("second").public_key.keyid
    assert signer_of(signed["targets"]) == key("publisher").public_key.keyid


def test_a_new_platform_needs_the_targets_key() -> None:
    signers = {**SOLO, "releases": [key("second")]}
    first = first_repository(a_layout(), signers, ONLINE_KEYS, {"stable": a_policy()}, NOW)
    state = RepositoryState(app=APP).with_changes(first)

    with pytest.raises(CeremonyError) as caught:
        sign_releases(state, [a_draft("1.0", "macos-arm64")], [key("second")], NOW)

    assert (refused(caught), caught.value.role) == ("no_key", "targets")


def test_a_new_channel_is_no_matter_of_a_release() -> None:
    with pytest.raises(CeremonyError) as caught:
        sign_releases(a_world().state, [a_draft(channel="beta")], PUBLISHER, NOW)

    assert refused(caught) == "no_delegation"


def test_a_release_without_its_key_is_not_signed() -> None:
    with pytest.raises(CeremonyError) as caught:
        sign_releases(a_world().state, [a_draft()], [key("second")], NOW)

    assert (refused(caught), caught.value.role) == ("no_key", RELEASES)


def test_a_release_drafted_again_is_known_by_its_files_and_terms() -> None:
    state = a_world(a_release("1.0")).state

    assert is_released(state, a_draft("1.0"))
    assert is_released(
        state, a_draft("1.0", salt=bytes(range(32)), released_at=NOW + timedelta(days=1))
    )
    assert not is_released(state, a_draft("1.0", security=True))
    assert not is_released(state, a_draft("1.1"))
    assert not is_released(state, a_draft("1.0", platform="windows-x86_64"))
    other = {path: ("0" * 64, length) for path, (_, length) in a_draft("1.0").files.items()}
    assert not is_released(state, replace(a_draft("1.0"), files=other))


def test_a_version_is_released_once() -> None:
    world = a_world(a_release("1.0"))

    with pytest.raises(CeremonyError) as caught:
        sign_releases(world.state, [a_draft("1.0", security=True)], PUBLISHER, NOW)

    assert refused(caught) == "released_already"


@pytest.mark.parametrize(
    "draft",
    [
        a_draft(app="other"),
        Draft(
            document=a_draft().document.replace(b"demo/", b"other/").replace(b'"demo"', b'"other"'),
            files={},
        ),
        Draft(document=b"{}", files={}),
        Draft(document=a_draft().document, files={}),
        Draft(document=a_draft().document + b"\n", files=a_draft().files),
        Draft(
            document=a_draft().document,
            files={**a_draft().files, "demo/policy/stable.json": ("ab" * 32, 1)},
        ),
        Draft(
            document=a_draft().document,
            files=dict.fromkeys(a_draft().files, ("AB", 1)),
        ),
    ],
)
def test_a_release_that_would_not_be_admitted_is_not_signed(draft: Draft) -> None:
    with pytest.raises(CeremonyError) as caught:
        sign_releases(a_world().state, [draft], PUBLISHER, NOW)

    assert refused(caught) == "bad_document"


# --- pruning -----------------------------------------------------------------------------


def full_world(**changes: Mapping[str, Any]) -> World:
    """Return a world with 100 releases, 1.0 to 1.99, each an hour younger than the last."""
    world = a_world()
    drafts = [
        a_draft(
            f"1.{minor}",
            released_at=NOW - timedelta(hours=200 - minor),
            **changes.get(f"1.{minor}", {}),
        )
        for minor in range(100)
    ]
    world.placed |= {path: file for draft in drafts for path, file in draft.files.items()}
    world.submit(sign_releases(world.state, drafts, PUBLISHER, NOW))
    return world


def live_after(world: World, *drafts: Draft) -> set[str]:
    signed = sign_releases(world.state, drafts, PUBLISHER, NOW)
    releases = role_contents(world.state.with_changes(signed), RELEASES).releases
    return {str(version) for version in releases}


def test_the_oldest_version_leaves_when_there_are_over_a_hundred() -> None:
    live = live_after(full_world(), a_draft("2.0"), a_draft("2.1"))

    assert len(live) == 100
    assert {"1.0", "1.1"} & live == set()
    assert {"1.2", "2.0", "2.1"} <= live


def test_what_is_still_needed_never_leaves() -> None:
    stones: dict[str, Mapping[str, Any]] = {
        "1.50": {"rollback_to": (Version("1.0"),)},
        "1.60": {"min_version": Version("1.1")},
        "1.61": {"min_version": Version("9.0")},
    }
    world = full_world(**stones)
    goal = MustReach(version=Version("1.2"), after=NOW)
    other = MustReach(version=Version("1.5"), after=NOW)
    policies = {
        "stable": a_policy(must_reach=(goal,)),
        "beta": a_policy("beta", must_reach=(other,)),
    }
    world.submit(sign_policy(world.state, policies, PUBLISHER, NOW))
    world.roll_out(a_rollout("1.3"))

    live = live_after(world, a_draft("2.0"))

    assert {"1.0", "1.1", "1.2", "1.3", "1.61", "2.0"} <= live
    assert "1.4" not in live
    live = live_after(world, a_draft("2.0"), a_draft("2.1"))
    assert "1.5" not in live


def test_an_old_backport_is_not_pruned_as_it_comes() -> None:
    draft = a_draft("0.9", released_at=NOW - timedelta(days=900))

    assert "0.9" in live_after(full_world(), draft)


def test_a_version_that_no_other_may_leave_for_is_not_signed() -> None:
    stones = tuple(Version(f"1.{minor}") for minor in range(64))
    more = tuple(Version(f"1.{minor}") for minor in range(64, 100))
    world = full_world(**{"1.98": {"rollback_to": stones}, "1.99": {"rollback_to": more}})

    with pytest.raises(CeremonyError) as caught:
        live_after(world, a_draft("2.0"))

    assert refused(caught) == "too_many_versions"


# --- policies ----------------------------------------------------------------------------


def test_a_policy_is_replaced_and_the_others_stay() -> None:
    world = a_world(layout=a_layout(channels=("stable", "beta")))

    signed = sign_policy(world.state, {"stable": a_policy(floor=Version("1.0"))}, PUBLISHER, NOW)

    assert set(signed) == {"policy"}
    policies = role_contents(world.state.with_changes(signed), "policy").policies
    assert policies["stable"].floor == Version("1.0")
    assert policies["beta"].floor is None


def test_a_new_channel_comes_with_its_policy() -> None:
    world = a_world()

    signed = sign_policy(world.state, {"beta": a_policy("beta")}, PUBLISHER, NOW)
    world.submit(signed)

    assert set(signed) == {"policy", "targets"}
    assert set(role_contents(world.state, "policy").policies) == {"stable", "beta"}
    assert role_contents(world.state, "rollout.beta").rollouts["beta"].entries == ()


def test_a_policy_needs_its_key() -> None:
    with pytest.raises(CeremonyError) as caught:
        sign_policy(a_world().state, {"stable": a_policy()}, [key("second")], NOW)

    assert refused(caught) == "no_key"


def test_the_first_channel_is_no_matter_of_a_policy_alone() -> None:
    state = RepositoryState(app=APP, metadata={"root": first_submission()["root"]})

    with pytest.raises(CeremonyError) as caught:
        sign_policy(state, {"stable": a_policy()}, PUBLISHER, NOW)

    assert refused(caught) == "no_delegation"


# --- again -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "signer"),
    [
        ("root", key("root")),
        ("targets", key("publisher")),
        ("policy", key("publisher")),
        (RELEASES, key("publisher")),
    ],
)
def test_a_role_is_signed_again_with_the_same_contents(role: str, signer: CryptoSigner) -> None:
    world = a_world(a_release("1.0"))
    later = NOW + timedelta(days=10)
    before = json.loads(world.state.metadata[role])["signed"]

    signed = resign(world.state, role, [signer], later)

    after = json.loads(signed[role])["signed"]
    assert after.pop("version") == before.pop("version") + 1
    assert after.pop("expires") > before.pop("expires")
    assert after == before


@pytest.mark.parametrize("role", ["snapshot", "timestamp", "rollout.stable", "mirror"])
def test_people_do_not_sign_the_servers_roles(role: str) -> None:
    with pytest.raises(CeremonyError) as caught:
        resign(a_world().state, role, PUBLISHER, NOW)

    assert refused(caught) == "bad_role"


@pytest.mark.parametrize("role", ["root", "targets", "policy", "releases.beta.linux-arm64"])
def test_a_role_is_not_signed_by_a_key_that_may_not(role: str) -> None:
    with pytest.raises(CeremonyError) as caught:
        resign(a_world().state, role, [key("fourth")], NOW)

    assert refused(caught) == "no_key"


def test_without_a_root_nothing_is_signed_again() -> None:
    with pytest.raises(CeremonyError) as caught:
        resign(RepositoryState(app=APP), "root", [key("root")], NOW)

    assert refused(caught) == "no_repository"
