"""What faults cost: killed downloads, bad deltas, hostile parts, long use, and the launcher."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.evidence.line import Line, at_least, at_most
from tests.agent.delta_world import made_up_for
from tests.agent.kills import kill_downloads
from tests.agent.mutations import run_mutations
from tests.agent.trees import an_installation, install, pack
from tests.crash.starts import false_fallbacks

MUTATIONS, STARTS = 10_000, 10_000
"""In all; each is done in parts, so that both processors have some."""

PARTS = 4
_KILLS = 20
_BAD_DELTAS = 60
_LAUNCHES = 50
_PROGRAM = Path("/bin/true")  # it does nothing, and that quickly


def fuzzed(seed: int, count: int = MUTATIONS // PARTS) -> int:
    """Return how many mutated parts crashed, or passed with other content than was signed."""
    counts = run_mutations(count, seed)
    return counts.accepted_other + sum(counts.crashed.values())


def left(seed: int, count: int = STARTS // PARTS) -> int:
    """Return how often a good version was left."""
    return false_fallbacks(count, seed)


def resumed(kills: int = _KILLS) -> list[Line]:
    """Return how many bytes a killed download has to fetch again."""
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        found = kill_downloads(Path(folder), kills=kills, seed=1, size_bytes=32 * 1024**2)
    return [at_most("resume_waste_bytes_per_kill", found.per_kill_bytes, 1024**2, n=kills, seed=1)]


def made_up(count: int = _BAD_DELTAS) -> list[Line]:
    """Return the share of spoilt deltas whose version was there at the end of the same run."""
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        done = made_up_for(Path(folder), count, seed=1)
    return [at_least("bad_delta_to_full_same_run", done / count, 1.0, n=count, seed=1)]


def launched(count: int = _LAUNCHES) -> list[Line]:
    """Return the processor time of a start by the launcher, over that of a bare interpreter."""
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        installation = an_installation(Path(folder))
        install(installation, pack({"app": _PROGRAM.read_bytes()}))
        by_launcher = installation.launcher_command([], wait=False)
        bare = [sys.executable, "-I", "-c", "pass"]
        times = [(_seconds(by_launcher), _seconds(bare)) for _ in range(count)]
    ours, theirs = (median(each) for each in zip(*times, strict=True))
    return [at_most("launcher_overhead_vs_interpreter", ours / theirs, 2.0, n=count)]


def _seconds(command: Sequence[str]) -> float:
    child = os.posix_spawn(command[0], list(command), os.environ)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime
