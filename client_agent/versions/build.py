"""From a verified part to a finished tree in a folder of its own (docs/agent.md, 10, 4 to 8).

The part is a payload, or a delta from the tree of another version that is here.

Usually in a child process of low priority, so that neither the app's interpreter lock nor its
memory is used up; in this process where there is no Python to start, or when asked to.

Not here: choosing the folder and publishing it (``install``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from client_agent import platforms
from client_agent.clock import Clock
from client_agent.disk.folder import Folder
from client_agent.disk.os_errors import disk_errors
from client_agent.errors import (
    AgentError,
    Category,
    Code,
    DeltaError,
    DiskError,
    InternalError,
    PayloadError,
    TrustError,
)
from client_agent.platforms import Platform, PlatformSignatureError
from client_agent.versions.delta import apply_delta, open_delta
from client_agent.versions.tree import BaseTree, read_manifest, verify_tree
from client_agent.versions.tree_writer import Progress, TreeWriter
from client_agent.versions.unpack import open_payload, unpack
from rollout.manifest import MAX_TREE_BYTES, Manifest
from rollout.model import Release
from rollout.versions import render_version

_NICE = 10  # of 19
_TELL_BYTES = 1024**2  # a line to the parent for each of these
_LEAST_SECONDS = 900.0  # and a second for each MiB: no disk is as slow, and no xz

# The child gets our search path by argument: -I keeps the environment and the folder out.
_CHILD = (
    "import json, sys; message = json.loads(sys.argv[1]); sys.path[:] = message['path']; "
    "from client_agent.versions.build import child_main; child_main(message)"
)
_ERRORS: dict[Category, type[AgentError]] = {
    kind.category: kind for kind in (DeltaError, DiskError, PayloadError, TrustError)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The finished tree in *folder* that a delta starts from, and the delta as the document says.

    ``output_bytes``: the sizes of all files that the delta makes, together;
    ``max_file_bytes``: the largest of them.
    """

    folder: str
    manifest_sha256: str
    output_bytes: int
    max_file_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What the tree must be, as the release document says.

    ``base`` is None when the part is a payload; otherwise it is a delta from there.
    """

    app: str
    platform: str
    version: str
    manifest_sha256: str
    tree_bytes: int
    files: int
    spki: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    base: Base | None = None
    hard_links: bool = False


def order_for(
    release: Release, *, base: Base | None = None, hard_links: bool = False
) -> BuildOrder:
    """Return the order for the release's payload, or for a delta from *base*."""
    return BuildOrder(
        app=release.app,
        platform=release.platform,
        version=render_version(release.version),
        manifest_sha256=release.artifact.manifest_sha256,
        tree_bytes=release.artifact.tree_bytes,
        files=release.artifact.files,
        spki=release.authenticode_spki,
        teams=release.apple_team_id,
        base=base,
        hard_links=hard_links,
    )


def _check_order(manifest: Manifest, order: BuildOrder) -> None:
    """Return when the manifest is for what was ordered; its digest alone says as much."""
    found = (
        manifest.app,
        manifest.platform,
        render_version(manifest.version),
        manifest.tree_bytes,
        len(manifest.files),
    )
    if found != (order.app, order.platform, order.version, order.tree_bytes, order.files):
        raise PayloadError(Code.MANIFEST_MISMATCH, "not the release's app, version or size")


def build_tree(
    part: BinaryIO, order: BuildOrder, folder: Path, platform: Platform, progress: Progress
) -> None:
    """Make the tree in *folder*, which is empty, and return when it is durable and verified.

    Raises:
        PayloadError: *part* is a payload, and not what was ordered.
        DeltaError: *part* is a delta, and it or its base does not make what was ordered.
        TrustError: ``platform_signature``.
        DiskError: it could not be written or read back.
    """
    with disk_errors(), Folder.opened(folder, by_descriptor=platform.by_descriptor) as root:
        if order.base is None:
            _from_payload(part, order, root, platform, progress)
            manifest = verify_tree(folder, order.manifest_sha256, platform, from_medium=True)
        else:
            try:
                _from_delta(part, order, order.base, root, platform, progress)
                manifest = verify_tree(folder, order.manifest_sha256, platform, from_medium=True)
            except PayloadError as error:  # another way to the same tree is left
                raise DeltaError(error.code, error.detail) from error
    signers = {"windows": order.spki, "macos": order.teams}.get(platform.name, ())
    if signers:
        program = folder / manifest.entry_point
        try:
            platform.check_signature(program, spki=order.spki, teams=order.teams)
        except PlatformSignatureError as error:
            raise TrustError(Code.PLATFORM_SIGNATURE, str(error)) from error


