"""Trees as they lie on a machine, and the agent's own code that makes them, measured."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from benchmarks.agent.measured import Measured, measured
from client_agent.versions.build import Base, BuildOrder
from rollout.manifest import EntryKind, ManifestEntry, manifest_for, render_manifest
from rollout.names import RESERVED_ROOT
from update_server.cli.deltas.steps import Tree
from update_server.cli.deltas.writer import WrittenDelta
from update_server.cli.payload import make_payload

APP, PLATFORM = "bench", "linux-x86_64"
_LOAD = "from client_agent.versions.build import child_main"


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload, and the order that an agent has of it."""

    payload: Path
    order: BuildOrder
    manifest_bytes: int

    @property
    def length_bytes(self) -> int:
        """The length of the payload."""
        return self.payload.stat().st_size


def packed(source: Path, version: str, folder: Path) -> Packed:
    """Make the payload of *source* in *folder*."""
    payload = folder / f"{version}.srn"
    made = make_payload(
        source,
        payload,
        app=APP,
        platform=PLATFORM,
        version=Version(version),
        entry_point=_entry_point(source),
    )
    order = BuildOrder(
        app=APP,
        platform=PLATFORM,
        version=version,
        manifest_sha256=made.manifest_sha256,
        tree_bytes=made.tree_bytes,
        files=made.files,
    )
    return Packed(payload, order, len(render_manifest(made.manifest)))


def installed(source: Path, version: str, root: Path) -> Tree:
    """Return a copy of *source* as an installed version; quicker than by way of a payload."""
    shutil.copytree(source, root, symlinks=True)
    start = _entry_point(source)
    entries = [_entry(source, path, start) for path in sorted(source.rglob("*"))]
    manifest = manifest_for(
        app=APP,
        platform=PLATFORM,
        version=Version(version),
        entry_point=start,
        entries=[entry for entry in entries if entry is not None],
    )
    (root / start).chmod(0o755)
    (root / RESERVED_ROOT).mkdir()
    (root / RESERVED_ROOT / "manifest").write_bytes(render_manifest(manifest))
    return Tree(root=root, manifest=manifest)


def install(part: Path, order: BuildOrder, root: Path, **more: Any) -> Measured:
    """Make a tree of a payload or delta in the new folder *root*, as agents do."""
    root.mkdir()
    message = {"folder": str(root), "order": asdict(order)}
    done = measured(_LOAD, "child_main(message)", message, part=part, **more)
    if not done.answer.get("done"):
        raise RuntimeError(f"the agent refuses {part.name}: {done.answer}")
    return done


def by_delta(order: BuildOrder, old: Tree, written: WrittenDelta) -> BuildOrder:
    """Return *order* for a delta from *old*."""
    base = Base(
        folder=str(old.root),
        manifest_sha256=old.sha256,
        output_bytes=written.output_bytes,
        max_file_bytes=written.max_file_bytes,
    )
    return BuildOrder(**{**asdict(order), "base": base})


def _entry_point(source: Path) -> str:
    """Return the same file in each release of a project, wherever that is possible."""
    files = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.py"))
    every = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    return (files or every)[0]


def _entry(source: Path, path: Path, start: str) -> ManifestEntry | None:
    name = path.relative_to(source).as_posix()
    if path.is_symlink():
        return ManifestEntry(kind=EntryKind.LINK, path=name, target=str(path.readlink()))
    if path.is_dir():
        empty = not any(path.iterdir())
        return ManifestEntry(kind=EntryKind.FOLDER, path=name) if empty else None
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ManifestEntry(
        kind=EntryKind.FILE,
        path=name,
        mode=0o755 if name == start or path.stat().st_mode & 0o111 else 0o644,
        size_bytes=path.stat().st_size,
        sha256=sha256,
    )
