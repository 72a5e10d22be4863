"""Prove that nothing leaves an install stuck: ``python -m tests.crash [--sample N] [PART …]``.

JSON lines on standard output, progress and what failed on standard error; it exits 1 when a
number misses its limit.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import get_context

from tests.crash import controls, damage, faults, full_disk, power_cut, starts, two_agents, workshop
from tests.crash.lines import Job, Tally, added, measured, render

PARTS = (faults, power_cut, full_disk, damage, two_agents, starts, controls)
LEAST_POINTS = 200  # by the design
_SHOWN = 20  # of what failed in each part


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument(
        "--sample", type=int, default=0, metavar="N", help="so many cases of each kind, not all"
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="words of what to do alone")
    options = parser.parse_args(argv)
    found: dict[str, list[Tally]] = {}
    for job, tally, seconds in done(list(jobs(options.sample, options.parts)), options.sample):
        found.setdefault(job.part, []).append(tally)
        said = tally.skipped or f"{tally.cases} cases, {len(tally.faults)} faults"
        sys.stderr.write(f"{seconds:6.1f} s  {job.part}: {job.name}: {said}\n")
    kept = [_print(part, added(tallies), options.sample) for part, tallies in found.items()]
    return 0 if all(kept) else 1


def jobs(sample: int, wanted: Sequence[str]) -> Iterator[Job]:
    """Yield the jobs that bear one of the words *wanted*; without any, all."""
    for part in PARTS:
        for job in part.jobs(sample):
            if not wanted or any(word in f"{job.part}: {job.name}" for word in wanted):
                yield job


def done(jobs: list[Job], sample: int) -> Iterator[tuple[Job, Tally, float]]:
    """Yield jobs with what they found, and their seconds; a sample needs no second process."""
    with workshop.a_place() as place:
        if sample:
            workshop.open_in(place)
            yield from map(measured, jobs)
            return
        # A fork would copy the locks of whatever threads are running.
        with get_context("spawn").Pool(os.cpu_count() or 1, workshop.open_in, (place,)) as pool:
            yield from pool.imap_unordered(measured, jobs)


def _print(part: str, tally: Tally, sample: int) -> bool:
    """Print the lines of a part, and what failed; return whether its limits are kept."""
    for fault in tally.faults[:_SHOWN]:
        sys.stderr.write(f"{part}: {fault}\n")
    name, lines, skipped = part.replace(" ", "_"), [], tally.skipped
    cases, failed = (None, None) if skipped else (tally.cases, len(tally.faults))
    if part.startswith((power_cut.CONTROL, controls.PART)):
        lines = [(f"{name}_noticed", cases, 1, True), (f"{name}_missed", failed, 0, False)]
    elif part == starts.PART:
        lines = [("false_fallbacks", failed, 0, False)]
    else:
        least = LEAST_POINTS if part == faults.PART and not sample else 1
        lines = [(f"{name}_total", cases, least, True), (f"{name}_stuck", failed, 0, False)]
    kept = True
    for title, value, limit, at_least in lines:
        ok, line = render(title, value, limit, at_least=at_least, skipped=skipped)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        kept &= ok
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
