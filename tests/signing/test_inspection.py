"""``serinus release verify``: the repository from outside, from a trusted root."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any, BinaryIO

import pytest
from packaging.version import Version

from signing.ceremony import resign
from signing.errors import TrustError
from signing.inspection import RepositoryReport, verify_repository
from tests.signing.world import (
    APP,
    LINUX,
    NOW,
    PREFIX,
    World,
    a_layout,
    a_release,
    a_rollout,
    a_world,
    forged,
    key,
)

RELEASES = f"releases.stable.{LINUX}"


def a_published_world() -> World:
    world = a_world(a_release("1.0"), layout=a_layout(channels=("stable", "beta")))
    world.roll_out(a_rollout("1.0"))
    return world


def inspect(world: World, *, files: bool = True, app: str = APP) -> RepositoryReport:
    def fetch(path: str, max_bytes: int) -> bytes | None:
        data = world.blobs.files.get(f"{PREFIX}{path}")
        return None if data is None else data[: max_bytes + 1]

    def open_file(path: str) -> BinaryIO | None:
        data = world.blobs.files.get(f"{PREFIX}{path}")
        return None if data is None else io.BytesIO(data)

    return verify_repository(
        app, world.first_root, fetch, world.now, open_file=open_file if files else None
    )


def put(world: World, path: str, data: bytes) -> None:
    world.blobs.files[f"{PREFIX}{path}"] = data


def refused(world: World) -> str:
    with pytest.raises(TrustError) as caught:
        inspect(world)
    return caught.value.code


def findings(report: RepositoryReport) -> dict[str, str]:
    return {finding.subject: finding.code for finding in report.findings}


def test_a_good_repository_has_no_findings() -> None:
    report = inspect(a_published_world())

    assert report.findings == ()
    assert report.versions["snapshot"] == 3
    assert report.expires["timestamp"] == NOW + timedelta(hours=24)
    assert report.contents[RELEASES].releases.keys() == {Version("1.0")}
    assert report.contents["rollout.stable"].rollouts["stable"].entries
    assert report.files == 6


def test_files_may_be_left_alone() -> None:
    assert inspect(a_published_world(), files=False).files == 0


def test_the_walk_starts_at_any_trusted_root() -> None:
    """Attack 45: a compiled-in root far behind, and expired."""
    world = a_published_world()
    for _ in range(5):
        world.submit(resign(world.state, "root", [key("root")], NOW))

    assert inspect(world).versions["root"] == 6


def test_an_endless_chain_of_roots_is_not_followed_for_ever() -> None:
    world = a_published_world()
    asked: list[str] = []
    newest = world.state

    def fetch(path: str, _: int) -> bytes | None:
        nonlocal newest
        asked.append(path)
        if ".root." not in path:
            return None
        signed = resign(newest, "root", [key("root")], NOW)
        newest = newest.with_changes(signed)
        return signed["root"]

    with pytest.raises(TrustError):
        verify_repository(APP, world.first_root, fetch, NOW)

    assert len(asked) == 257


@pytest.mark.parametrize(("days", "role"), [(1, "timestamp"), (400, "root")])
def test_what_expired_is_not_trusted(days: int, role: str) -> None:
    """Attack 13."""
    world = a_published_world()
    world.now = NOW + timedelta(days=days)

    with pytest.raises(TrustError) as caught:
        inspect(world)

    assert (caught.value.code, caught.value.subject) == ("expired", role)


def test_an_expired_snapshot_is_not_trusted() -> None:
    world = a_published_world()
    world.now = NOW + timedelta(days=8)
    data = forged(
        world.state.metadata["timestamp"],
        lambda s: s.update(expires="2099-01-01T00:00:00Z"),
        key("timestamp"),
    )
    put(world, "tuf/timestamp.json", data)

    with pytest.raises(TrustError) as caught:
        inspect(world)

    assert (caught.value.code, caught.value.subject) == ("expired", "snapshot")


def test_expired_targets_are_not_trusted() -> None:
    world = a_published_world()
    world.submit(resign(world.state, "root", [key("root")], NOW + timedelta(days=30)))
    world.now = NOW + timedelta(days=366)
    world.take_in({})

    with pytest.raises(TrustError) as caught:
        inspect(world)

    assert (caught.value.code, caught.value.subject) == ("expired", "targets")


def test_one_expired_role_does_not_hide_the_others() -> None:
    world = a_published_world()
    world.now = NOW + timedelta(days=100)
    world.take_in({})

    report = inspect(world)

    assert findings(report) == {"policy": "expired"}
    assert "policy" not in report.contents
    assert RELEASES in report.contents


@pytest.mark.parametrize(
    "path",
    [
        "tuf/timestamp.json",
        "tuf/3.snapshot.json",
        "tuf/1.targets.json",
    ],
)
def test_a_missing_top_level_file_is_told(path: str) -> None:
    world = a_published_world()
    del world.blobs.files[f"{PREFIX}{path}"]

    assert refused(world) == "missing_file"


def test_a_missing_role_and_a_missing_artifact_are_findings() -> None:
    world = a_published_world()
    artifact = a_release("1.0").artifact.path
    del world.blobs.files[f"{PREFIX}tuf/1.releases.beta.{LINUX}.json"]
    (stored,) = [path for path in world.blobs.files if path.endswith(".srn")]
    del world.blobs.files[stored]

    assert findings(inspect(world)) == {
        f"tuf/1.releases.beta.{LINUX}.json": "missing_file",
        artifact: "missing_file",
    }


@pytest.mark.parametrize("data", [b"payload of linux-x86_64 9.9", b"short", b"x" * 1000])
def test_a_swapped_artifact_is_a_finding(data: bytes) -> None:
    """Attack 1."""
    world = a_published_world()
    (stored,) = [path for path in world.blobs.files if path.endswith(".srn")]
    world.blobs.files[stored] = data

    report = inspect(world)

    assert findings(report).keys() == {a_release("1.0").artifact.path}
    assert findings(report).popitem()[1] in {"hash_mismatch", "length_mismatch"}


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda s: s["meta"]["policy.json"].update(version=9), "missing_file"),
        (lambda s: s["meta"].pop("policy.json"), "bad_version"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_a_finding(edit: Edit, code: str) -> None:
    world = a_published_world()
    with_snapshot(world, edit)

    assert set(findings(inspect(world)).values()) == {code}


def with_snapshot(world: World, edit: Edit) -> None:
    """Publish a snapshot as a thief of both keys could sign it."""
    snapshot = forged(world.state.metadata["snapshot"], edit, key("snapshot"))
    put(world, "tuf/3.snapshot.json", snapshot)

    def name_it(signed: dict[str, Any]) -> None:
        signed["meta"]["snapshot.json"] = {"version": 3}

    data = forged(world.state.metadata["timestamp"], name_it, key("timestamp"))
    put(world, "tuf/timestamp.json", data)


def test_a_role_of_another_version_than_listed_is_a_finding() -> None:
    """Attack 17: mix and match."""
    world = a_published_world()
    put(world, "tuf/2.rollout.stable.json", world.blobs.files[f"{PREFIX}tuf/1.rollout.stable.json"])

    assert findings(inspect(world)) == {"rollout.stable": "bad_version"}


def test_targets_of_another_version_than_listed_are_not_trusted() -> None:
    world = a_published_world()
    with_snapshot(world, lambda s: s["meta"]["targets.json"].update(version=2))
    put(world, "tuf/2.targets.json", world.state.metadata["targets"])

    assert refused(world) == "bad_version"


def test_a_snapshot_of_another_version_than_named_is_not_trusted() -> None:
    world = a_published_world()
    with_snapshot(world, lambda s: s.update(version=2))

    assert refused(world) == "bad_version"


def test_a_snapshot_other_than_the_named_one_is_not_trusted() -> None:
    world = a_published_world()
    data = forged(world.state.metadata["snapshot"], lambda s: s.update(x=1), key("snapshot"))
    put(world, "tuf/3.snapshot.json", data)

    assert refused(world) == "hash_mismatch"


@pytest.mark.parametrize("name", ["snapshot", "targets"])
def test_a_file_by_another_key_is_not_trusted(name: str) -> None:
    world = a_published_world()
    if name == "targets":
        put(world, "tuf/1.targets.json", forged(world.state.metadata[name], str, key("fourth")))
    else:
        put(world, "tuf/timestamp.json", forged(world.state.metadata["timestamp"], str, key(name)))

    assert refused(world) == "unsigned"


def test_a_captive_portals_page_is_no_repository() -> None:
    """Attack 23."""
    world = a_published_world()
    put(world, "tuf/timestamp.json", b"<html>Please log in</html>")

    assert refused(world) == "bad_document"


def test_an_oversized_file_is_cut_off() -> None:
    """Attack 20."""
    world = a_published_world()
    put(world, "tuf/timestamp.json", b" " * 17_000)

    assert refused(world) == "bad_document"


def test_another_apps_repository_is_refused() -> None:
    with pytest.raises(TrustError) as caught:
        inspect(a_published_world(), app="other")

    assert caught.value.code == "path_scope"
