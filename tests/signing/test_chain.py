from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signing.chain import (
    channels_of,
    check_custody,
    delegations_of,
    verify_root,
    verify_targets,
    walk,
)
from signing.errors import TrustError
from signing.metadata import parse_root
from signing.public_keys import render_key
from tests.signing.world import APP, LINUX, a_layout, a_world, forged, key, next_version

LAYOUT = a_layout(channels=("stable", "beta"))
METADATA = a_world(layout=LAYOUT).state.metadata
ROOT = parse_root(METADATA["root"]).signed
RELEASES = f"releases.stable.{LINUX}"


def test_a_good_repository_verifies_down_to_every_role() -> None:
    trusted = walk(APP, METADATA)

    assert set(trusted.delegated) == set(trusted.roles)
    assert trusted.failures == {}
    assert channels_of(trusted) == ("beta", "stable")


def test_the_walk_may_be_confined_to_some_roles() -> None:
    trusted = walk(APP, METADATA, only={"policy"})

    assert set(trusted.delegated) == {"policy"}
    assert len(trusted.roles) == 5


def test_a_role_that_does_not_verify_is_noted_with_its_reason() -> None:
    metadata = {**METADATA, "policy": forged(METADATA["policy"], str, key("rollout"))}
    del metadata[RELEASES]

    trusted = walk(APP, metadata)

    codes = {name: error.code for name, error in trusted.failures.items()}
    assert codes == {"policy": "unsigned", RELEASES: "bad_document"}
    with pytest.raises(TrustError):
        trusted.require(["policy"])
    trusted.require(["rollout.stable"])


@pytest.mark.parametrize("role", ["root", "targets"])
def test_nothing_verifies_without_root_and_targets(role: str) -> None:
    metadata = {name: data for name, data in METADATA.items() if name != role}

    with pytest.raises(TrustError):
        walk(APP, metadata)


def test_a_delegated_role_that_delegates_further_is_refused() -> None:
    def edit(signed: dict[str, Any]) -> None:
        signed["delegations"] = {"keys": {}, "roles": []}

    metadata = {**METADATA, RELEASES: forged(METADATA[RELEASES], edit, key("publisher"))}

    assert walk(APP, metadata).failures[RELEASES].code == "path_scope"


# --- roots -------------------------------------------------------------------------------


def test_the_next_root_is_signed_by_the_old_and_by_itself() -> None:
    data = forged(METADATA["root"], next_version, key("root"))

    assert verify_root(data, ROOT).version == 2


def test_a_root_that_only_its_new_keys_signed_is_refused() -> None:
    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        thief = render_key(key("fourth").public_key)
        keyid = thief.pop("keyid")
        signed["keys"][keyid] = thief
        signed["roles"]["root"]["keyids"] = [keyid]

    with pytest.raises(TrustError) as caught:
        verify_root(forged(METADATA["root"], edit, key("fourth")), ROOT)

    assert caught.value.code == "unsigned"


def test_a_root_that_only_old_keys_signed_is_refused() -> None:
    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["roles"]["root"]["keyids"] = [key("backup").public_key.keyid]

    with pytest.raises(TrustError) as caught:
        verify_root(forged(METADATA["root"], edit, key("root")), ROOT)

    assert caught.value.code == "unsigned"


@pytest.mark.parametrize("version", [1, 3])
def test_a_root_version_is_neither_skipped_nor_repeated(version: int) -> None:
    data = forged(METADATA["root"], lambda s: s.update(version=version), key("root"))

    with pytest.raises(TrustError) as caught:
        verify_root(data, ROOT)

    assert caught.value.code == "bad_version"


def test_the_printed_backup_key_can_sign_the_next_root() -> None:
    data = forged(METADATA["root"], next_version, key("backup"))

    assert verify_root(data, ROOT).version == 2


# --- delegations -------------------------------------------------------------------------


