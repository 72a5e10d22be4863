from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.errors import RolloutError
from signing.roles import (
    Layout,
    RoleKind,
    RoleName,
    lifetime_of,
    parse_role,
    paths_for,
    releases_role,
    rollout_role,
)

TEAM = Layout(
    app="demo", channels=("stable", "beta", "nightly"), platforms=("linux-x86_64",), team=True
)
SOLO = Layout(app="demo", channels=("stable", "nightly"), platforms=("linux-x86_64",))

# docs/trust.md, 2: name -> (threshold of a team, days until it expires)
TABLE = {
    "root": (2, 365),
    "targets": (2, 365),
    "policy": (2, 90),
    "releases.stable.linux-x86_64": (2, 365),
    "releases.beta.linux-x86_64": (1, 365),
    "releases.nightly.linux-x86_64": (1, 30),
    "releases.canary.linux-x86_64": (2, 365),
    "rollout.stable": (1, 3),
    "snapshot": (1, 7),
    "timestamp": (1, 1),
}
KEYS = {
    "root": 3,
    "targets": 3,
    "policy": 3,
    "releases.stable.linux-x86_64": 3,
    "releases.nightly.linux-x86_64": 1,
    "rollout.stable": 1,
    "snapshot": 1,
    "timestamp": 2,
}


@pytest.mark.parametrize(("name", "expected"), TABLE.items())
def test_a_teams_thresholds_and_expiries_are_those_of_the_table(
    name: str, expected: tuple[int, int]
) -> None:
    rule = TEAM.rule(name)

    assert (rule.threshold, rule.expires) == (expected[0], timedelta(days=expected[1]))
    assert lifetime_of(name) == rule.expires


@pytest.mark.parametrize(("name", "keys"), KEYS.items())
def test_a_teams_keys_are_those_of_the_table(name: str, keys: int) -> None:
    assert TEAM.rule(name).keys == keys


def test_alone_one_key_suffices_everywhere_and_a_second_root_key_is_put_away() -> None:
    rules = {rule.name: rule for rule in SOLO.roles()}

    assert {rule.threshold for rule in rules.values()} == {1}
    assert (rules["root"].keys, rules["targets"].keys) == (2, 1)


def test_a_layout_lists_its_roles_in_the_order_of_the_table() -> None:
    assert [rule.name for rule in SOLO.roles()] == [
        "root",
        "targets",
        "policy",
        "releases.stable.linux-x86_64",
        "releases.nightly.linux-x86_64",
        "rollout.stable",
        "rollout.nightly",
        "snapshot",
        "timestamp",
    ]


def test_targets_delegates_to_policy_releases_and_rollouts() -> None:
    kinds = {rule.kind for rule in SOLO.delegated_roles()}

    assert kinds == {RoleKind.POLICY, RoleKind.RELEASES, RoleKind.ROLLOUT}


def test_each_role_may_speak_for_its_own_paths_only() -> None:
    paths = {rule.name: rule.paths for rule in SOLO.roles()}

    assert paths["policy"] == ("demo/policy/stable.json", "demo/policy/nightly.json")
    assert paths["releases.stable.linux-x86_64"] == ("demo/releases/stable/linux-x86_64/*/*",)
    assert paths["rollout.stable"] == ("demo/rollout/stable.json",)
    assert paths["targets"] == ()


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("root", RoleName(kind=RoleKind.ROOT)),
        ("policy", RoleName(kind=RoleKind.POLICY)),
        (rollout_role("beta"), RoleName(kind=RoleKind.ROLLOUT, channel="beta")),
        (
            releases_role("beta", "macos-arm64"),
            RoleName(kind=RoleKind.RELEASES, channel="beta", platform="macos-arm64"),
        ),
    ],
)
def test_a_roles_name_comes_apart_and_together(name: str, role: RoleName) -> None:
    assert parse_role(name) == role
    assert str(role) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Root",
        "mirror",
        "root.stable",
        "policy.stable",
        "rollout",
        "rollout.",
        "rollout.STABLE",
        "rollout.omaha",
        "rollout.a.b",
        "releases",
        "releases.stable",
        "releases.stable.linux",
        "releases.stable.linux-x86_64.more",
        "releases.stable.linux-x86_64/..",
        "../root",
    ],
)
def test_a_name_that_is_no_roles_is_none(name: str) -> None:
    assert parse_role(name) is None


def test_a_rule_for_no_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="no role"):
        SOLO.rule("mirror")
    with pytest.raises(ValueError, match="no role"):
        lifetime_of("mirror")


@pytest.mark.parametrize(
    "changes",
    [{"app": "../demo"}, {"channels": ("i",)}, {"platforms": ("linux",)}],
)
def test_a_layout_takes_good_names_only(changes: dict[str, object]) -> None:
    values = {"app": "demo", "channels": ("stable",), "platforms": (), **changes}

    with pytest.raises(RolloutError):
        Layout(**values)  # type: ignore[arg-type]


def test_the_online_kinds_are_three() -> None:
    assert {kind for kind in RoleKind if kind.online} == {"rollout", "snapshot", "timestamp"}


def test_no_pattern_of_one_role_matches_anothers_path() -> None:
    stable = paths_for("demo", RoleName(kind=RoleKind.RELEASES, channel="stable", platform="a-b"))
    beta = paths_for("demo", RoleName(kind=RoleKind.RELEASES, channel="beta", platform="a-b"))

    assert not set(stable) & set(beta)
