"""The rival: native HDiffPatch with LZMA2 at its highest level, over the same trees.

It has no trees, so it gets the strongest of three ways to hand it some: both trees as one file
each, in the order of their paths, with a dictionary of 8 or of 64 MiB; or file by file, each from
the one of the same path or from nothing, whichever is smaller. Manifests are part of the trees, as
they are on a machine; links and the files' order the rival gets for nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hdiffpatch

from benchmarks.agent.measured import measured
from update_server.cli.deltas.making import tree_in
from update_server.cli.deltas.steps import Tree

_MANIFEST = Path(".serinus") / "manifest"
_WINDOWS = (23, 26)  # powers of two


def rival_bytes(old: Path, new: Path) -> dict[str, int]:
    """Return how long the rival's delta is, by the way it was made."""
    body = "rival.child_main(message)"
    message = {"old": str(old), "new": str(new)}
    return measured("from benchmarks.agent import rival", body, message).answer


def child_main(message: Mapping[str, Any]) -> None:
    """Print the lengths for the trees that *message* names."""
    old, new = (tree_in(Path(message[name])) for name in ("old", "new"))
    found = {"files": sum(_file_bytes(old, new, path) for path in _paths(new))}
    one, other = (b"".join(_content(tree, path) for path in _paths(tree)) for tree in (old, new))
    delta = hdiffpatch.diff(one, other, validate=False)
    for window in _WINDOWS:
        best = hdiffpatch.Lzma2Config(level=9, window=window)
        found[f"whole_{window}"] = len(hdiffpatch.recompress(delta, best))
    sys.stdout.write(json.dumps(found) + "\n")


def _paths(tree: Tree) -> list[str]:
    return [str(_MANIFEST), *(entry.path for entry in tree.manifest.files)]


def _content(tree: Tree, path: str) -> bytes:
    return (tree.root / path).read_bytes()


def _file_bytes(old: Tree, new: Tree, path: str) -> int:
    now = _content(new, path)
    was = _content(old, path) if (old.root / path).is_file() else b""
    if was == now:
        return 0
    best = hdiffpatch.Lzma2Config(level=9, window=_WINDOWS[0])
    return min(len(hdiffpatch.diff(base, now, best, validate=False)) for base in {was, b""})
