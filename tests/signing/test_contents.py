from __future__ import annotations

from collections.abc import Mapping

import pytest
from packaging.version import Version
from tuf.api.metadata import TargetFile, Targets

from rollout.documents import path_of_policy, path_of_release, render_release
from rollout.model import Artifact, Delta, Release, SideFile
from signing.contents import contents_of, role_contents
from signing.errors import TrustError
from signing.metadata import inline_target
from signing.roles import RoleKind, RoleName, parse_role
from tests.signing.world import (
    APP,
    LINUX,
    NOW,
    a_policy,
    a_release,
    a_rollout,
    a_world,
    files_of,
    salt_of,
)

POLICY = RoleName(kind=RoleKind.POLICY)
ROLLOUT = RoleName(kind=RoleKind.ROLLOUT, channel="stable")
RELEASES = RoleName(kind=RoleKind.RELEASES, channel="stable", platform=LINUX)
FOLDER = f"demo/releases/stable/{LINUX}/1.0"


def targets_of(*files: TargetFile) -> Targets:
    return Targets(expires=NOW, targets={file.path: file for file in files})


def release_files(release: Release) -> list[TargetFile]:
    path = path_of_release(APP, release.channel, release.platform, release.version)
    files = [
        TargetFile(length, {"sha256": sha256}, path)
        for path, (sha256, length) in files_of(release).items()
    ]
    return [inline_target(path, render_release(release)), *files]


def a_file(path: str) -> TargetFile:
    return TargetFile(3, {"sha256": "ab" * 32}, path)


def refused(role: RoleName, *files: TargetFile) -> str:
    with pytest.raises(TrustError) as caught:
        contents_of(APP, role, targets_of(*files))
    return caught.value.code


# --- policy and rollout ------------------------------------------------------------------


def test_the_policy_role_holds_one_policy_per_channel() -> None:
    files = [
        inline_target(path_of_policy(APP, channel), a_policy(channel))
        for channel in ("stable", "beta")
    ]

    contents = contents_of(APP, POLICY, targets_of(*files))

    assert set(contents.policies) == {"stable", "beta"}
    assert contents.documents["demo/policy/beta.json"] == a_policy("beta")
    assert contents.artifacts == {}


@pytest.mark.parametrize(
    "path",
    [
        "other/policy/stable.json",
        "demo/rollout/stable.json",
        "demo/policy/a/stable.json",
        "demo/policy/STABLE.json",
        "demo/policy/..json",
        "demo/policy/stable",
        "stable.json",
        "",
    ],
)
def test_a_policy_stands_at_its_own_path(path: str) -> None:
    assert refused(POLICY, inline_target(path, a_policy())) == "path_scope"


def test_the_rollout_role_holds_its_channels_document() -> None:
    file = inline_target("demo/rollout/stable.json", a_rollout())

    contents = contents_of(APP, ROLLOUT, targets_of(file))

    assert contents.rollouts["stable"].entries[0].version == Version("1.0")


def test_the_rollout_key_cannot_list_a_binary_in_its_role() -> None:
    file = inline_target("demo/rollout/stable.json", a_rollout())

    assert refused(ROLLOUT, file, a_file("demo/rollout/evil.srn")) == "path_scope"
    assert refused(ROLLOUT, a_file(f"{FOLDER}/demo-1.0.srn")) == "path_scope"
    assert refused(ROLLOUT) == "path_scope"


def test_targets_names_no_files() -> None:
    assert refused(RoleName(kind=RoleKind.TARGETS), a_file("demo/a")) == "path_scope"
    assert contents_of(APP, RoleName(kind=RoleKind.TARGETS), targets_of()).files == {}


# --- releases ----------------------------------------------------------------------------


def test_the_releases_role_holds_releases_and_their_files() -> None:
    release = a_release("1.0")

    contents = contents_of(APP, RELEASES, targets_of(*release_files(release)))

    assert contents.releases == {release.version: release}
    assert set(contents.artifacts) == {release.artifact.path}
    assert len(contents.files) == 2


def test_a_delta_a_side_file_and_pieces_belong_to_their_release() -> None:
    release = a_release(
        "1.0",
        others=(SideFile(path=f"{FOLDER}/demo.msi", kind="msi"),),
        deltas=(
            Delta(
                path=f"{FOLDER}/from-0.9.delta",
                from_version=Version("0.9"),
                from_manifest="ab" * 32,
                algo="pb1",
                output_bytes=1,
                max_file_bytes=1,
            ),
        ),
    )
    more = [a_file(f"{FOLDER}/{name}") for name in ("demo.msi", "from-0.9.delta")]
    pieces = a_file(f"{FOLDER}/demo-1.0.srn.pieces")

    contents = contents_of(APP, RELEASES, targets_of(*release_files(release), *more, pieces))

    assert len(contents.artifacts) == 4