def role(signed: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [item for item in signed["delegations"]["roles"] if item["name"] == name]
    return found


def drop(signed: dict[str, Any], name: str) -> None:
    signed["delegations"]["roles"].remove(role(signed, name))


def by_hash(signed: dict[str, Any]) -> None:
    del role(signed, RELEASES)["paths"]
    role(signed, RELEASES)["path_hash_prefixes"] = ["a"]


def drop_beta_but_its_releases(signed: dict[str, Any]) -> None:
    drop(signed, "rollout.beta")
    role(signed, "policy")["paths"].remove("demo/policy/beta.json")


OUT_OF_SCOPE: list[Callable[[dict[str, Any]], object]] = [
    lambda signed: signed.pop("delegations"),
    lambda signed: drop(signed, "policy"),
    lambda signed: drop(signed, "rollout.beta"),
    lambda signed: role(signed, "policy").update(name="mirror"),
    lambda signed: role(signed, "rollout.beta").update(name="rollout.gamma"),
    lambda signed: role(signed, "policy").update(terminating=False),
    lambda signed: role(signed, "policy").update(terminating=1),
    lambda signed: role(signed, "policy")["paths"].append("demo/rollout/stable.json"),
    lambda signed: role(signed, "policy")["paths"].pop(),
    lambda signed: role(signed, "rollout.beta").update(paths=["demo/rollout/*"]),
    lambda signed: role(signed, "rollout.beta").update(paths=["demo/rollout/stable.json"]),
    lambda signed: role(signed, RELEASES).update(paths=["demo/releases/*/*/*/*"]),
    lambda signed: role(signed, RELEASES).update(paths=[f"other/releases/stable/{LINUX}/*/*"]),
    by_hash,
    drop_beta_but_its_releases,
]


@pytest.mark.parametrize("edit", OUT_OF_SCOPE)
def test_a_delegation_that_is_not_in_the_table_is_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    targets = verify_targets(ROOT, forged(METADATA["targets"], edit, key("publisher")))

    with pytest.raises(TrustError) as caught:
        delegations_of(APP, targets)

    assert caught.value.code == "path_scope"


def test_another_apps_delegations_are_refused() -> None:
    targets = verify_targets(ROOT, METADATA["targets"])

    with pytest.raises(TrustError):
        delegations_of("other", targets)


# --- custody -----------------------------------------------------------------------------


def give(signed: dict[str, Any], role_name: str, name: str) -> None:
    """Let the key *name* sign a role in root."""
    fields = render_key(key(name).public_key)
    keyid = fields.pop("keyid")
    signed["keys"][keyid] = fields
    signed["roles"][role_name]["keyids"].append(keyid)


@pytest.mark.parametrize(
    ("role_name", "name"),
    [
        ("root", "snapshot"),
        ("root", "rollout"),
        ("targets", "timestamp"),
        ("targets", "standby"),
        ("snapshot", "timestamp"),
        ("snapshot", "rollout"),
        ("snapshot", "publisher"),
        ("timestamp", "rollout"),
        ("timestamp", "root"),
    ],
)
def test_no_key_is_both_online_and_offline_or_in_two_online_roles(
    role_name: str, name: str
) -> None:
    root = verify_root(
        forged(METADATA["root"], lambda signed: give(signed, role_name, name), key("root")), None
    )
    targets = verify_targets(root, METADATA["targets"])

    with pytest.raises(TrustError) as caught:
        check_custody(root, targets)

    assert caught.value.code == "bad_keys"


def test_the_servers_rollout_key_signs_no_releases() -> None:
    def edit(signed: dict[str, Any]) -> None:
        role(signed, RELEASES)["keyids"].append(key("rollout").public_key.keyid)

    metadata = {**METADATA, "targets": forged(METADATA["targets"], edit, key("publisher"))}

    with pytest.raises(TrustError) as caught:
        walk(APP, metadata)

    assert caught.value.code == "bad_keys"


def test_one_publisher_key_may_sign_targets_policy_and_releases() -> None:
    check_custody(ROOT, verify_targets(ROOT, METADATA["targets"]))
