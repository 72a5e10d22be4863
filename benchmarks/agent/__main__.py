"""Measure what the agent promises: JSON lines on standard output, progress on standard error.

It exits 1 when one number does not keep its limit. Two processes share the work; the launcher's
time is taken last, when nothing else of ours runs. The first run downloads some 100 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks.agent import deltas, faults, large
from benchmarks.agent.pairs import PAIRS, trees
from benchmarks.agent.work import Work, measure
from benchmarks.evidence.line import Line, at_most

PROCESSES = 2
_FUZZ, _STARTS = "fuzz_accepted", "false_fallbacks"


def work() -> list[Work]:
    """Return all work, what takes long first."""
    seeds = range(1, faults.PARTS + 1)
    return [
        *(Work(pair.name, partial(deltas.find, pair)) for pair in PAIRS),
        Work("large files", large.lines),
        *(Work(f"{_FUZZ} {seed}", partial(faults.fuzzed, seed)) for seed in seeds),
        *(Work(f"{_STARTS} {seed}", partial(faults.left, seed)) for seed in seeds),
        Work("resume_waste_bytes_per_kill", faults.resumed),
        Work("bad_delta_to_full_same_run", faults.made_up),
    ]


def found(wanted: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield what the work whose name holds one of the words *wanted* finds; without any, all."""

    def is_wanted(name: str) -> bool:
        return not wanted or any(word in name for word in wanted)

    jobs = [some for some in work() if is_wanted(some.name)]
    for pair in PAIRS:  # first, for two would build one environment twice
        if is_wanted(pair.name):
            trees(pair)
    spawn = get_context("spawn")  # a process for each job: some leave servers running
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(measure, some) for some in jobs]):
            some, what, seconds = done.result()
            print(f"{seconds:6.0f} s  {some.name}", file=sys.stderr, flush=True)
            yield some.name, what
    if is_wanted("launcher_overhead_vs_interpreter"):
        yield "launcher", faults.launched()


def lines(wanted: Sequence[str]) -> Iterator[Line]:
    """Yield the lines: at once where one work tells them, else when all of it is done."""
    pairs: list[deltas.Found] = []
    counts: dict[str, list[int]] = {}
    for name, what in found(wanted):
        if isinstance(what, deltas.Found):
            pairs.append(what)
            yield from deltas.lines_of(what)
        elif isinstance(what, int):
            counts.setdefault(name.split()[0], []).append(what)
        else:
            yield from what
    totals = {_FUZZ: faults.MUTATIONS, _STARTS: faults.STARTS}
    for name, each in counts.items():
        yield at_most(name, sum(each), 0, n=totals[name] * len(each) // faults.PARTS, seed=1)
    if pairs:
        yield from deltas.lines(pairs)


def main(wanted: Sequence[str]) -> int:
    """Print the lines of the work *wanted*; return 0 if all of them are ok, else 1."""
    missed = 0
    for line in lines(wanted):
        print(line.render(), flush=True)
        missed += not line.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
