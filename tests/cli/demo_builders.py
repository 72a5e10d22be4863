"""Installs of the demo as an agent leaves them: real trees, real state, made without one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import Version

from client_agent.state.state_body import render_state
from client_agent.values import Ban, InstalledVersion, Pending, State
from rollout.manifest import EntryKind, ManifestEntry, manifest_for, render_manifest
from rollout.model import Delta, Release
from tests.builders import a_release
from update_server.cli.demo.fleet import InstallFolder

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TRUE = Path(shutil.which("true") or "").read_bytes()
INSTALL_ID = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


def an_edition(version: str) -> tuple[dict[str, tuple[int, bytes]], bytes]:
    """Return the files of a version (mode and bytes by path) and its manifest."""
    files = {"bin/tool": (0o755, TRUE + version.encode()), "LICENSE": (0o644, b"as you like")}
    entries = [
        ManifestEntry(
            kind=EntryKind.FILE,
            path=path,
            mode=mode,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for path, (mode, data) in files.items()
    ]
    entries.append(ManifestEntry(kind=EntryKind.LINK, path="tool", target="bin/tool"))
    entries.append(ManifestEntry(kind=EntryKind.FOLDER, path="cache"))
    manifest = manifest_for(
        app="demo",
        platform="linux-x86_64",
        version=Version(version),
        entry_point="bin/tool",
        entries=entries,
    )
    return files, render_manifest(manifest)


def digest_of(version: str) -> str:
    return hashlib.sha256(an_edition(version)[1]).hexdigest()


def signed(*versions: str) -> dict[Version, Release]:
    """Return the releases of these versions as the publisher signed them."""
    return {Version(text): _release(text) for text in versions}


def _release(version: str) -> Release:
    release = a_release(version=version)
    artifact = replace(release.artifact, manifest_sha256=digest_of(version))
    return replace(release, artifact=artifact)


def a_delta(older: str, newer: str) -> Delta:
    """Return what the release of *newer* says of a delta from *older*."""
    folder = f"demo/releases/stable/linux-x86_64/{newer}"
    return Delta(
        path=f"{folder}/from-{older}.delta",
        from_version=Version(older),
        from_manifest=digest_of(older),
        algo="pb1",
        output_bytes=1000,
        max_file_bytes=1000,
    )


def installed(version: str) -> InstalledVersion:
    digest = digest_of(version)
    return InstalledVersion(
        version=Version(version), manifest_sha256=digest, directory=f"{version}-{digest[:8]}"
    )


def put_version(install: InstallFolder, version: str) -> Path:
    """Put a complete version below ``versions/`` and return its folder."""
    files, manifest = an_edition(version)
    folder = install.root / "versions" / installed(version).directory
    for path, (mode, data) in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
    (folder / "tool").symlink_to("bin/tool")
    (folder / "cache").mkdir()
    (folder / ".serinus").mkdir()
    (folder / ".serinus" / "manifest").write_bytes(manifest)
    return folder


def put_state(
    install: InstallFolder,
    *,
    current: str | None = None,
    previous: str | None = None,
    pending: str | None = None,
    banned: tuple[str, ...] = (),
) -> None:
    """Write ``state.json`` as an agent writes it."""
    state = State(
        seq=7,
        current=installed(current) if current else None,
        previous=installed(previous) if previous else None,
        pending=Pending(
            installed=installed(pending),
            tries_left=3,
            refunds=0,
            armed_at=NOW,
            not_after=NOW,
            boot_id="b",
        )
        if pending
        else None,
        bans=tuple(
            Ban(
                version=Version(text),
                manifest_sha256=digest_of(text),
                rollout=None,
                reason="tries_used_up",
                at=NOW,
            )
            for text in banned
        ),
    )
    (install.root / "state.json").write_bytes(render_state(state, {}))


def put_status(install: InstallFolder, checked_at: datetime) -> None:
    """Write the part of ``status.json`` that tells of the last check-in."""
    status = {"phase": "idle", "checked_at": checked_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    (install.root / "status.json").write_text(json.dumps(status), encoding="utf-8")


def put_taken(
    install: InstallFolder,
    version: str,
    *,
    delta: bool = True,
    received_bytes: int = 100_000,
    full_bytes: int = 3_000_000,
) -> None:
    """Write the part of ``status.json`` that tells of the last update."""
    taken = {
        "version": version,
        "delta": delta,
        "received_bytes": received_bytes,
        "full_bytes": full_bytes,
    }
    (install.root / "status.json").write_text(json.dumps({"last_update": taken}))


def put_marker(install: InstallFolder, launch_id: str, *lines: Mapping[str, object]) -> None:
    """Write the marker of one start, line by line as launcher and parent do."""
    folder = install.root / "launches"
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{launch_id}.json").write_text(text, encoding="utf-8")


def an_install(folder: Path, *, number: int = 1, internal: bool = False) -> InstallFolder:
    """Return an install whose folder is there and empty."""
    root = folder / f"{number:02}"
    root.mkdir(parents=True)
    return InstallFolder(number=number, root=root, internal=internal)
