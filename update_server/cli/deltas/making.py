"""The two steps that take memory, each in a process of its own: making trees, making a delta.

Trees are made by the agent's own code, as on every machine: so what is published was installed
once. That code is not imported here; it runs in the child.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout.manifest import parse_manifest
from rollout.names import RESERVED_ROOT
from update_server.cli.child import ask_child, limit_growth
from update_server.cli.deltas.steps import NoDeltaError, Tree
from update_server.cli.deltas.writer import WrittenDelta, write_delta

APPLY_MEMORY_BYTES = 96 * 1024**2
"""Of address space, beyond what the agent's code takes by itself."""

MAKE_SECONDS = 15 * 60
MAKE_TIMES = 10
"""As many times the size of the largest file may making a delta take of memory."""

_MAKE_LEAST_BYTES = 256 * 1024**2  # packing takes 96 MiB whatever the files' sizes
_BUILD_SECONDS = 60 * 60
_MANIFEST = "manifest"

_BUILD = (
    "from client_agent.versions.build import child_main; "
    "limit_growth(message['memory']); child_main(message)"
)
_MAKE = "from update_server.cli.deltas.making import child_main; child_main(message)"


def build_tree(part: Path, order: Mapping[str, Any], folder: Path) -> Tree:
    """Make the tree that *order* names from a payload or delta, as agents do, in a new *folder*.

    Raises:
        NoDeltaError: An agent would refuse it, or needs more than ``APPLY_MEMORY_BYTES``.
    """
    folder.mkdir()
    message = {"folder": str(folder), "order": order, "memory": APPLY_MEMORY_BYTES}
    answer = ask_child(_BUILD, message, seconds=_BUILD_SECONDS, part=part)
    if not answer.get("done"):
        why = answer.get("died") or f"{answer['category']}/{answer['code']}: {answer['detail']}"
        raise NoDeltaError(f"an agent could not use {part.name}: {why}")
    return tree_in(folder)


def tree_in(folder: Path) -> Tree:
    """Return the tree in *folder*, which an agent's code made and verified."""
    spelled = (folder / RESERVED_ROOT / _MANIFEST).read_bytes()
    return Tree(root=folder, manifest=parse_manifest(spelled))


def make_delta(old: Tree, new: Tree, out: Path) -> WrittenDelta:
    """Write a delta from *old* to *new* to the new file *out*.

    Raises:
        NoDeltaError: There is none within the format's limits, or it took too much to make one.
    """
    largest = max(file.size_bytes for file in old.manifest.files + new.manifest.files)
    message = {
        "old": str(old.root),
        "new": str(new.root),
        "out": str(out),
        "memory": _MAKE_LEAST_BYTES + MAKE_TIMES * largest,
    }
    answer = ask_child(_MAKE, message, seconds=MAKE_SECONDS)
    if why := answer.get("died") or answer.get("refused"):
        out.unlink(missing_ok=True)
        raise NoDeltaError(f"making it was given up: {why}")
    return WrittenDelta(**answer)


def child_main(message: Mapping[str, Any]) -> None:
    """Make the delta that *message* asks for; tell what it is by a line of JSON."""
    limit_growth(message["memory"])
    answer: dict[str, Any]
    try:
        written = write_delta(
            tree_in(Path(message["old"])), tree_in(Path(message["new"])), Path(message["out"])
        )
        answer = {
            "output_bytes": written.output_bytes,
            "max_file_bytes": written.max_file_bytes,
            "length_bytes": written.length_bytes,
        }
    except NoDeltaError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "it takes too much memory"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
