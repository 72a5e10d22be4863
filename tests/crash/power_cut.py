"""The power fails at every call that changes something: what was promised is still there.

An update, from the download to the confirmation, runs on a file system in an image and is
killed. The image is copied as it is then, without what the system would have written later, and
mounted elsewhere: its journal is replayed. Each point is tried without and with an unrelated
fsync just before the cut, which brings names to the medium whose bytes are not there yet.

The controls run the same update with fsyncs taken out: then the same checks must fail.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from client_agent.launcher import Launcher
from client_agent.state.state_file import StateFile
from client_agent.values import State
from tests.crash import mounts, workshop
from tests.crash.faults import FAULTS, go_on
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.publisher import NEW
from tests.crash.traced import Point, fork, injected, missing, points_of
from tests.crash.world import Here

PART, CONTROL = "power cut", "power cut control"
KINDS = ("ext4", "xfs", "btrfs")
_REBOOTED = "after the cut"
# Nothing may reach the medium by itself, and a rename may not bring its file's bytes along.
_MOUNT = {
    "ext4": "loop,noatime,commit=600,noauto_da_alloc",
    "xfs": "loop,noatime",
    "btrfs": "loop,noatime,commit=600",
}
_USED = "used"


def jobs(sample: int) -> Iterator[Job]:
    """Yield the jobs; *sample*: so many cuts of each kind on ext4, 0 for all on all systems."""
    for kind in KINDS[: 1 if sample else None]:
        for fsync in (False, True):
            how = "after another's fsync" if fsync else "at once"
            yield Job(f"{PART} {kind}", how, partial(run, kind, sample, fsync=fsync))
        for what in UNSYNCED:
            leave_out = partial(control, kind, what, first=bool(sample))
            yield Job(f"{CONTROL} {kind}", f"{what} not synced", leave_out)


# --- what is done until the power fails ------------------------------------------------------


def update(here: Here) -> None:
    """Do everything from the first request to the confirmation."""
    here.visit("1.0")
    here.start(wait=True)
    here.confirm()


UNSYNCED: dict[str, Callable[[Path], bool]] = {
    "everything": lambda _path: True,
    "a new version's files": lambda path: "staging" in path.parts and not path.is_dir(),
    "folders": Path.is_dir,
}
"""What the controls leave out, by the path of what is to be synced."""


def unsynced(what: str, work: Callable[[Here], None], here: Here) -> None:
    """Do *work* with an fsync that leaves some of it out."""
    sync = os.fsync

    def some(fd: Any) -> None:
        if not UNSYNCED[what](Path(f"/proc/self/fd/{fd}").readlink()):
            sync(fd)

    os.fsync = os.fdatasync = some
    work(here)


def _ending(owner: type, method: str, work: Callable[[Here], None], here: Here) -> None:
    """Do *work* until that method returns, and nothing after it."""
    real = getattr(owner, method)

    def last(*given: object, **named: object) -> None:
        real(*given, **named)
        os._exit(0)

    setattr(owner, method, last)
    work(here)


def _is_armed(state: State) -> bool:
    return state.pending is not None and state.pending.tries_left == 3


def _is_counted(state: State) -> bool:
    return state.pending is not None and state.pending.tries_left == 2


def _is_confirmed(state: State) -> bool:
    return state.pending is None and state.current is not None and f"{state.current.version}" == NEW


@dataclass(frozen=True, slots=True)
class Cut:
    """The power fails in the middle of *work*, or at its end; *kept* is what must be there then."""

    work: Callable[[Here], None]
    point: Point | None = None
    name: str = ""
    kept: Callable[[State], bool] = lambda _state: True
    starts: frozenset[str | None] = frozenset({"1.0", NEW})

    def check_kept(self, state: State) -> None:
        """Raise when what was promised is forgotten."""
        if not self.kept(state):
            raise StuckError(f"forgotten: {state}")


_NEW: frozenset[str | None] = frozenset({NEW})

# What is promised as soon as a method returns: it outlasts a power cut at the next moment.
PROMISES = [
    Cut(partial(_ending, StateFile, "arm", update), None, "armed", _is_armed),
    Cut(partial(_ending, Launcher, "write_state", update), None, "counted", _is_counted),
    Cut(partial(_ending, StateFile, "confirm", update), None, "confirmed", _is_confirmed, _NEW),
    Cut(update, None, "all of it", _is_confirmed, _NEW),
]


# --- the cuts --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disk:
    """An image that is never changed, with an install at rest in it, and the folders to use."""

    kind: str
    image: Path
    at: Path
    here: Here


def run(kind: str, sample: int, *, fsync: bool) -> Tally:
    """Cut the power at the points of an update, and after each promise."""
    if why := missing() or mounts.missing_loop(kind):
        return Tally(skipped=why)
    disk, tally = disk_of(kind), Tally()
    cuts = [Cut(update, point) for point in points(kind)] + PROMISES
    if sample:
        cuts = random.Random(sample + fsync).sample(cuts, sample)
    for cut in cuts:
        tally.add(fault_at(disk, cut, fsync=fsync))
    return tally


def control(kind: str, what: str, *, first: bool) -> Tally:
    """Cut the power after each promise, with fsyncs left out; the fault is that nobody notices.

    *first*: that it is noticed once is enough.
    """
    if why := missing() or mounts.missing_loop(kind):
        return Tally(skipped=why)
    disk, noticed = disk_of(kind), 0
    for fsync in (True, False):
        for cut in reversed(PROMISES):
            left_out = replace(cut, work=partial(unsynced, what, cut.work))
            noticed += fault_at(disk, left_out, fsync=fsync) is not None
            if first and noticed:
                break
    return Tally(cases=noticed, faults=[] if noticed else [f"{what} not synced: nothing noticed"])


def fault_at(disk: Disk, cut: Cut, *, fsync: bool) -> str | None:
    """Do the work, cut the power, and return what is wrong then."""
    step = workshop.step("visit")
    step.base.publisher.say(step.stage)
    here, image = disk.here, disk.image.with_name("cut")
    try:
        with _mounted_copy(disk):
            if cut.point is None:
                fork(partial(cut.work, here))
            else:
                injected(partial(cut.work, here), cut.point, FAULTS["killed"])
            if fsync:
                _sync_another(disk.at)
            mounts.run("cp", "--sparse=auto", disk.image.with_name(_USED), image)
        with mounts.mounted(image, disk.at, ("-o", "loop")):
            here = replace(here, boot=_REBOOTED)
            cut.check_kept(here.state())
            go_on(replace(step, starts=cut.starts), here)
    except (StuckError, OSError) as error:
        return f"{disk.kind}, {cut.point or cut.name}: {error}"
    finally:
        image.unlink(missing_ok=True)
    return None


@contextmanager
def _mounted_copy(disk: Disk) -> Iterator[None]:
    """Mount a copy of the image, of which nothing is kept."""
    used = disk.image.with_name(_USED)
    mounts.run("cp", "--sparse=auto", disk.image, used)
    try:
        with mounts.mounted(used, disk.at, ("-o", _MOUNT[disk.kind])):
            yield
    finally:
        used.unlink()


def _sync_another(at: Path) -> None:
    """Do what another program does at any time: make a file of its own durable."""
    with (at / "another").open("wb") as file:
        file.write(b"another's")
        file.flush()
        os.fsync(file.fileno())


@cache
def disk_of(kind: str) -> Disk:
    """Make the image, with versions 0.9 and 1.0 in it."""
    folder = workshop.folder() / kind
    folder.mkdir()
    image, at = folder / "image", folder / "at"
    mounts.make_image(kind, image)
    with mounts.mounted(image, at, ("-o", "loop")):
        here = workshop.step("visit").base.copied(at / "root")
    return Disk(kind, image, at, here)


@cache
def points(kind: str) -> list[Point]:
    """Return every call of an update that changes something on that file system."""
    disk = disk_of(kind)
    workshop.publisher().say(workshop.step("visit").stage)
    with _mounted_copy(disk):
        return points_of(partial(update, disk.here), disk.here.root)
