"""Files that were torn or rotted, a ROOT that cannot be written, clocks that are years off.

A complete version starts, or none where none is left; no trial is ever started uncounted; and
the update still comes.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from tests.crash import mounts, workshop
from tests.crash.faults import FAULTS, check_started, go_on, points_in
from tests.crash.lines import Job, StuckError, Tally
from tests.crash.publisher import NEW, REISSUED
from tests.crash.steps import Step
from tests.crash.traced import Point, fork, injected, missing
from tests.crash.world import Here

PART = "damage"
STATE_FILES = ("state.json", "state.last")
_TEN_YEARS, _SOON = timedelta(days=3_650), timedelta(hours=1)
_WHOLE_EVERY = 50  # of the cuts: one of so many is followed to the new version
_STORMS, _KILLS = 60, 5

Damage = Callable[[Here], object]


def jobs(sample: int) -> Iterator[Job]:
    """Yield the jobs; *sample*: so many cases of each, 0 for all."""
    for what in _KINDS:
        yield Job(PART, what.__name__.replace("_", " "), partial(what, sample))
    yield Job(PART, "read only", partial(read_only, sample))
    yield Job(PART, "clock", partial(clock, sample))
    yield Job(PART, "many kills", partial(many_kills, sample))


def _case(step: Step, damage: Damage, name: str, check: Damage | None = None) -> str | None:
    """Do the damage to the step's install, go on, and return what is wrong then."""
    with workshop.copied(step) as here:
        try:
            damage(here)
            (check or partial(go_on, step))(here)
        except (StuckError, OSError) as error:
            return f"{name}: {error}"
    return None


def _some(cases: Iterable[int], sample: int) -> list[int]:
    found = list(cases)
    if not sample or sample >= len(found):
        return found
    return sorted(random.Random(sample).sample(found, sample))


def _steps(sample: int) -> list[Step]:
    return [workshop.step(workshop.STEPS[at]) for at in _some(range(len(workshop.STEPS)), sample)]


# --- the state -------------------------------------------------------------------------------


def state_cut(sample: int) -> Tally:
    """Cut ``state.json`` at every length, with a version armed."""
    return _cut(("state.json",), 1, sample)


def both_cut(sample: int) -> Tally:
    """Cut its copy as well: what was confirmed on the disk is what counts."""
    return _cut(STATE_FILES, 7, sample)


def _cut(names: tuple[str, ...], every: int, sample: int) -> Tally:
    step, tally = replace(workshop.step("start"), starts=frozenset({"1.0"})), Tally()
    whole = {name: (step.base.root / name).read_bytes() for name in names}
    for length in _some(range(0, len(whole["state.json"]), every), sample):

        def damage(here: Here, length: int = length) -> None:
            for name, data in whole.items():
                (here.root / name).write_bytes(data[:length])

        check = partial(check_started, step) if length // every % _WHOLE_EVERY else None
        tally.add(_case(step, damage, f"{names} cut at {length}", check))
    return tally


def state_flipped(sample: int) -> Tally:
    """Flip a bit in every byte of ``state.json``."""
    step, tally = replace(workshop.step("start"), starts=frozenset({"1.0"})), Tally()
    size = (step.base.root / "state.json").stat().st_size
    chance = random.Random(1)
    for at in _some(range(size), sample):
        bit = chance.randrange(8)
        damage = partial(_flip_in_state, at, bit)
        tally.add(_case(step, damage, f"bit {bit} of {at}", partial(check_started, step)))
    return tally


def _flip_in_state(at: int, bit: int, here: Here) -> None:
    _flip(here.root / "state.json", at, bit)


# --- the versions ----------------------------------------------------------------------------


def pending_rotten(sample: int) -> Tally:
    """Flip a bit in each file of what is armed; the next start comes after a power cut."""
    step = workshop.step("start after a power cut")
    step, tally = replace(step, starts=frozenset({"1.0"})), Tally()
    for number in _some(range(len(_files(step.base, NEW))), sample):
        damage = partial(_rot, (NEW,), number)
        tally.add(_case(step, damage, f"file {number} of {NEW} rotten"))
    return tally


def folders_rotten(sample: int) -> Tally:
    """Lose the state, and a bit in each file of what was confirmed: of one version, or of both."""
    step, tally = workshop.step("start"), Tally()
    for rotten, starts in ((("1.0",), "0.9"), (("0.9",), "1.0"), (("0.9", "1.0"), None)):
        for number in _some(range(len(_files(step.base, rotten[0]))), sample):

            def damage(here: Here, rotten: tuple[str, ...] = rotten, number: int = number) -> None:
                for name in STATE_FILES:
                    (here.root / name).write_bytes(b"")
                _rot(rotten, number, here)

            case = replace(step, starts=frozenset({starts}))
            tally.add(_case(case, damage, f"no state, file {number} of {rotten} rotten"))
    return tally


def rotten(sample: int) -> Tally:
    """Flip a bit in each file of the current or the previous version: the update still comes."""
    step, tally = workshop.step("visit"), Tally()
    for version in ("0.9", "1.0"):
        for number in _some(range(len(_files(step.base, version))), sample):
            damage = partial(_rot, (version,), number)
            check = partial(_update_over, version)
            tally.add(_case(step, damage, f"file {number} of {version} rotten", check))
    return tally


