"""Every step on a disk with too little room, from none upwards: less service, and no harm.

On the full disk the launcher starts a complete version; with room again the update comes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from tests.crash import mounts, workshop
from tests.crash.faults import check_started
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.steps import Step
from tests.crash.traced import FAILED, fork
from tests.crash.world import Box, Here

PART = "full disk"
_PAGE_BYTES = 4 * 1024  # of tmpfs: finer steps change nothing
_PLENTY_BYTES = 32 << 20
_DONE = 5  # so many sizes in a row that changed nothing any more


class Measured(Box):
    """A machine that tells how much room there is."""

    def __init__(self, boot: str) -> None:
        super().__init__(boot)
        self.room = None


def jobs(sample: int) -> Iterator[Job]:
    """Yield a job for each step; *sample*: so many sizes of each, 0 for all."""
    for name in workshop.STEPS:
        yield Job(PART, name, partial(run, name, sample))
    yield Job(PART, "visit that looks first", partial(run, "visit", sample or 3, looks=True))


def run(name: str, sample: int, *, looks: bool = False) -> Tally:
    """Do the step with ever more room, until more changes nothing.

    *looks*: the agent is told how much room there is, and never begins.
    """
    if why := mounts.missing():
        return Tally(skipped=why)
    step, tally = workshop.step(name), Tally()
    if looks:
        step = replace(step, base=replace(step.base, platform=Measured))
    undisturbed, same = _outcome(step), 0
    with mounts.tmpfs(workshop.folder() / "full") as disk:
        for number in count():
            room = number * _PAGE_BYTES
            try:
                same = same + 1 if _do(step, disk, room) == undisturbed else 0
                tally.add(None)
            except (StuckError, OSError) as error:
                tally.add(f"{name} with {room} bytes left: {error}")
                same = 0
            if same == _DONE or number + 1 == sample or room > _PLENTY_BYTES:
                return tally
    raise AssertionError


def _outcome(step: Step) -> object:
    """Return what the step leads to on a disk that has room."""
    with workshop.copied(step) as here:
        fork(partial(step.work, here))
        return _told(here)


def _told(here: Here) -> object:
    state = here.state()
    pending = state.pending and (state.pending.installed.directory, state.pending.tries_left)
    return state.current, state.previous, pending, state.bans, state.last_result


def _do(step: Step, disk: Path, room: int) -> object:
    """Do the step with so much room and go on; return what it had led to."""
    step.base.publisher.say(step.stage)
    here = step.base.copied(disk / "root")
    try:
        _limit(disk, room)
        ended = fork(partial(step.work, here))
        if ended.status == FAILED:
            raise StuckError(ended.output)
        outcome = _told(here)
        started = check_started(step, here)
        _limit(disk, _PLENTY_BYTES)
        here = replace(here, platform=Box)
        here.publisher.say(step.after)
        here.converge(started)
    finally:
        _limit(disk, _PLENTY_BYTES)
        shutil.rmtree(here.root)
    return outcome


def _limit(disk: Path, room: int) -> None:
    """Let so many bytes be left on the disk."""
    found = os.statvfs(disk)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    mounts.run("mount", "-o", f"remount,size={max(used + room, _PAGE_BYTES)}", disk)
