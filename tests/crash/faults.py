"""Killed, or refused by the disk, at every call that changes something: an app always starts.

After each fault the launcher must start a complete, verified version, and the agent, run again
as it is on later days, must bring the new one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from tests.crash import workshop
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.publisher import NEW, REISSUED
from tests.crash.steps import Step
from tests.crash.traced import Point, injected, missing, points_of
from tests.crash.world import Here

FAULTS = {
    "killed": "signal=KILL",
    "disk full": "error=ENOSPC",
    "disk broken": "error=EIO",
    "disk dead": "error=EIO on",
}
ONCE = ("killed", "disk full", "disk broken")
LAUNCHES = frozenset(name for name in workshop.STEPS if name.startswith(("start", "fall")))
PART = "crash points"
_EVERY = {fault: 4 if fault == "disk dead" else 1 for fault in FAULTS}
_ERRORS, _OFTEN = ("disk full", "disk broken"), 4  # more often than there are tries


def jobs(sample: int) -> Iterator[Job]:
    """Yield a job for each step and fault; *sample*: so many cases of each step, 0 for all."""
    for step in workshop.STEPS:
        if sample:
            yield Job(PART, step, partial(run, step, ONCE, sample))
            continue
        for fault in FAULTS:
            if fault == "disk dead" and step in LAUNCHES:
                continue  # the app, which is not ours, would meet it as well
            yield Job(PART, f"{step}, {fault}", partial(run, step, (fault,), 0))
    yield Job(PART, "starts on a disk that stays bad", partial(repeated, sample))


def run(name: str, faults: tuple[str, ...], sample: int) -> Tally:
    """Do the step with the faults at its calls, one after the other."""
    if why := missing():
        return Tally(skipped=why)
    step, tally = workshop.step(name), Tally()
    cases = [(fault, point) for fault in faults for point in points_in(name)[:: _EVERY[fault]]]
    if sample:
        cases = random.Random(name).sample(cases, sample)
    for fault, point in cases:
        tally.add(fault_of(step, fault, point))
    return tally


def repeated(sample: int) -> Tally:
    """Start again and again with the same fault: what was never tried is never given up."""
    if why := missing():
        return Tally(skipped=why)
    step, tally = workshop.step("start and wait"), Tally()
    cases = [(fault, point) for fault in _ERRORS for point in points_in(step.name)]
    for fault, point in random.Random(1).sample(cases, sample or len(cases)):
        with workshop.copied(step) as here:
            try:
                _start_often(step, fault, point, here)
                tally.add(None)
            except (StuckError, OSError) as error:
                tally.add(f"{_OFTEN} starts, {fault} at {point}: {error}")
    return tally


def _start_often(step: Step, fault: str, point: Point, here: Here) -> None:
    outputs = [
        injected(partial(step.work, here), point, FAULTS[fault]).output for _ in range(_OFTEN)
    ]
    tried = any(output.startswith(NEW) for output in outputs)
    if not tried and here.state().bans:
        raise StuckError(f"banned, but never tried: {here.state()}")
    go_on(replace(step, after=REISSUED) if tried else step, here)


@cache
def points_in(name: str) -> list[Point]:
    """Return every call that the step makes undisturbed."""
    step = workshop.step(name)
    with workshop.copied(step) as here:
        return points_of(partial(step.work, here), here.root)


def fault_of(step: Step, fault: str, point: Point) -> str | None:
    """Do the step with the fault, go on, and return what is wrong then."""
    with workshop.copied(step) as here:
        try:
            injected(partial(step.work, here), point, FAULTS[fault])
            go_on(step, here)
        except (StuckError, OSError) as error:
            return f"{step.name}, {fault} at {point.call} {point.number} ({point.line}): {error}"
    return None


def go_on(step: Step, here: Here) -> None:
    """Raise unless a version starts that may, and the new one comes in the end."""
    started = check_started(step, here)
    here.publisher.say(step.after)
    here.converge(started)


def check_started(step: Step, here: Here) -> str | None:
    """Start the app; raise when it is no version that may start after the step."""
    started = here.launched().version
    if started not in step.starts:
        raise StuckError(f"started {started}")
    return started
