"""The demo's verdict: what the installs' folders really hold, against what was signed.

It believes no log and no answer. Each folder is hashed file by file against the signed
manifest, each current program is run, and each start on record must be of a signed version.

Not here: how the agents came there (``story``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from rollout.errors import RolloutError
from rollout.manifest import EntryKind, Manifest, ManifestEntry, parse_manifest
from rollout.model import Release
from rollout.names import RESERVED_ROOT
from update_server.cli.demo import programs
from update_server.cli.demo.fleet import InstallFolder, Launch

_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is true of one install. ``problems`` are sentences; none means that all is well."""

    version: str
    unverified: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is true of all installs."""

    installs: Mapping[str, int] = field(default_factory=dict)
    unverified_files_executed: int = 0
    problems: tuple[str, ...] = ()


def judge(
    installs: Iterable[InstallFolder],
    witnessed: Mapping[int, Iterable[Launch]],
    signed: Mapping[Version, Release],
    says: Mapping[Version, str],
) -> Verdict:
    """Return the verdict on *installs*.

    Args:
        installs: The installs, with no agent at work in them.
        witnessed: By install number, the starts that were seen while the agents ran.
        signed: The releases that verify from the workspace's root.
        says: What each good version prints when it is asked for its version.
    """
    counts: Counter[str] = Counter()
    unverified = 0
    problems: list[str] = []
    for install in installs:
        finding = examine(install, witnessed.get(install.number, ()), signed, says)
        counts[finding.version] += 1
        unverified += finding.unverified
        problems += [f"{install.name}: {problem}" for problem in finding.problems]
    return Verdict(
        installs=dict(sorted(counts.items())),
        unverified_files_executed=unverified,
        problems=tuple(problems),
    )


def examine(
    install: InstallFolder,
    witnessed: Iterable[Launch],
    signed: Mapping[Version, Release],
    says: Mapping[Version, str],
) -> Finding:
    """Return what is true of one install.

    1. Every folder below ``versions/`` is, to the byte, one that was signed: whatever could
       have been started from there is counted as unverified otherwise.
    2. Every start that was seen was of a signed version.
    3. The current version's program runs and says that it is that version.
    """
    problems: list[str] = []
    editions = {release.artifact.manifest_sha256: v for v, release in signed.items()}
    unverified = 0
    for folder in install.versions():  # 1
        wrong = differences(folder, editions)
        unverified += bool(wrong)
        problems += wrong
    known = {str(version) for version in signed}
    for start in set(witnessed):  # 2
        if start.version not in known:
            unverified += 1
            problems.append(f"{start.version} was started and never signed")
    look = install.look()
    if look.version is None:
        return Finding(version=_NONE, unverified=unverified, problems=(*problems, "has no version"))
    folder = install.root / "versions" / look.directories.get("current", "")
    problems += _run(folder, look.version, says)  # 3
    return Finding(version=str(look.version), unverified=unverified, problems=tuple(problems))


def differences(folder: Path, editions: Mapping[str, Version]) -> list[str]:
    """Return how the tree in *folder* differs from the signed one it claims to be.

    *editions* maps the signed manifests' SHA-256 to their versions.
    """
    try:
        data = (folder / RESERVED_ROOT / "manifest").read_bytes()
        manifest = parse_manifest(data)
    except (OSError, RolloutError) as error:
        return [f"{folder.name} has no manifest: {error}"]
    if editions.get(hashlib.sha256(data).hexdigest()) != manifest.version:
        return [f"the manifest of {folder.name} was never signed"]
    wrong = [
        f"{entry.path} in {folder.name} is not what was signed"
        for entry in manifest.entries
        if not _is_as_signed(folder / entry.path, entry)
    ]
    return wrong + [
        f"{name} in {folder.name} was never signed" for name in _extras(folder, manifest)
    ]


def _is_as_signed(path: Path, entry: ManifestEntry) -> bool:
    try:
        mode = path.lstat().st_mode
        if entry.kind is EntryKind.LINK:
            return stat.S_ISLNK(mode) and str(path.readlink()) == entry.target
        if entry.kind is EntryKind.FOLDER:
            return stat.S_ISDIR(mode)
        if not stat.S_ISREG(mode):
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except OSError:
        return False


def _extras(folder: Path, manifest: Manifest) -> list[str]:
    expected = {entry.path for entry in manifest.entries} | set(manifest.folders)
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent).relative_to(folder)
        if here == Path():
            folders.remove(RESERVED_ROOT)
        found += [(here / name).as_posix() for name in (*folders, *files)]
    return sorted(set(found) - expected)


def _run(folder: Path, version: Version, says: Mapping[Version, str]) -> list[str]:
    try:
        manifest = parse_manifest((folder / RESERVED_ROOT / "manifest").read_bytes())
    except (OSError, RolloutError):
        return [f"its current version {version} has no folder"]
    tried = programs.run(folder / manifest.entry_point, "--version")
    if tried.status or tried.output != says.get(version):
        return [f"{version} ends with {tried.status} and says {tried.output!r}"]
    return []