def _from_payload(
    part: BinaryIO, order: BuildOrder, root: Folder, platform: Platform, progress: Progress
) -> None:
    opened = open_payload(part, manifest_sha256=order.manifest_sha256)
    _check_order(opened.manifest, order)
    unpack(opened, TreeWriter(root, opened.manifest, platform, progress))


def _from_delta(
    part: BinaryIO,
    order: BuildOrder,
    base: Base,
    root: Folder,
    platform: Platform,
    progress: Progress,
) -> None:
    old = Path(base.folder)
    manifest = read_manifest(old, base.manifest_sha256)
    opened = open_delta(
        part,
        manifest,
        from_manifest=base.manifest_sha256,
        to_manifest=order.manifest_sha256,
        output_bytes=base.output_bytes,
        max_file_bytes=base.max_file_bytes,
    )
    _check_order(opened.manifest, order)
    links = order.hard_links
    writer = TreeWriter(root, opened.manifest, platform, progress, hard_links=links)
    with Folder.opened(old, by_descriptor=platform.by_descriptor) as folder:
        apply_delta(opened, BaseTree(folder, manifest, platform), writer)


def seconds_for(order: BuildOrder) -> float:
    """Return how long it may take. A delta of a few hundred bytes could ask for days of seeking."""
    return _LEAST_SECONDS + min(order.tree_bytes, MAX_TREE_BYTES) / 1024**2


def _late(order: BuildOrder) -> AgentError:
    kind = PayloadError if order.base is None else DeltaError
    return kind(Code.OVER_CAP, f"not built after {seconds_for(order):.0f} s")


def build_here(
    part: BinaryIO,
    order: BuildOrder,
    folder: Path,
    platform: Platform,
    clock: Clock,
    progress: Progress,
) -> None:
    """Do what ``build_tree`` does, and give up when it takes too long.

    Raises:
        AgentError: as ``build_tree``; ``over_cap`` when it was not done in time.
    """
    give_up = clock.monotonic() + seconds_for(order)

    def told(written: int, total: int) -> None:
        if clock.monotonic() > give_up:
            raise _late(order)
        progress(written, total)

    build_tree(part, order, folder, platform, told)


def can_build_apart() -> bool:
    """Return whether this process can start another Python: not when it is a frozen app.

    Some freezers only name a Python that is not there.
    """
    python = Path(sys.executable or "")
    is_python = python.name.lower().startswith(("python", "pypy")) and os.access(python, os.X_OK)
    return is_python and not getattr(sys, "frozen", False)


def build_apart(part: BinaryIO, order: BuildOrder, folder: Path, progress: Progress) -> None:
    """Do what ``build_here`` does in a child process, with this system's own platform.

    Raises:
        AgentError: as ``build_here``; ``InternalError`` when the child ended without an answer.
    """
    message = json.dumps({"path": _search_path(), "folder": str(folder), "order": asdict(order)})
    answer: dict[str, str] = {}
    with (
        disk_errors(),
        subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD, message],
            stdin=part,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        ) as child,
    ):
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(seconds_for(order), give_up)
        timer.daemon = True
        try:
            timer.start()
            for line in child.stdout or ():
                if not line.endswith(b"\n"):  # it died while telling
                    break
                answer = json.loads(line)
                if "written" in answer:
                    progress(int(answer["written"]), order.tree_bytes)
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
    if answer.get("done") and child.returncode == 0:
        return
    if late.is_set():
        raise _late(order)
    kind = _ERRORS.get(Category(answer["category"])) if "category" in answer else None
    if kind is None:
        raise InternalError(Code.INTERNAL, f"unpacking ended with {child.returncode}")
    raise kind(Code(answer["code"]), answer["detail"])


def _search_path() -> list[str]:
    """Return where modules come from: never from the working folder, where anything may lie."""
    absolute = [entry for entry in sys.path if Path(entry).is_absolute()]
    return [*absolute, str(Path(__file__).resolve().parents[2])]


def _order_of(values: dict[str, Any]) -> BuildOrder:
    base = values.pop("base")
    return BuildOrder(**values, base=Base(**base) if base else None)


def child_main(message: dict[str, Any]) -> None:
    """Build what *message* orders from the part on standard input; tell by lines of JSON."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    order = _order_of(message["order"])
    parent = os.getppid()
    told = 0

    def tell(**answer: object) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def progress(written: int, total: int) -> None:
        nonlocal told
        if os.getppid() != parent:
            sys.exit(1)  # nobody is left who would use this
        if written >= min(told + _TELL_BYTES, total):
            told = written
            tell(written=written)

    try:
        with open(0, "rb", closefd=False) as part:
            build_tree(part, order, Path(message["folder"]), platforms.current(), progress)
    except AgentError as error:
        tell(category=error.category, code=error.code, detail=error.detail)
    else:
        tell(done=True)
