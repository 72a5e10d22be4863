"""Two trees that differ in every way that a delta knows, made as a publisher's are."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.version import Version

from client_agent import platforms
from client_agent.versions.build import Base, BuildOrder, build_tree
from tests.cli.sources import APP, a_folder
from update_server.cli.deltas.steps import Tree
from update_server.cli.deltas.writer import WrittenDelta
from update_server.cli.payload import make_payload

Content = dict[str, bytes | str | None]


def noise(seed: int, size: int) -> bytes:
    """Return bytes that do not pack."""
    return random.Random(seed).randbytes(size)


OLD: Content = {
    "a-kept": noise(1, 400),
    "app": APP,
    "changed": noise(2, 9_000) + bytes(6_000) + noise(3, 1_000),
    "empty-now": b"not empty",
    "empty-then": b"",
    "gone/lib-1.so": noise(4, 3_000),
    "link": "-> a-kept",
    "moved/from": noise(5, 500),
    "old-folder": None,
    "tool": noise(6, 800),
    "z-kept": b"z",
    "z-link": "-> z-kept",
}
NEW: Content = {
    "a-kept": noise(1, 400),
    "app": APP,
    "changed": noise(2, 2_000) + b"inserted" + noise(2, 9_000)[2_050:] + bytes(6_000) + b"end",
    "empty-now": b"",
    "empty-then": noise(7, 50),
    "gone/lib-2.so": noise(4, 1_500) + noise(8, 10) + noise(4, 3_000)[1_500:],
    "link": "-> z-kept",
    "moved/to": noise(5, 500),
    "new-folder": None,
    "new": noise(9, 700),
    "tool": noise(6, 800) + b"!",
    "z-kept": b"z",
    "z-link": "-> z-kept",
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A tree that the agent's own code made from a payload, and the order it had."""

    tree: Tree
    order: BuildOrder
    payload: Path


def made(content: Content, version: str, folder: Path) -> Made:
    """Make a tree with this content."""
    source = a_folder(folder / f"{version}-source", content)
    payload = folder / f"{version}.srn"
    found = make_payload(
        source, payload, app="demo", platform="linux-x86_64", version=Version(version),
        entry_point="app",
    )  # fmt: skip
    order = BuildOrder(
        app="demo",
        platform="linux-x86_64",
        version=version,
        manifest_sha256=found.manifest_sha256,
        tree_bytes=found.tree_bytes,
        files=found.files,
    )
    root = folder / version
    build(payload, order, root)
    return Made(tree=Tree(root=root, manifest=found.manifest), order=order, payload=payload)


def applied(delta: Path, written: WrittenDelta, old: Made, new: Made, folder: Path) -> Path:
    """Have an agent make the new tree of the old one and the delta; return where it is."""
    base = Base(
        folder=str(old.tree.root),
        manifest_sha256=old.tree.sha256,
        output_bytes=written.output_bytes,
        max_file_bytes=written.max_file_bytes,
    )
    build(delta, BuildOrder(**{**asdict(new.order), "base": base}), folder)
    return folder


def build(part: Path, order: BuildOrder, folder: Path) -> None:
    """Make a tree as agents do; they verify it, too."""
    folder.mkdir()
    with part.open("rb") as file:
        build_tree(file, order, folder, platforms.current(), lambda _written, _total: None)
