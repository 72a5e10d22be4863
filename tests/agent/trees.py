"""Real trees, their payloads and goals, and an installation to build them in."""

from __future__ import annotations

import hashlib
import lzma
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version

from client_agent.platforms import Platform
from client_agent.platforms.linux import Linux
from client_agent.values import Goal, InstalledVersion, TargetInfo
from client_agent.versions.install import Installation
from rollout.manifest import (
    EntryKind,
    Manifest,
    ManifestEntry,
    manifest_for,
    parse_manifest,
    render_manifest,
)
from rollout.model import Action, Artifact, Reason, Release, RolloutId
from tests.agent.agent_fakes import FakeClock

Tree = Mapping[str, bytes | str | None]
"""Path to content, ``-> target`` for a link, None for an empty folder. ``app`` is started."""

APP = b"#!/bin/sh\necho started\n"
NOW = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
LATER = NOW + timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A payload and the goal that leads to it."""

    payload: bytes
    manifest: bytes
    goal: Goal

    def file(self, folder: Path) -> Path:
        path = folder / f"{hashlib.sha256(self.payload).hexdigest()}.part"
        path.write_bytes(self.payload)
        return path


def xz(data: bytes, *, check: int = lzma.CHECK_CRC64, dictionary: int = 1 << 16) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": dictionary}]
    return lzma.compress(data, lzma.FORMAT_XZ, check, filters=filters)


def payload_of(
    manifest: bytes,
    content: bytes,
    *,
    manifest_xz: bytes | None = None,
    content_xz: bytes | None = None,
    manifest_raw: int | None = None,
    content_raw: int | None = None,
    magic: bytes = b"SRNPAY1\n",
) -> bytes:
    """Put a payload together by hand, with whatever lies are asked for."""
    packed_manifest = xz(manifest) if manifest_xz is None else manifest_xz
    packed_content = xz(content) if content_xz is None else content_xz
    header = struct.pack(
        "<8sIIQQ",
        magic,
        len(packed_manifest),
        len(manifest) if manifest_raw is None else manifest_raw,
        len(packed_content),
        len(content) if content_raw is None else content_raw,
    )
    return header + packed_manifest + packed_content


def pack(
    tree: Tree | None = None,
    *,
    version: str = "2.1.0",
    platform: str = "linux-x86_64",
    rollout: str = "ro_7k2m",
    data_schema: int | None = None,
    reads_schema_max: int | None = None,
) -> Packed:
    """Return the payload of *tree*; by default a small one with everything in it."""
    files = {"app": APP, **(_SMALL if tree is None else tree)}
    entries = [_entry(path, content) for path, content in files.items()]
    manifest = manifest_for(
        app="demo",
        platform=platform,
        version=Version(version),
        entry_point="app",
        entries=entries,
    )
    spelled = render_manifest(manifest)
    payload = payload_of(spelled, _contents(manifest, files))
    goal = goal_for(
        spelled,
        payload,
        version=version,
        platform=platform,
        rollout=rollout,
        tree_bytes=manifest.tree_bytes,
        files=len(manifest.files),
        data_schema=data_schema,
        reads_schema_max=reads_schema_max,
    )
    return Packed(payload=payload, manifest=spelled, goal=goal)


def contents_of(packed: Packed, tree: Tree) -> bytes:
    """Return what the payload of *tree* holds beside the manifest."""
    return _contents(parse_manifest(packed.manifest), tree)


def goal_for(
    manifest: bytes,
    payload: bytes,
    *,
    version: str = "2.1.0",
    platform: str = "linux-x86_64",
    rollout: str = "ro_7k2m",
    tree_bytes: int = 0,
    files: int = 0,
    data_schema: int | None = None,
    reads_schema_max: int | None = None,
    authenticode_spki: tuple[str, ...] = (),
) -> Goal:
    path = f"demo/releases/stable/{platform}/{version}/demo-{version}.srn"
    artifact = Artifact(
        path=path,
        format="serinus-1",
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        tree_bytes=tree_bytes,
        files=files,
    )
    release = Release(
        app="demo",
        channel="stable",
        platform=platform,
        version=Version(version),
        salt=bytes(32),
        released_at=NOW - timedelta(days=1),
        artifact=artifact,
        data_schema=data_schema,
        reads_schema_max=reads_schema_max,
        authenticode_spki=authenticode_spki,
    )
    return Goal(
        version=Version(version),
        manifest_sha256=artifact.manifest_sha256,
        rollout=RolloutId(rollout),
        reason=Reason.IN_RING,
        action=Action.UPDATE,
        release=release,
        target=TargetInfo(
            path=path, sha256=hashlib.sha256(payload).hexdigest(), length_bytes=len(payload)
        ),
    )


def an_installation(
    folder: Path,
    *,
    platform: Platform | None = None,
    clock: FakeClock | None = None,
    in_process: bool = True,
) -> Installation:
    root = folder / "root"
    Installation.create_root(root)
    found = Installation(root, platform or Linux(), clock or FakeClock(NOW), in_process=in_process)
    found.prepare()
    return found


def build(installation: Installation, packed: Packed) -> InstalledVersion:
    """Build the version, as the loop does after its download."""
    with packed.file(installation.parts).open("rb") as part:
        return installation.build(part, packed.goal, lambda _written, _total: None)


def arm(installation: Installation, packed: Packed, *, now: datetime = NOW) -> InstalledVersion:
    """Build the version and make it pending."""
    built = installation.find_built(packed.goal) or build(installation, packed)
    not_after = now + timedelta(hours=24)
    installation.state.arm(packed.goal, built, now=now, not_after=not_after)
    return built


def install(installation: Installation, packed: Packed) -> InstalledVersion:
    """Make the version current, as if its trial had gone well."""
    built = arm(installation, packed)
    installation.state.confirm(NOW)
    return built


def listing(folder: Path) -> dict[str, bytes | str | None]:
    """Return what lies in the folder, in the form of a ``Tree``."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name] = None
    return found


def _contents(manifest: Manifest, files: Tree) -> bytes:
    contents: dict[str, bytes] = {}
    for entry in manifest.files:
        content = files[entry.path]
        assert isinstance(content, bytes)
        contents.setdefault(entry.sha256, content)
    return b"".join(contents.values())


def _entry(path: str, content: bytes | str | None) -> ManifestEntry:
    if content is None:
        return ManifestEntry(kind=EntryKind.FOLDER, path=path)
    if isinstance(content, str):
        target = content.removeprefix("-> ")
        return ManifestEntry(kind=EntryKind.LINK, path=path, target=target)
    return ManifestEntry(
        kind=EntryKind.FILE,
        path=path,
        mode=0o755 if path == "app" else 0o644,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


_SMALL: Tree = {
    "bin/tool": APP,  # the same content as another file
    "data/a/b": b"b" * 70_000,
    "data/nothing": b"",
    "data/nothing-else": b"",
    "empty": None,
    "lib/libx.so": "-> libx.so.1",
    "lib/libx.so.1": b"\x7fELF" + bytes(range(256)),
}
