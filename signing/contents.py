"""What a role's metadata says: its documents as values, and the files that it names.

Every path is checked against the role's scope and the name rules, every document against
its hash and its own path, every file that a release names against the role's targets. So
whoever holds a ``RoleContents`` need not look again.

Not here: signatures (``signing.metadata``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import Version
from tuf.api.metadata import TargetFile, Targets

from rollout.documents import path_of_policy, path_of_release, path_of_rollout, release_folder
from rollout.errors import RolloutError
from rollout.model import Policy, Release, RolloutDocument
from rollout.names import check_channel, check_file_name
from rollout.pieces import pieces_path
from rollout.versions import parse_version
from signing.errors import TrustError
from signing.metadata import parse_targets
from signing.roles import MAX_LIVE_VERSIONS, RoleKind, RoleName, parse_role
from signing.state import RepositoryState
from signing.verify import SignedFile, document_of, file_of, policy_of, release_of, rollout_of

RELEASE_FILE = "release.json"

_NAME_NO_FILES = frozenset({RoleKind.ROOT, RoleKind.SNAPSHOT, RoleKind.TIMESTAMP})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContents:
    """The documents and files of one role. Policies and rollouts by channel.

    ``documents`` holds the rendered documents by path, ``files`` everything that the role
    names by path, documents included.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    rollouts: Mapping[str, RolloutDocument] = field(default_factory=dict)
    releases: Mapping[Version, Release] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, SignedFile] = field(default_factory=dict)

    @property
    def artifacts(self) -> dict[str, SignedFile]:
        """The files whose bytes are not in the metadata."""
        return {path: file for path, file in self.files.items() if path not in self.documents}


def contents_of(app: str, role: RoleName, targets: Targets) -> RoleContents:
    """Return what *targets*, the verified metadata of *role*, says.

    Raises:
        TrustError: ``path_scope`` for a path that is not the role's, ``bad_document``,
            ``length_mismatch`` or ``hash_mismatch`` for what lies there.
    """
    match role.kind:
        case RoleKind.POLICY:
            return _policies(app, targets)
        case RoleKind.ROLLOUT:
            return _rollout(app, role.channel, targets)
        case RoleKind.RELEASES:
            return _releases(app, role, targets)
        case _:
            if targets.targets:
                raise TrustError("path_scope", str(role), "it delegates, and names no files")
            return RoleContents()


def role_contents(state: RepositoryState, role: str) -> RoleContents:
    """Return what *role* says in *state*; nothing for a role that is not there or names no files.

    The state is the caller's own, so signatures are not looked at again.

    Raises:
        TrustError: The metadata is not what it should be.
    """
    name = parse_role(role)
    if name is None or name.kind in _NAME_NO_FILES or role not in state.metadata:
        return RoleContents()
    return contents_of(state.app, name, parse_targets(role, state.metadata[role]).signed)


def _policies(app: str, targets: Targets) -> RoleContents:
    policies: dict[str, Policy] = {}
    for path, target in targets.targets.items():
        channel = _channel_of(app, path)
        policies[channel] = policy_of(target, app, channel)
    return RoleContents(policies=policies, documents=_rendered(targets), files=_files(targets))


def _channel_of(app: str, path: str) -> str:
    try:
        channel = check_channel(path.rpartition("/")[2].removesuffix(".json"))
    except RolloutError as error:
        raise TrustError("path_scope", path, str(error)) from error
    if path != path_of_policy(app, channel):
        raise TrustError("path_scope", path, "it is no policy of this app")
    return channel


def _rollout(app: str, channel: str, targets: Targets) -> RoleContents:
    path = path_of_rollout(app, channel)
    if set(targets.targets) != {path}:
        raise TrustError("path_scope", path, "the role names this file and no other")
    rollout = rollout_of(targets.targets[path], app, channel)
    return RoleContents(
        rollouts={channel: rollout}, documents=_rendered(targets), files=_files(targets)
    )


def _releases(app: str, role: RoleName, targets: Targets) -> RoleContents:
    folders: dict[Version, dict[str, TargetFile]] = {}
    spelled: dict[Version, str] = {}
    for path, target in targets.targets.items():
        version, name = _split(app, role, path)
        if spelled.setdefault(version, str(version)) != str(version):  # 2.0 equals 2.0.0
            raise TrustError("bad_document", path, "its version has another spelling, too")
        folders.setdefault(version, {})[name] = target
    if len(folders) > MAX_LIVE_VERSIONS:
        raise TrustError("bad_document", str(role), f"over {MAX_LIVE_VERSIONS} live versions")
    releases: dict[Version, Release] = {}
    documents: dict[str, bytes] = {}
    for version, folder in folders.items():
        release = _release(app, role, version, folder)
        releases[version] = release
        documents[_path(release)] = document_of(folder[RELEASE_FILE])
    _check_salts(role, releases)
    return RoleContents(releases=releases, documents=documents, files=_files(targets))


def _split(app: str, role: RoleName, path: str) -> tuple[Version, str]:
    try:
        text, name = path.split("/")[-2:]
        version = parse_version(text)
        folder = release_folder(app, role.channel, role.platform, version)
        # Rebuilt and compared, so only the canonical spelling of a version passes.
        if f"{folder}/{check_file_name(name)}" == path:
            return version, name
    except (RolloutError, ValueError) as error:
        raise TrustError("path_scope", path, str(error)) from error
    raise TrustError("path_scope", path, f"it is not in the scope of {role}")


def _release(
    app: str, role: RoleName, version: Version, folder: Mapping[str, TargetFile]
) -> Release:
    where = release_folder(app, role.channel, role.platform, version)
    if RELEASE_FILE not in folder:
        raise TrustError("bad_document", where, f"it has no {RELEASE_FILE}")
    if len({name.casefold() for name in folder}) != len(folder):
        raise TrustError("bad_document", where, "two names differ only in case")
    release = release_of(folder[RELEASE_FILE], app, role.channel, role.platform, version)
    named = {
        release.artifact.path,
        *(other.path for other in release.others),
        *(delta.path for delta in release.deltas),
    }
    listed = {f"{where}/{name}" for name in folder} - {_path(release)}
    if missing := named - listed:
        raise TrustError("bad_document", min(missing), "the release names it, the role does not")
    # Nothing is signed that no document explains, so nothing can hide beside a release.
    explained = named | {pieces_path(path) for path in named}
    if unnamed := listed - explained:
        raise TrustError("bad_document", min(unnamed), "the release does not name it")
    return release


def _check_salts(role: RoleName, releases: Mapping[Version, Release]) -> None:
    # A salt that is used twice would put the same installs first twice (docs/trust.md, 4).
    if len({release.salt for release in releases.values()}) != len(releases):
        raise TrustError("bad_document", str(role), "two releases share a salt")


def _path(release: Release) -> str:
    return path_of_release(release.app, release.channel, release.platform, release.version)


def _rendered(targets: Targets) -> dict[str, bytes]:
    return {path: document_of(target) for path, target in targets.targets.items()}


def _files(targets: Targets) -> dict[str, SignedFile]:
    return {path: file_of(target) for path, target in targets.targets.items()}