def _update_over(version: str, here: Here) -> None:
    """Let an agent that runs in the current version bring the next, whatever the disk did to it."""
    here = replace(here, rotten=frozenset({version}))
    fork(partial(here.visit, "1.0"))
    here = here.later(_SOON)
    started = here.launched().version
    if started != NEW:
        raise StuckError(f"{started} started, and no update over what is rotten")
    here.converge(started)


def missing_files(sample: int) -> Tally:
    """Remove each file of the current version, as a virus scanner does: the update still comes."""
    step, tally = workshop.step("visit"), Tally()
    step = replace(step, starts=frozenset({"0.9", "1.0"}))
    for number in _some(range(len(_files(step.base, "1.0"))), sample):

        def damage(here: Here, number: int = number) -> None:
            _files(here, "1.0")[number].unlink()

        check = partial(_go_on_with, "1.0", step)
        tally.add(_case(step, damage, f"file {number} of 1.0 missing", check))
    return tally


def _go_on_with(version: str, step: Step, here: Here) -> None:
    go_on(step, replace(here, rotten=frozenset({version})))


def others_rotten(sample: int) -> Tally:
    """Flip a bit in each other file of ROOT, or empty it, or let it be something else."""
    step, tally = workshop.step("confirm"), Tally()
    base = step.base.root
    files = [
        path.relative_to(base)
        for path in sorted(base.rglob("*"))
        if path.is_file() and not path.is_symlink() and "versions" not in path.parts
    ]
    files.remove(Path("launcher.py"))  # nothing else starts
    for number in _some(range(len(files) * len(_WAYS)), sample):
        path, way = files[number // len(_WAYS)], _WAYS[number % len(_WAYS)]

        def damage(here: Here, path: Path = path, way: _Way = way) -> None:
            way(here.root / path)

        tally.add(_case(step, damage, f"{path} {way.__name__}"))
    return tally


def flipped(path: Path) -> None:
    if size := path.stat().st_size:
        _flip(path, size // 2, 0)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    path.write_bytes(b"\0" * 4_096)


_Way = Callable[[Path], None]
_WAYS: tuple[_Way, ...] = (flipped, emptied, replaced)
_KINDS = (
    state_cut,
    both_cut,
    state_flipped,
    pending_rotten,
    folders_rotten,
    rotten,
    missing_files,
    others_rotten,
)


def _files(here: Here, version: str) -> list[Path]:
    (folder,) = (here.root / "versions").glob(f"{version}-*")
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _rot(versions: tuple[str, ...], number: int, here: Here) -> None:
    for version in versions:
        files = _files(here, version)
        path = files[number % len(files)]
        _flip(path, path.stat().st_size // 2, 0)


def _flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.chmod(0o755)
    path.write_bytes(data)


# --- the machine -----------------------------------------------------------------------------


def read_only(sample: int) -> Tally:
    """Do every step where nothing can be written, and then once more where it can."""
    if why := mounts.missing():
        return Tally(skipped=why)
    tally = Tally()
    with mounts.tmpfs(workshop.folder() / "read-only") as disk:
        for step in _steps(sample):
            step.base.publisher.say(step.stage)
            here = step.base.copied(disk / "root")
            try:
                mounts.run("mount", "-o", "remount,ro", disk)
                fork(partial(step.work, here))
                started = check_started(replace(step, starts=step.starts - {NEW}), here)
                mounts.run("mount", "-o", "remount,rw", disk)
                here.publisher.say(step.after)
                here.converge(started)
                tally.add(None)
            except (StuckError, OSError) as error:
                tally.add(f"{step.name}, read only: {error}")
            finally:
                mounts.run("mount", "-o", "remount,rw", disk)
                shutil.rmtree(here.root)
    return tally


def clock(sample: int) -> Tally:
    """Do every step ten years too early and too late, and go on at the right time."""
    tally = Tally()
    for step in _steps(sample):
        for off in (_TEN_YEARS, -_TEN_YEARS):
            damage = partial(_at_another_time, step, off)
            tally.add(_case(step, damage, f"{step.name}, clock off by {off}"))
    return tally


def _at_another_time(step: Step, off: timedelta, here: Here) -> None:
    there = here.later(off)
    fork(partial(step.work, there))
    check_started(step, there)


def many_kills(sample: int) -> Tally:
    """Kill one step after the other, each at any call, and only then go on."""
    if why := missing():
        return Tally(skipped=why)
    tally, step = Tally(), replace(workshop.step("visit"), after=REISSUED)
    points = {name: points_in(name) for name in _KILLED}
    for seed in range(min(sample, _STORMS) or _STORMS):
        tally.add(_case(step, partial(_storm, points, random.Random(seed)), f"storm {seed}"))
    return tally


def _storm(points: Mapping[str, list[Point]], chance: random.Random, here: Here) -> None:
    for _ in range(_KILLS):
        name = chance.choice(list(points))
        with suppress(StuckError):  # here the step may end before that call
            injected(partial(_KILLED[name], here), chance.choice(points[name]), FAULTS["killed"])


def _visit(here: Here) -> None:
    here.visit("1.0")


_KILLED: dict[str, Callable[[Here], int | None]] = {
    "visit": _visit,
    "start": Here.start,
    "confirm": Here.confirm,
}
