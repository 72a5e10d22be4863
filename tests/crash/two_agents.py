"""Two agents on one ROOT: one changes it, the other looks on; and killing one harms nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial

from client_agent.machine import events as on
from client_agent.machine.states import Armed, Passive
from tests.crash import workshop
from tests.crash.faults import go_on
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.world import Here

PART = "two agents"
TIMES = 20
WON, LOST = 0, 3
_VISIT_SECONDS = 0.2  # somewhere in it one of them is killed


def jobs(sample: int) -> Iterator[Job]:
    """Yield the jobs; *sample*: so many times, 0 for all."""
    for kill in (False, True):
        name = "one is killed" if kill else "both live"
        yield Job(PART, name, partial(run, min(sample, TIMES) or TIMES, kill=kill))


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
    gate, open_gate = os.pipe()
    both = [_begin(here, gate, open_gate) for _ in range(2)]
    os.close(gate)
    os.close(open_gate)  # now
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(both[0], signal.SIGKILL)
    ended = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in both]
    allowed = {WON, LOST}
    if not set(ended[kill_after is not None :]) <= allowed or (
        kill_after is None and WON not in ended
    ):
        raise StuckError(f"they ended with {ended}")


def _begin(here: Here, gate: int, open_gate: int) -> int:
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.close(open_gate)
            os.read(gate, 1)  # ends when the gate is closed by all others
            loop, _ = here.loop("1.0")
            loop.begin()
            loop.handle(on.TimerFired())
            status = {Armed: WON, Passive: LOST}.get(type(loop.state), 1)
            loop.quit()
        finally:
            os._exit(status)
    return process
