"""Two agents on one ROOT: one changes it, the other looks on; and killing one harms nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from client_agent.machine import events as on
from client_agent.machine.states import Armed, Passive
from tests.crash import workshop
from tests.crash.faults import go_on
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.traced import fork
from tests.crash.world import Here, must_do

PART = "two agents"
TIMES = 20
WON, LOST = 0, 3
_VISIT_SECONDS = 0.2  # somewhere in it one of them is killed
_BUILD_SECONDS = 0.6  # the same, where a child builds


def jobs(sample: int) -> Iterator[Job]:
    """Yield the jobs; *sample*: so many times, 0 for all."""
    for kill in (False, True):
        name = "one is killed" if kill else "both live"
        yield Job(PART, name, partial(run, min(sample, TIMES) or TIMES, kill=kill))
    yield Job(PART, "a child survives", partial(orphans, min(sample, TIMES) or TIMES))


def orphans(times: int) -> Tally:
    """Kill an agent whose child builds on; the next agent comes at once."""
    tally, step, chance = Tally(), workshop.step("visit"), random.Random(times)
    for number in range(times):
        with workshop.copied(step) as here:
            apart = replace(here, apart=True)
            (process,) = _begin(apart, 1)
            time.sleep(chance.uniform(0, _BUILD_SECONDS))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            try:
                must_do(fork(partial(apart.visit, "1.0")), "the next visit")
                go_on(step, here)
                tally.add(None)
            except (StuckError, OSError) as error:
                tally.add(f"orphan {number}: {error}")
    return tally


def run(times: int, *, kill: bool) -> Tally:
    """Let two agents visit at the same moment."""
    tally, step, chance = Tally(), workshop.step("visit"), random.Random(times)
    for number in range(times):
        with workshop.copied(step) as here:
            try:
                _race(here, chance.uniform(0, _VISIT_SECONDS) if kill else None)
                go_on(step, here)
                tally.add(None)
            except (StuckError, OSError) as error:
                tally.add(f"race {number}: {error}")
    return tally


def _race(here: Here, kill_after: float | None) -> None:
    """Run two visits at once; raise unless each is done, or passive because of the other."""
    both = _begin(here, 2)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(both[0], signal.SIGKILL)
    ended = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in both]
    whole = ended if kill_after is None else ended[1:]
    if not set(whole) <= {WON, LOST} or (kill_after is None and WON not in whole):
        raise StuckError(f"they ended with {ended}")


def _begin(here: Here, count: int) -> list[int]:
    """Fork so many agents, all of which begin a visit as this returns."""
    gate, open_gate = os.pipe()
    processes = []
    for _ in range(count):
        process = os.fork()
        if process == 0:
            os.close(open_gate)
            _visit(here, gate)
        processes.append(process)
    os.close(gate)
    os.close(open_gate)  # now
    return processes


def _visit(here: Here, gate: int) -> None:
    status = 1
    try:
        os.read(gate, 1)  # ends when nobody can write into it any more
        loop, _ = here.loop("1.0")
        loop.begin()
        loop.handle(on.TimerFired())
        status = {Armed: WON, Passive: LOST}.get(type(loop.state), 1)
        loop.quit()
    finally:
        os._exit(status)
