"""The deltas of a release: from the versions that most installs run, where they are worth it.

A delta is published if it is at most half as long as the full payload, and if an agent, with little
memory, made the new tree of it. Whatever stands in the way costs one delta, never the release.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from rollout.delta_format import ALGO
from rollout.documents import release_folder
from rollout.model import Delta, Release
from rollout.names import check_file_name
from rollout.versions import render_version
from signing.state import RepositoryState
from update_server.cli.command import Session
from update_server.cli.deltas.bases import (
    SignedRelease,
    base_tree,
    most_common,
    order_for,
    signed_releases,
)
from update_server.cli.deltas.making import build_tree, make_delta
from update_server.cli.deltas.steps import NoDeltaError, Tree
from update_server.cli.draft import Draft
from update_server.cli.errors import CliError

DELTA_BASES = 3
MOST_OF_PAYLOAD = 0.5
LEAST_PAYLOAD_BYTES = 16 * 1024
"""Below that a delta is not looked for: a request costs as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deltas a publisher wants: from the *count* most common versions, or from *these*."""

    count: int = DELTA_BASES
    these: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeDelta:
    """A delta that was proven, and the file that holds it."""

    delta: Delta
    file: Path
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deltas:
    """What was made for one platform, and why nothing was made from other versions."""

    made: tuple[MadeDelta, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()


def deltas_for(
    session: Session, state: RepositoryState, draft: Draft, wanted: Wanted, folder: Path
) -> Deltas:
    """Make the deltas to the drafted release, in *folder*.

    Raises:
        CliError: ``unknown_release``: it was asked for a delta from a version that is none.
    """
    release, payload_bytes = draft.release, draft.payload.stat().st_size
    if not wanted.these and (not wanted.count or payload_bytes < LEAST_PAYLOAD_BYTES):
        return Deltas()
    try:
        releases = signed_releases(session, state, release.channel, release.platform)
    except NoDeltaError as error:
        return Deltas(missing=(("any version", str(error)),))
    for version in wanted.these:
        if version not in releases or version == release.version:
            raise CliError(
                "unknown_release",
                f"--delta-from {version}: {release.platform} has no such older release",
                hint="serinus release list",
            )
    bases = [releases[version] for version in wanted.these] or [
        releases[version]
        for version in most_common(session, release.channel, release.platform)
        if version in releases and _can_take(release, version)
    ][: wanted.count]
    return _made(session, draft, bases, folder) if bases else Deltas()


def _can_take(release: Release, version: Version) -> bool:
    """Return whether installs at *version* can be offered the release at all."""
    floor = release.min_version
    return version != release.version and (floor is None or version >= floor)


def _made(session: Session, draft: Draft, bases: Sequence[SignedRelease], folder: Path) -> Deltas:
    made: list[MadeDelta] = []
    missing: list[tuple[str, str]] = []
    new: Tree | None = None
    for base in bases:
        version = render_version(base.release.version)
        session.console.say(f"{draft.release.platform}: making the delta from {version}")
        work = folder / version
        work.mkdir(parents=True)
        try:
            new = new or build_tree(draft.payload, order_for(draft.release), folder / "new")
            made.append(_one(session, draft, base, new, work))
        except NoDeltaError as error:
            missing.append((version, str(error)))
        for tree in (work / "tree", work / "proof"):
            shutil.rmtree(tree, ignore_errors=True)
    shutil.rmtree(folder / "new", ignore_errors=True)
    return Deltas(made=tuple(made), missing=tuple(missing))


def _one(session: Session, draft: Draft, base: SignedRelease, new: Tree, folder: Path) -> MadeDelta:
    """Make one delta and prove it.

    1. The tree that installs have, from its signed payload.
    2. The delta; no longer than half the payload.
    3. What an agent makes of both: the new tree, verified file by file.

    Raises:
        NoDeltaError: It is not worth it, or one of these cannot be done.
    """
    release, version = draft.release, render_version(base.release.version)
    where = release_folder(release.app, release.channel, release.platform, release.version)
    old = base_tree(session, base, folder)  # 1
    name = check_file_name(f"{release.app}-{version}-{render_version(release.version)}.pb1")
    file = folder / name
    written = make_delta(old, new, file)  # 2
    most = int(MOST_OF_PAYLOAD * draft.payload.stat().st_size)
    if written.length_bytes > most:
        raise NoDeltaError(f"{written.length_bytes} bytes, more than {most}: not worth it")
    delta = Delta(
        path=f"{where}/{name}",
        from_version=base.release.version,
        from_manifest=base.release.artifact.manifest_sha256,
        algo=ALGO,
        output_bytes=written.output_bytes,
        max_file_bytes=written.max_file_bytes,
    )
    start = {
        "folder": str(old.root),
        "manifest_sha256": delta.from_manifest,
        "output_bytes": delta.output_bytes,
        "max_file_bytes": delta.max_file_bytes,
    }
    build_tree(file, {**order_for(release), "base": start}, folder / "proof")  # 3
    return MadeDelta(delta=delta, file=file, length_bytes=written.length_bytes)
