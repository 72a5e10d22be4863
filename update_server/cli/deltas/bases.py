"""The versions that deltas start from: which ones, and their trees.

A tree comes from the payload of the older release, and that from the server: it is taken only if
the publisher's own root vouches for the metadata that names its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from rollout.model import Release
from rollout.versions import parse_version
from signing.chain import verify_root, walk
from signing.contents import contents_of
from signing.errors import TrustError
from signing.metadata import parse_root, verify_signatures
from signing.roles import ROOT, RoleKind, RoleName
from signing.state import RepositoryState
from signing.verify import SignedFile
from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.deltas.making import build_tree
from update_server.cli.deltas.steps import NoDeltaError, Tree
from update_server.cli.download import download
from update_server.cli.errors import CliError


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """An older release, and its payload as the metadata names it."""

    release: Release
    payload: SignedFile


def signed_releases(
    session: Session, state: RepositoryState, channel: str, platform: str
) -> Mapping[Version, SignedRelease]:
    """Return the releases of *platform* that the workspace's root vouches for.

    Raises:
        NoDeltaError: It does not vouch for the server's metadata, or it is not here.
    """
    root_file = session.need_workspace().root_file(session.app)
    try:
        anchor = verify_root(root_file.read_bytes(), None)
        trusted = walk(session.app, state.metadata)
        # Whoever rotated keys meanwhile did so with those of our root: its successors between
        # are not here, but the newest one has their signatures, too.
        verify_signatures(anchor, ROOT, parse_root(state.metadata[ROOT]))
        role = RoleName(kind=RoleKind.RELEASES, channel=channel, platform=platform)
        trusted.require([str(role)])
        if str(role) not in trusted.delegated:
            return {}
        contents = contents_of(session.app, role, trusted.delegated[str(role)])
    except OSError as error:
        raise NoDeltaError(f"{root_file} cannot be read: {error.strerror}") from error
    except TrustError as error:
        raise NoDeltaError(f"{root_file} does not vouch for the server: {error}") from error
    return {
        version: SignedRelease(release=release, payload=contents.files[release.artifact.path])
        for version, release in contents.releases.items()
    }


def most_common(session: Session, channel: str, platform: str) -> Sequence[Version]:
    """Return the versions that installs of *platform* run, the most common ones first."""
    rows = [
        (-row["installs"], parse_version(row["version"]))
        for row in session.api.items(app_path(session.app, "versions"))
        if (row["channel"], row["platform"]) == (channel, platform)
        and row["version"]  # else nothing is installed there yet
    ]
    return [version for _, version in sorted(rows)]


def base_tree(session: Session, signed: SignedRelease, folder: Path) -> Tree:
    """Return the tree of an older release, made in *folder* from its payload.

    Raises:
        NoDeltaError: The server has no such bytes, or no agent could use them.
    """
    release = signed.release
    payload = folder / signed.payload.path.rpartition("/")[2]
    try:
        download(
            session.api,
            session.console,
            session.app,
            payload,
            sha256=signed.payload.sha256,
            length_bytes=signed.payload.length_bytes,
            label=f"download {payload.name}",
        )
    except CliError as error:
        raise NoDeltaError(f"its payload cannot be had: {error.detail}") from error
    tree = build_tree(payload, order_for(release), folder / "tree")
    payload.unlink()
    return tree


def order_for(release: Release) -> dict[str, object]:
    """Return what an agent is told of the tree that it is to make of a release."""
    return {
        "app": release.app,
        "platform": release.platform,
        "version": str(release.version),
        "manifest_sha256": release.artifact.manifest_sha256,
        "tree_bytes": release.artifact.tree_bytes,
        "files": release.artifact.files,
        "base": None,
    }
