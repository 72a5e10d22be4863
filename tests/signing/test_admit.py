"""What the server takes: each rule, and what happens without it is an attack's row."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.documents import render_release
from signing.admit import Admission
from signing.ceremony import first_repository, resign, sign_policy, sign_release, sign_releases
from signing.drafts import Draft
from signing.errors import StaleBaseError, SubmissionError
from signing.metadata import inline_target
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
    a_world,
    artifact_bytes,
    files_of,
    first_submission,
    forged,
    key,
    next_version,
)

RELEASES = f"releases.stable.{LINUX}"
Edit = Callable[[dict[str, Any]], object]


def a_submission(world: World, version: str = "1.0", **changes: Any) -> dict[str, bytes]:
    release = a_release(version, **changes)
    world.place(release)
    return sign_release(
        world.state, render_release(release), files_of(release), PUBLISHER, world.now
    )


def refused(world: World, submitted: dict[str, bytes]) -> SubmissionError:
    with pytest.raises(SubmissionError) as caught:
        world.check(submitted)
    return caught.value


# --- what is taken -----------------------------------------------------------------------


def test_the_first_submission_registers_the_app() -> None:
    admission = World().check(first_submission())

    assert set(admission.changed) == {"root", "targets", "policy", RELEASES}
    assert [policy.channel for policy in admission.policies] == ["stable"]
    assert admission.documents == {"demo/policy/stable.json": a_policy()}
    assert admission.files == {}


def test_a_release_is_admitted_with_its_document_and_files() -> None:
    world = a_world()
    release = a_release("1.0")

    admission = world.check(a_submission(world))

    assert admission.releases == (release,)
    assert list(admission.documents.values()) == [render_release(release)]
    assert admission.files == files_of(release)


def test_only_what_is_new_is_told_of_a_second_release() -> None:
    world = a_world(a_release("1.0"))

    admission = world.check(a_submission(world, "1.1"))

    assert [str(release.version) for release in admission.releases] == ["1.1"]
    assert admission.files == files_of(a_release("1.1"))


def test_what_is_sent_again_after_a_lost_answer_changes_nothing() -> None:
    world = a_world()
    submitted = a_submission(world)
    world.submit(submitted)

    assert world.check(submitted) == Admission()


def test_a_pruned_release_may_come_back_unchanged() -> None:
    world = a_world(a_release("1.0"), a_release("1.1"))
    world.submit({RELEASES: without(world, "1.0")})

    admission = world.check(a_submission(world, "1.0"))

    assert [str(release.version) for release in admission.releases] == ["1.0"]


def without(world: World, version: str) -> bytes:
    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        for path in [path for path in signed["targets"] if f"/{version}/" in path]:
            del signed["targets"][path]

    return forged(world.state.metadata[RELEASES], edit, key("publisher"))


# --- who may say what --------------------------------------------------------------------


def test_a_release_without_a_signature_is_refused() -> None:
    """Attack 37: a stolen token without a key publishes nothing."""
    world = a_world()
    (data,) = a_submission(world).values()
    fields = json.loads(data)
    fields["signatures"] = []

    error = refused(world, {RELEASES: json.dumps(fields).encode()})

    assert (error.code, error.role) == ("unsigned", RELEASES)


@pytest.mark.parametrize("name", ["rollout", "snapshot", "timestamp", "root", "fourth"])
def test_a_release_signed_by_another_key_is_refused(name: str) -> None:
    """Attack 4: online keys sign no releases."""
    world = a_world()
    data = forged(a_submission(world)[RELEASES], str, key(name))

    assert refused(world, {RELEASES: data}).code == "unsigned"


def test_a_signature_over_other_bytes_is_refused() -> None:
    world = a_world()
    data = a_submission(world)[RELEASES].replace(b'"security":false', b'"security":true')

    assert refused(world, {RELEASES: data}).code == "unsigned"


@pytest.mark.parametrize(
    "role", ["snapshot", "timestamp", "rollout.stable", "mirror", "../root", "", "x" * 500]
)
def test_what_people_do_not_sign_is_not_taken_from_them(role: str) -> None:
    world = a_world()

    error = refused(world, {role: world.state.metadata["snapshot"]})

    assert error.code == "path_scope"
    assert len(error.role) <= 80


def test_an_empty_submission_is_refused() -> None:
    assert refused(a_world(), {}).code == "bad_document"


def test_a_role_that_targets_does_not_delegate_to_is_refused() -> None:
    world = a_world()
    role = "releases.stable.macos-arm64"
    data = forged(world.state.metadata[RELEASES], next_version, key("publisher"))
    data = data.replace(b'"version":2', b'"version":1')
    data = forged(data, str, key("publisher"))

    error = refused(world, {role: data})

    assert (error.code, error.role) == ("unsigned", role)


def test_another_apps_submission_is_refused() -> None:
    """Attack 28: the same publisher, another app."""
    policies = {"stable": a_policy(app="other")}
    other = first_repository(a_layout(app="other"), SOLO, ONLINE_KEYS, policies, NOW)

    assert refused(World(), other).code == "path_scope"


def test_a_release_may_not_speak_for_another_platform() -> None:
    """Attack 27: role files swapped."""
    world = a_world(layout=a_layout(platforms=(LINUX, "macos-arm64")))
    data = a_submission(world)[RELEASES]

    error = refused(world, {"releases.stable.macos-arm64": data})

    assert error.code == "path_scope"
    assert error.path.startswith("demo/releases/stable/linux-x86_64/")


def test_a_server_key_among_the_offline_keys_is_refused() -> None:
    signers = {**SOLO, "releases": [key("rollout")]}

    submitted = first_repository(a_layout(), signers, ONLINE_KEYS, {"stable": a_policy()}, NOW)

    assert refused(World(), submitted).code == "bad_keys"


def test_roles_that_did_not_change_must_still_verify() -> None:
    world = a_world(a_release("1.0"))

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        (role,) = [r for r in signed["delegations"]["roles"] if r["name"] == RELEASES]
        role["keyids"] = [key("second").public_key.keyid]
        public = key("second").public_key.to_dict()
        signed["delegations"]["keys"][key("second").public_key.keyid] = public

    data = forged(world.state.metadata["targets"], edit, key("publisher"))

    error = refused(world, {"targets": data})

    assert (error.code, error.role) == ("unsigned", RELEASES)


def test_a_delegation_without_metadata_is_refused() -> None:
    submitted = first_submission()
    del submitted[RELEASES]

    error = refused(World(), submitted)

    assert (error.code, error.role) == ("bad_document", RELEASES)


# --- versions ----------------------------------------------------------------------------


def test_a_submission_upon_an_old_base_is_told_the_present_one() -> None:
    """Attack 39: two publishers race, one rebases."""
    world = a_world()
    first, second = a_submission(world, "1.0"), a_submission(world, "1.1")
    world.submit(first)

    error = refused(world, second)

    assert isinstance(error, StaleBaseError)
    assert (error.code, error.role, error.current[RELEASES]) == ("stale_base", RELEASES, 2)


def test_an_old_submission_cannot_be_replayed() -> None:
    """Attack 38."""
    world = a_world()
    first = a_submission(world, "1.0")
    world.submit(first)
    world.submit(a_submission(world, "1.1"))

    assert isinstance(refused(world, first), StaleBaseError)


@pytest.mark.parametrize("version", [3, 2**31, 2**53 - 1])
def test_versions_are_not_skipped(version: int) -> None:
    """Attack 19: nobody fast-forwards a role to where it cannot go on."""
    world = a_world()
    data = a_submission(world)[RELEASES]
    data = forged(data, lambda signed: signed.update(version=version), key("publisher"))

    assert refused(world, {RELEASES: data}).code == "bad_version"


def test_a_burned_version_is_not_used_again() -> None:
    world = a_world()
    submitted = a_submission(world)
    world.state = world.state.having_seen({RELEASES: 5})

    error = refused(world, submitted)

    assert isinstance(error, StaleBaseError)
    assert error.current[RELEASES] == 5


@pytest.mark.parametrize("version", [1, 3])
def test_roots_follow_each_other(version: int) -> None:
    world = a_world()
    data = forged(
        world.state.metadata["root"],
        lambda s: s.update(version=version, expires="2099-01-01T00:00:00Z"),
        key("root"),
    )

    assert refused(world, {"root": data}).code in {"stale_base", "bad_version"}


def test_a_root_that_the_old_keys_did_not_sign_is_refused() -> None:
    world = a_world()

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        public = key("fourth").public_key
        signed["keys"][public.keyid] = public.to_dict()
        signed["roles"]["root"]["keyids"] = [public.keyid]

    error = refused(world, {"root": forged(world.state.metadata["root"], edit, key("fourth"))})

    assert (error.code, error.role) == ("unsigned", "root")


# --- time --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["policy", RELEASES])
def test_expired_metadata_is_refused(role: str) -> None:
    world = a_world()
    submitted = resign(world.state, role, PUBLISHER, NOW)
    world.now = NOW + timedelta(days=366)

    error = refused(world, submitted)

    assert (error.code, error.role) == ("expired", role)


@pytest.mark.parametrize("role", ["root", "targets"])
def test_an_expired_root_or_targets_must_be_renewed_first(role: str) -> None:
    world = a_world()
    later = NOW + timedelta(days=366)
    world.now = later
    renewed = {
        **resign(world.state, "root", [key("root")], later),
        **resign(world.state, "targets", PUBLISHER, later),
        **resign(world.state, "policy", PUBLISHER, later),
        **resign(world.state, RELEASES, PUBLISHER, later),
    }
    without = {name: data for name, data in renewed.items() if name != role}

    error = refused(world, without)

    assert (error.code, error.role) == ("expired", role)
    assert set(world.check(renewed).changed) == set(renewed)


def test_a_policy_from_the_future_is_refused() -> None:
    """Attack 36: nobody is locked in by a document from the year 2099."""
    world = a_world()
    ahead = {"stable": a_policy(issued=NOW + timedelta(hours=25))}
    near = {"stable": a_policy(issued=NOW + timedelta(hours=23))}

    error = refused(world, sign_policy(world.state, ahead, PUBLISHER, NOW))

    assert (error.code, error.role) == ("bad_document", "policy")
    assert world.check(sign_policy(world.state, near, PUBLISHER, NOW)).policies


def test_a_release_from_the_future_is_refused() -> None:
    world = a_world()

    error = refused(world, a_submission(world, released_at=NOW + timedelta(hours=25)))

    assert (error.code, error.role) == ("bad_document", RELEASES)


# --- contents ----------------------------------------------------------------------------


BROKEN: list[Callable[[bytes], bytes]] = [
    lambda data: data[:-1],
    lambda data: data + b"x",
    lambda data: data.replace(b'"version":2', b'"version":2,"version":2'),
    lambda data: data.replace(b'"version":2', b'"version":2.0'),
    lambda data: data.replace(b'"signed":', b'"extra":1,"signed":'),
    lambda data: data + b" " * 5_000_000,
]


@pytest.mark.parametrize("mangle", BROKEN)
def test_bytes_that_could_be_read_in_two_ways_are_refused(
    mangle: Callable[[bytes], bytes],
) -> None:
    """Attack 38: truncated, oversized, duplicate keys, floats."""
    world = a_world()
    data = mangle(a_submission(world)[RELEASES])

    assert refused(world, {RELEASES: data}).code == "bad_document"


def test_a_document_that_is_not_what_its_hash_says_is_refused() -> None:
    world = a_world()

    def edit(signed: dict[str, Any]) -> None:
        for target in signed["targets"].values():
            target.get("custom", {})["security"] = True

    data = forged(a_submission(world)[RELEASES], edit, key("publisher"))

    error = refused(world, {RELEASES: data})

    assert (error.code, error.path.endswith("release.json")) == ("bad_document", True)


def test_a_channel_without_a_policy_is_refused() -> None:
    submitted = first_submission(a_layout(channels=("stable", "beta")))

    def edit(signed: dict[str, Any]) -> None:
        del signed["targets"]["demo/policy/beta.json"]

    submitted["policy"] = forged(submitted["policy"], edit, key("publisher"))

    error = refused(World(), submitted)

    assert (error.code, error.role) == ("bad_document", "policy")


def test_a_new_channel_in_targets_alone_is_refused() -> None:
    world = a_world()
    signed = sign_policy(world.state, {"beta": a_policy("beta")}, PUBLISHER, NOW)

    error = refused(world, {"targets": signed["targets"]})

    assert (error.code, error.role) == ("bad_document", "policy")


def test_targets_alone_may_be_renewed() -> None:
    world = a_world()

    admission = world.check(resign(world.state, "targets", PUBLISHER, NOW))

    assert set(admission.changed) == {"targets"}
    assert admission.documents == {}


# --- files -------------------------------------------------------------------------------


def test_a_file_that_is_not_in_place_is_refused() -> None:
    world = a_world()
    submitted = a_submission(world)
    world.placed.clear()

    error = refused(world, submitted)

    assert (error.code, error.path) == ("missing_file", a_release("1.0").artifact.path)


def test_a_file_of_another_length_is_not_in_place() -> None:
    world = a_world()
    submitted = a_submission(world)
    path = a_release("1.0").artifact.path
    world.placed[path] = (world.placed[path][0], 1)

    assert refused(world, submitted).code == "missing_file"


def test_files_of_older_releases_are_not_looked_for_again() -> None:
    world = a_world(a_release("1.0"))
    submitted = a_submission(world, "1.1")
    del world.placed[a_release("1.0").artifact.path]

    assert world.check(submitted).files == files_of(a_release("1.1"))


# --- immutability ------------------------------------------------------------------------


def changed_document(world: World, **changes: Any) -> bytes:
    """Return the releases role with another document for 1.0."""
    release = a_release("1.0", **changes)
    path = f"demo/releases/stable/{LINUX}/1.0/release.json"

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["targets"][path] = inline_target(path, render_release(release)).to_dict()

    return forged(world.state.metadata[RELEASES], edit, key("publisher"))


def test_a_release_document_never_changes() -> None:
    world = a_world(a_release("1.0"))
    data = changed_document(world, rollback_to=(Version("0.1"),))

    error = refused(world, {RELEASES: data})

    assert (error.code, error.role) == ("not_immutable", RELEASES)


def test_the_salt_of_a_release_never_changes() -> None:
    """Attack 24: nobody re-draws the buckets of a release that is out."""
    world = a_world(a_release("1.0"))

    assert refused(world, {RELEASES: changed_document(world, salt=b"x" * 32)}).code == (
        "not_immutable"
    )


def test_the_artifact_of_a_release_never_changes() -> None:
    world = a_world(a_release("1.0"))
    path = a_release("1.0").artifact.path
    world.placed[path] = ("cd" * 32, 7)

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["targets"][path] = {"length": 7, "hashes": {"sha256": "cd" * 32}}

    data = forged(world.state.metadata[RELEASES], edit, key("publisher"))

    assert refused(world, {RELEASES: data}).code == "not_immutable"


def test_a_release_gets_no_more_files() -> None:
    world = a_world(a_release("1.0"))
    path = f"{a_release('1.0').artifact.path}.pieces"
    world.placed[path] = ("cd" * 32, 32)

    def edit(signed: dict[str, Any]) -> None:
        next_version(signed)
        signed["targets"][path] = {"length": 32, "hashes": {"sha256": "cd" * 32}}

    data = forged(world.state.metadata[RELEASES], edit, key("publisher"))

    assert refused(world, {RELEASES: data}).code == "not_immutable"


def test_a_pruned_release_does_not_come_back_changed() -> None:
    world = a_world(a_release("1.0"), a_release("1.1"))
    world.submit({RELEASES: without(world, "1.0")})

    error = refused(world, a_submission(world, "1.0", security=True))

    assert error.code == "not_immutable"
    assert error.path == f"demo/releases/stable/{LINUX}/1.0/release.json"


def test_a_pruned_artifact_does_not_come_back_changed() -> None:
    world = a_world(a_release("1.0"), a_release("1.1"))
    world.submit({RELEASES: without(world, "1.0")})
    path = a_release("1.0").artifact.path
    world.placed[path] = ("cd" * 32, 7)

    submitted = sign_release(
        world.state, render_release(a_release("1.0")), {path: ("cd" * 32, 7)}, PUBLISHER, NOW
    )

    error = refused(world, submitted)
    assert (error.code, error.path) == ("not_immutable", path)


WINDOWS = "windows-x86_64"


@pytest.mark.parametrize("platform", [LINUX, WINDOWS])
def test_a_pruned_release_does_not_come_back_in_another_spelling(platform: str) -> None:
    layout = a_layout(platforms=(LINUX, WINDOWS))
    world = a_world(a_release("1.0"), a_release("1.1"), layout=layout)
    world.submit({RELEASES: without(world, "1.0")})

    error = refused(world, a_submission(world, "1.0.0", platform=platform))

    assert error.code == "not_immutable"
    assert error.path.startswith(f"demo/releases/stable/{platform}/1.0.0/")


def test_two_platforms_spell_a_new_version_alike() -> None:
    world = a_world(layout=a_layout(platforms=(LINUX, WINDOWS)))
    one, other = a_release("1.0"), a_release("1.0.0", WINDOWS)
    drafts = [Draft(document=render_release(r), files=files_of(r)) for r in (one, other)]
    world.place(one)
    world.place(other)

    submitted = sign_releases(world.state, drafts, PUBLISHER, NOW)

    assert refused(world, submitted).code == "not_immutable"


def test_another_channel_may_spell_a_version_otherwise() -> None:
    world = a_world(a_release("1.0"), layout=a_layout(channels=("stable", "beta")))

    assert world.check(a_submission(world, "1.0.0", channel="beta")).releases


def test_without_the_memory_of_pruned_files_that_would_pass() -> None:
    """The control of the test before: ``known`` is what refuses it."""
    world = a_world(a_release("1.0"), a_release("1.1"))
    world.submit({RELEASES: without(world, "1.0")})
    world.known.clear()
    path = a_release("1.0").artifact.path
    world.placed[path] = ("cd" * 32, 7)

    submitted = sign_release(
        world.state, render_release(a_release("1.0")), {path: ("cd" * 32, 7)}, PUBLISHER, NOW
    )

    assert world.check(submitted).files == {path: ("cd" * 32, 7)}


def test_the_world_places_what_it_says() -> None:
    world = a_world(a_release("1.0"))

    assert artifact_bytes(a_release("1.0")) in world.blobs.files.values()
    assert world.state.app == APP
