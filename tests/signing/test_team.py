"""A team of three, two of whom must agree: the same code with other thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.documents import render_release
from signing.ceremony import first_repository, resign, sign_releases
from signing.drafts import Draft
from signing.errors import CeremonyError, SubmissionError
from signing.public_keys import render_key
from signing.rotation import add_signature
from tests.signing.world import (
    LINUX,
    NOW,
    ONLINE_KEYS,
    World,
    a_layout,
    a_policy,
    a_release,
    files_of,
    forged,
    key,
)

RELEASES = f"releases.stable.{LINUX}"
LAYOUT = a_layout(channels=("stable", "nightly"), team=True)

# In a team no key has two roles, so every role gets three keys of its own.
OWNERS = ("root", "targets", "policy", "releases")
KEYS = {owner: [type(key("root")).generate_ed25519() for _ in range(3)] for owner in OWNERS}
CI = type(key("root")).generate_ed25519()


def a_team(at_hand: int = 2) -> dict[str, bytes]:
    """Return a first repository that *at_hand* of the three people of each role signed."""
    signers = {owner: keys[:at_hand] for owner, keys in KEYS.items()}
    spare = {owner: [k.public_key for k in keys[at_hand:]] for owner, keys in KEYS.items()}
    return first_repository(
        LAYOUT,
        {**signers, "releases.nightly": [CI]},
        ONLINE_KEYS,
        {channel: a_policy(channel) for channel in LAYOUT.channels},
        NOW,
        spare_keys={**spare, "releases.nightly": []},
    )


def a_team_world() -> World:
    world = World()
    world.submit(a_team())
    return world


def a_release_by(world: World, *people: int, channel: str = "stable") -> dict[str, bytes]:
    release = a_release("1.0", channel=channel)
    world.place(release)
    draft = Draft(document=render_release(release), files=files_of(release))
    signers = [KEYS["releases"][person] for person in people] or [CI]
    return sign_releases(world.state, [draft], signers, NOW)


def refused(world: World, submitted: dict[str, bytes]) -> str:
    with pytest.raises(SubmissionError) as caught:
        world.check(submitted)
    return caught.value.code


def test_two_of_three_found_a_repository(tmp_path: Path) -> None:
    world = a_team_world()

    agent = world.agent(tmp_path / "agent")

    assert agent.get_targetinfo("demo/policy/stable.json")


def test_one_of_three_does_not() -> None:
    assert refused(World(), a_team(at_hand=1)) == "unsigned"


@pytest.mark.parametrize("people", [(0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_any_two_release_managers_publish(people: tuple[int, ...], tmp_path: Path) -> None:
    world = a_team_world()

    world.submit(a_release_by(world, *people))

    path = f"demo/releases/stable/{LINUX}/1.0/release.json"
    assert world.agent(tmp_path / "agent").get_targetinfo(path)


@pytest.mark.parametrize("person", [0, 1, 2])
def test_one_stolen_release_key_publishes_nothing(person: int) -> None:
    """Attack 5."""
    world = a_team_world()

    assert refused(world, a_release_by(world, person)) == "unsigned"


def test_one_release_manager_who_signs_twice_is_one() -> None:
    """Attack 6."""
    world = a_team_world()
    one = KEYS["releases"][0]
    data = forged(a_release_by(world, 0)[RELEASES], str, one, one)

    assert refused(world, {RELEASES: data}) == "bad_document"


def test_one_release_key_under_two_names_is_one() -> None:
    """Attack 6: even targets' quorum cannot let one key count twice by mistake."""
    world = a_team_world()
    one = KEYS["releases"][0].public_key

    def edit(signed: dict[str, object]) -> None:
        signed["version"] = 2
        delegations = json.loads(json.dumps(signed["delegations"]))
        fields = render_key(one)
        del fields["keyid"]
        delegations["keys"]["ab" * 32] = fields
        for role in delegations["roles"]:
            if role["name"] == RELEASES:
                role["keyids"].append("ab" * 32)
        signed["delegations"] = delegations

    data = forged(world.state.metadata["targets"], edit, *KEYS["targets"][:2])

    assert refused(world, {"targets": data}) == "bad_document"


def test_the_second_signature_may_be_added_elsewhere() -> None:
    world = a_team_world()
    partly = a_release_by(world, 0)[RELEASES]

    fully = add_signature(RELEASES, partly, KEYS["releases"][2])

    assert refused(world, {RELEASES: partly}) == "unsigned"
    assert world.check({RELEASES: fully}).releases


def test_the_second_root_signature_may_be_added_elsewhere() -> None:
    world = a_team_world()
    partly = resign(world.state, "root", KEYS["root"][:1], NOW)["root"]

    fully = add_signature("root", partly, KEYS["root"][1])

    assert refused(world, {"root": partly}) == "unsigned"
    assert world.check({"root": fully}).changed


def test_policy_keys_sign_no_releases() -> None:
    world = a_team_world()
    data = a_release_by(world, 0, 1)[RELEASES]

    assert refused(world, {RELEASES: forged(data, str, *KEYS["policy"])}) == "unsigned"


def test_one_key_service_key_publishes_nightly() -> None:
    world = a_team_world()

    admission = world.submit(a_release_by(world, channel="nightly"))

    assert [release.channel for release in admission.releases] == ["nightly"]


def test_the_nightly_key_does_not_publish_stable() -> None:
    world = a_team_world()

    with pytest.raises(CeremonyError) as caught:
        a_release_by(world)

    assert caught.value.code == "no_key"


def test_a_new_platform_of_a_team_has_its_channels_keys() -> None:
    world = a_team_world()
    release = a_release("1.0", "macos-arm64")
    world.place(release)
    draft = Draft(document=render_release(release), files=files_of(release))
    signers = [*KEYS["targets"][:2], *KEYS["releases"][:2]]

    signed = sign_releases(world.state, [draft], signers, NOW)

    assert world.check(signed).releases == (release,)


def test_the_first_platform_of_a_team_needs_a_signing_event() -> None:
    layout = a_layout(platforms=(), team=True)
    signers = {owner: keys[:2] for owner, keys in KEYS.items()}
    world = World()
    world.submit(first_repository(layout, signers, ONLINE_KEYS, {"stable": a_policy()}, NOW))

    with pytest.raises(CeremonyError) as caught:
        a_release_by(world, 0, 1)

    assert caught.value.code == "no_delegation"
