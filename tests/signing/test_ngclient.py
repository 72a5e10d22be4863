"""An unmodified ``tuf.ngclient`` reads the repository: what an agent of ours does, and more."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version
from tuf.api.exceptions import (
    BadVersionNumberError,
    LengthOrHashMismatchError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater

from rollout.documents import path_of_release, render_release
from signing.verify import document_of, policy_of, release_of, rollout_of
from tests.signing.world import (
    APP,
    LINUX,
    PREFIX,
    World,
    a_layout,
    a_policy,
    a_release,
    a_rollout,
    a_world,
    artifact_bytes,
    forged,
    key,
)

RELEASE_PATH = path_of_release(APP, "stable", LINUX, Version("1.0"))


def a_published_world() -> World:
    world = a_world(
        a_release("1.0"),
        layout=a_layout(channels=("stable", "beta"), platforms=(LINUX, "macos-arm64")),
    )
    world.roll_out(a_rollout("1.0"))
    return world


def found(agent: Updater, path: str) -> TargetFile:
    target = agent.get_targetinfo(path)
    assert target is not None
    return target


def test_a_client_reads_policy_rollout_and_release(tmp_path: Path) -> None:
    agent = a_published_world().agent(tmp_path)

    policy = policy_of(found(agent, "demo/policy/stable.json"), APP, "stable")
    rollout = rollout_of(found(agent, "demo/rollout/stable.json"), APP, "stable")
    release = release_of(found(agent, RELEASE_PATH), APP, "stable", LINUX, Version("1.0"))

    assert policy.channel == "stable"
    assert [entry.version for entry in rollout.entries] == [Version("1.0")]
    assert release == a_release("1.0")


def test_the_inline_documents_are_the_signed_bytes(tmp_path: Path) -> None:
    agent = a_published_world().agent(tmp_path)

    assert document_of(found(agent, "demo/policy/beta.json")) == a_policy("beta")
    assert document_of(found(agent, "demo/rollout/stable.json")) == a_rollout("1.0")
    assert document_of(found(agent, RELEASE_PATH)) == render_release(a_release("1.0"))


@pytest.mark.parametrize(
    "path", ["demo/policy/stable.json", "demo/rollout/stable.json", RELEASE_PATH]
)
def test_a_client_may_download_the_documents_as_files(path: str, tmp_path: Path) -> None:
    agent = a_published_world().agent(tmp_path)
    target = found(agent, path)

    agent.download_target(target, str(tmp_path / "document"))

    assert (tmp_path / "document").read_bytes() == document_of(target)


def test_a_client_downloads_the_artifact(tmp_path: Path) -> None:
    agent = a_published_world().agent(tmp_path)
    release = a_release("1.0")

    agent.download_target(found(agent, release.artifact.path), str(tmp_path / "artifact"))

    assert (tmp_path / "artifact").read_bytes() == artifact_bytes(release)


@pytest.mark.parametrize(
    "path",
    [
        "demo/policy/nightly.json",
        "demo/rollout/nightly.json",
        f"demo/releases/stable/{LINUX}/9.9/release.json",
        "demo/releases/stable/macos-arm64/1.0/release.json",
        f"demo/releases/beta/{LINUX}/1.0/release.json",
        "other/policy/stable.json",
    ],
)
def test_what_was_never_signed_is_not_found(path: str, tmp_path: Path) -> None:
    """Attack 27, and quietly: a channel without releases is no error."""
    assert a_published_world().agent(tmp_path).get_targetinfo(path) is None


def test_a_second_visit_without_news_costs_two_requests(tmp_path: Path) -> None:
    world = a_published_world()
    world.agent(tmp_path).refresh()

    agent = world.agent(tmp_path)
    agent.refresh()

    assert agent._fetcher.asked == [  # type: ignore[attr-defined]
        "tuf/2.root.json",
        "tuf/timestamp.json",
    ]


def test_a_visit_after_a_changed_rollout_costs_four(tmp_path: Path) -> None:
    world = a_published_world()
    first = world.agent(tmp_path)
    for path in ("demo/policy/stable.json", "demo/rollout/stable.json", RELEASE_PATH):
        found(first, path)
    world.roll_out(a_rollout("1.0", exposure_bp=1000))

    agent = world.agent(tmp_path)
    for path in ("demo/policy/stable.json", "demo/rollout/stable.json", RELEASE_PATH):
        found(agent, path)

    assert agent._fetcher.asked == [  # type: ignore[attr-defined]
        "tuf/2.root.json",
        "tuf/timestamp.json",
        "tuf/4.snapshot.json",
        "tuf/3.rollout.stable.json",
    ]


def test_an_unchanged_check_is_about_half_a_kilobyte() -> None:
    assert len(a_published_world().state.metadata["timestamp"]) < 512


# --- attacks -----------------------------------------------------------------------------


def test_an_old_timestamp_is_refused(tmp_path: Path) -> None:
    """Attack 16."""
    world = a_published_world()
    old = world.blobs.files[f"{PREFIX}tuf/timestamp.json"]
    world.take_in({})
    world.agent(tmp_path).refresh()
    world.blobs.files[f"{PREFIX}tuf/timestamp.json"] = old

    with pytest.raises(BadVersionNumberError):
        world.agent(tmp_path).refresh()


def test_a_rollout_key_that_lists_a_binary_finds_nobody_who_looks(tmp_path: Path) -> None:
    """Attack 3: paths confine the role, whatever it signs."""
    world = a_published_world()
    evil = f"demo/releases/stable/{LINUX}/6.6/release.json"

    def edit(signed: dict[str, object]) -> None:
        targets = signed["targets"]
        assert isinstance(targets, dict)
        targets[evil] = {"length": 1, "hashes": {"sha256": "ab" * 32}, "custom": {}}

    data = forged(world.state.metadata["rollout.stable"], edit, key("rollout"))
    world.blobs.files[f"{PREFIX}tuf/2.rollout.stable.json"] = data

    agent = world.agent(tmp_path)

    assert found(agent, "demo/rollout/stable.json").custom["channel"] == "stable"
    assert agent.get_targetinfo(evil) is None


def test_online_keys_sign_no_releases_for_a_client_either(tmp_path: Path) -> None:
    """Attack 4."""
    world = a_published_world()
    name = f"releases.stable.{LINUX}"
    data = forged(world.state.metadata[name], str, key("rollout"), key("snapshot"))
    world.blobs.files[f"{PREFIX}tuf/2.{name}.json"] = data

    with pytest.raises(UnsignedMetadataError):
        world.agent(tmp_path).get_targetinfo(RELEASE_PATH)


def test_another_snapshot_of_the_same_version_is_refused(tmp_path: Path) -> None:
    """The timestamp binds the snapshot's bytes: its key alone cannot serve two."""
    world = a_published_world()
    data = forged(
        world.state.metadata["snapshot"],
        lambda s: s["meta"]["policy.json"].update(version=9),
        key("snapshot"),
    )
    world.blobs.files[f"{PREFIX}tuf/3.snapshot.json"] = data

    with pytest.raises(LengthOrHashMismatchError):
        world.agent(tmp_path).refresh()
