"""Measure what pages cost: JSON lines on standard output, progress on standard error.

It exits 1 when one number does not keep its limit. TMPDIR says on which disk it is measured.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.dashboard import pages, reads
from benchmarks.evidence.line import Job, measure

# One job, since the store takes minutes to build: first what pages read, then what they are.
JOBS = (Job(name="reads and pages", run=partial(reads.lines, also=pages.lines_of)),)


def main(wanted: Sequence[str]) -> int:
    """Print the lines of the jobs whose names hold a word of *wanted*; return 0 if all are ok."""
    missed = 0
    for job in JOBS:
        if wanted and not any(word in job.name for word in wanted):
            continue
        name, lines = measure(job)
        print(f"{lines[0].seconds:6.0f} s  {name}", file=sys.stderr, flush=True)
        for line in lines:
            print(line.render(), flush=True)
            missed += not line.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