@pytest.mark.parametrize(
    "path",
    [
        "demo/releases/stable/linux-arm64/1.0/a",
        "demo/releases/beta/linux-x86_64/1.0/a",
        "other/releases/stable/linux-x86_64/1.0/a",
        "demo/policy/stable.json",
        f"{FOLDER}/../1.0/a",
        f"{FOLDER}/a/b",
        f"{FOLDER}/",
        f"{FOLDER}/.hidden",
        f"{FOLDER}/a%2e",
        f"{FOLDER}/a\\b",
        f"{FOLDER}/NUL.srn",
        f"{FOLDER}/a.",
        f"demo/releases/stable/{LINUX}/1.00/a",
        f"demo/releases/stable/{LINUX}/v1.0/a",
        f"demo/releases/stable/{LINUX}/1!1.0/a",
        f"demo/releases/stable/{LINUX}//a",
        f"/{FOLDER}/a",
        "a",
        "",
    ],
)
def test_a_path_outside_the_roles_scope_is_refused(path: str) -> None:
    assert refused(RELEASES, *release_files(a_release("1.0")), a_file(path)) == "path_scope"


def test_a_version_without_a_release_document_is_refused() -> None:
    assert refused(RELEASES, a_file(f"{FOLDER}/demo-1.0.srn")) == "bad_document"


def test_a_release_whose_artifact_is_not_signed_is_refused() -> None:
    document, _ = release_files(a_release("1.0"))

    assert refused(RELEASES, document) == "bad_document"


def test_a_file_that_no_release_names_is_refused() -> None:
    files = release_files(a_release("1.0"))

    assert refused(RELEASES, *files, a_file(f"{FOLDER}/stowaway.srn")) == "bad_document"


def test_two_names_that_differ_only_in_case_are_refused() -> None:
    """Pieces need no naming, so they could stand beside a file that differs in case alone."""
    other = SideFile(path=f"{FOLDER}/DEMO-1.0.srn.pieces", kind="msi")
    files = [*release_files(a_release("1.0", others=(other,))), a_file(other.path)]

    assert contents_of(APP, RELEASES, targets_of(*files)).releases
    assert refused(RELEASES, *files, a_file(f"{FOLDER}/demo-1.0.srn.pieces")) == "bad_document"


def test_a_release_document_at_another_versions_path_is_refused() -> None:
    document = render_release(a_release("1.1"))

    assert refused(RELEASES, inline_target(f"{FOLDER}/release.json", document)) == "bad_document"


def test_a_release_that_names_its_document_as_its_artifact_is_refused() -> None:
    artifact = Artifact(
        path=f"{FOLDER}/release.json",
        format="serinus-1",
        manifest_sha256="ab" * 32,
        tree_bytes=1,
        files=1,
    )
    document = render_release(a_release("1.0", artifact=artifact))

    assert refused(RELEASES, inline_target(f"{FOLDER}/release.json", document)) == "bad_document"


def test_a_file_under_another_spelling_of_the_version_is_refused() -> None:
    """1.0 equals 1.0.0, and pieces need no naming."""
    files = release_files(a_release("1.0"))
    other = FOLDER.replace("/1.0", "/1.0.0")

    assert refused(RELEASES, *files, a_file(f"{other}/demo-1.0.srn.pieces")) == "bad_document"
    assert refused(RELEASES, *files, *release_files(a_release("1.0.0"))) == "bad_document"


def test_two_releases_do_not_share_a_salt() -> None:
    """A salt used twice would put the same installs first twice."""
    releases = [a_release(version, salt=salt_of("one")) for version in ("1.0", "1.1")]
    files = [file for release in releases for file in release_files(release)]

    assert refused(RELEASES, *files) == "bad_document"


def many(count: int) -> list[TargetFile]:
    return [file for minor in range(count) for file in release_files(a_release(f"1.{minor}"))]


def test_a_hundred_versions_live_and_no_more() -> None:
    assert len(contents_of(APP, RELEASES, targets_of(*many(100))).releases) == 100
    assert refused(RELEASES, *many(101)) == "bad_document"


def test_the_contents_of_a_state_are_found_by_role() -> None:
    world = a_world(a_release("1.0"))

    names: Mapping[str, int] = {
        role: len(role_contents(world.state, role).files) for role in world.state.metadata
    }

    assert names == {
        "root": 0,
        "targets": 0,
        "policy": 1,
        f"releases.stable.{LINUX}": 2,
        "rollout.stable": 1,
        "snapshot": 0,
        "timestamp": 0,
    }
    assert role_contents(world.state, "no role").files == {}
    assert role_contents(world.state, "rollout.beta").files == {}


def test_role_names_are_those_of_the_table() -> None:
    assert parse_role(str(RELEASES)) == RELEASES
