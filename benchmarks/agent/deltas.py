"""Deltas between real releases: how long they are, what making and applying them takes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.agent.installing import by_delta, install, installed, packed
from benchmarks.agent.measured import Measured, bare_bytes, measured
from benchmarks.agent.pairs import Pair, trees
from benchmarks.agent.rival import rival_bytes
from benchmarks.evidence.line import Line, at_most, report
from update_server.cli.deltas.steps import Tree
from update_server.cli.deltas.writer import WrittenDelta

# Below that, what the packer and the interpreter take by themselves is most of it.
LARGE_TREE_BYTES = 30 * 1000**2
_NO_LIMIT = 1 << 40  # the peak is measured, not limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was measured of one pair. Peaks are over the bare interpreter."""

    pair: Pair
    tree_bytes: int
    full_bytes: int
    delta_bytes: int
    rival_bytes: int
    rival_way: str
    make_peak_bytes: int
    make_seconds: float
    apply_peak_bytes: int
    apply_seconds: float
    unpack_peak_bytes: int
    unpack_seconds: float
    disk: float

    @property
    def delta_vs_best(self) -> float:
        """The delta's length over the rival's."""
        return self.delta_bytes / self.rival_bytes


def find(pair: Pair) -> Found:
    """Measure one pair."""
    sources = trees(pair)
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as place:
        return find_between(pair, sources, Path(place))


def find_between(pair: Pair, sources: tuple[Path, Path], folder: Path) -> Found:
    """Measure a delta between the trees *sources*."""
    bare = bare_bytes()
    old = installed(sources[0], "1.0.0", folder / "old")
    full = packed(sources[1], "1.1.0", folder)
    on_disk = full.order.tree_bytes + full.manifest_bytes
    disk = _Disk(folder / "new", full.length_bytes, on_disk)
    unpacked = install(full.payload, full.order, folder / "new", meanwhile=disk.look)
    new = installed(sources[1], "1.1.0", folder / "same")
    delta = folder / "delta.pb1"
    written, made = make(old, new, delta)
    order = by_delta(full.order, old, written)
    disk_too = _Disk(folder / "patched", written.length_bytes, on_disk)
    applied = install(delta, order, folder / "patched", meanwhile=disk_too.look)
    rival = rival_bytes(old.root, new.root)
    way = min(rival, key=lambda name: rival[name])
    return Found(
        pair=pair,
        tree_bytes=full.order.tree_bytes,
        full_bytes=full.length_bytes,
        delta_bytes=written.length_bytes,
        rival_bytes=rival[way],
        rival_way=way,
        make_peak_bytes=made.peak_bytes - bare,
        make_seconds=made.seconds,
        apply_peak_bytes=applied.peak_bytes - bare,
        apply_seconds=applied.seconds,
        unpack_peak_bytes=unpacked.peak_bytes - bare,
        unpack_seconds=unpacked.seconds,
        disk=max(disk.share, disk_too.share),
    )


def make(old: Tree, new: Tree, out: Path) -> tuple[WrittenDelta, Measured]:
    """Make a delta as the publisher's command does, in a process of its own."""
    message = {"old": str(old.root), "new": str(new.root), "out": str(out), "memory": _NO_LIMIT}
    load = "from update_server.cli.deltas.making import child_main"
    done = measured(load, "child_main(message)", message)
    return WrittenDelta(**done.answer), done


class _Disk:
    """The most that an install took, over its part and the finished tree."""

    def __init__(self, root: Path, part_bytes: int, tree_bytes: int) -> None:
        self._root = root
        self._part_bytes = part_bytes
        self._tree_bytes = tree_bytes
        self._most = 0

    def look(self) -> None:
        """Count what is there now."""
        found = 0
        for folder, _, names in os.walk(self._root):
            for name in names:
                with suppress(FileNotFoundError):
                    found += (Path(folder) / name).lstat().st_size
        self._most = max(self._most, found)

    @property
    def share(self) -> float:
        return (self._most + self._part_bytes) / (self._tree_bytes + self._part_bytes)


def lines_of(one: Found) -> list[Line]:
    """Return what is told of one pair."""
    name = one.pair.name
    return [
        report(f"delta_bytes: {name}", one.delta_bytes, n=1),
        report(f"delta_vs_full: {name}", one.delta_bytes / one.full_bytes, n=1),
        report(f"delta_vs_best: {name}, by {one.rival_way}", one.delta_vs_best, n=1),
        report(f"delta_make_seconds: {name}", one.make_seconds, n=1),
        report(f"delta_make_rss_vs_tree: {name}", one.make_peak_bytes / one.tree_bytes, n=1),
        report(f"delta_apply_cpu_vs_full: {name}", one.apply_seconds / one.unpack_seconds, n=1),
        report(f"peak_disk_vs_tree: {name}", one.disk, n=1),
    ]


def lines(found: Sequence[Found]) -> list[Line]:
    """Return what is told of all pairs together."""
    n = len(found)
    to_best = [each.delta_vs_best for each in found]
    to_full = [each.delta_bytes / each.full_bytes for each in found]
    told = [
        at_most("delta_vs_best_median", median(to_best), 1.05, n=n),
        at_most("delta_vs_best_worst", max(to_best), 1.20, n=n),
        at_most("delta_vs_full_median", median(to_full), 0.10, n=n),
        at_most("peak_disk_vs_tree", max(each.disk for each in found), 1.1, n=n),
    ]
    large = [each for each in found if each.tree_bytes >= LARGE_TREE_BYTES]
    if large:
        made = [each.make_peak_bytes / each.tree_bytes for each in large]
        applied = [each.apply_seconds / each.unpack_seconds for each in large]
        told += [
            at_most("delta_make_rss_vs_tree", median(made), 6, n=len(large)),
            at_most("delta_apply_cpu_vs_full", max(applied), 4.0, n=len(large)),
        ]
    return told
