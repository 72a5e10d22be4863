"""Measure all acceptance numbers: JSON lines on standard output, progress on standard error.

It exits 1 when one number does not keep its limit. Two processes share the work. Agreement comes
first, for nothing that the replica measures means anything without it; what is timed comes last,
when nothing else of ours runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context

# One thread for each process: the jobs are what runs side by side. Read when numpy is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from benchmarks.evidence import (
    agreement,
    cost,
    delay,
    end_to_end,
    false_pauses,
    intervals,
    no_data,
    promotion,
    replays,
    sample_ratio,
    seven_metrics,
    silence,
    silence_engine,
    study_agreement,
)
from benchmarks.evidence.line import Job, Line, measure

PROCESSES = 2
# Long jobs first, so that both processes end at about the same time.
SIDE_BY_SIDE = (
    silence_engine,
    end_to_end,
    replays,
    promotion,
    false_pauses,
    seven_metrics,
    silence,
    sample_ratio,
    intervals,
    delay,
    no_data,
)


def measured(wanted: Sequence[str]) -> Iterator[tuple[str, list[Line]]]:
    """Yield names and lines of the jobs that bear one of the words *wanted*, as they are done.

    Without any word these are all jobs. Agreement is always among them.
    """

    def is_wanted(job: Job) -> bool:
        return not wanted or any(word in job.name for word in wanted)

    yield from map(measure, [*agreement.jobs(), *study_agreement.jobs()])
    jobs = [job for group in SIDE_BY_SIDE for job in group.jobs() if is_wanted(job)]
    # A fork would copy the locks of whatever threads numpy has started.
    with get_context("spawn").Pool(PROCESSES) as pool:
        yield from pool.imap_unordered(measure, jobs)
    yield from map(measure, filter(is_wanted, cost.jobs()))


def main(wanted: Sequence[str]) -> int:
    """Print the lines of the jobs *wanted*; return 0 if all of them are ok, else 1."""
    began, kept, missed, seconds = time.perf_counter(), 0, 0, 0.0
    for name, lines in measured(wanted):
        for line in lines:
            print(line.render(), flush=True)
            kept += line.ok
            missed += not line.ok
        seconds += lines[0].seconds
        print(f"{time.perf_counter() - began:6.0f} s  {name}", file=sys.stderr, flush=True)
    print(f"{kept} of {kept + missed} lines ok, {seconds:.0f} s of processor time", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
