"""Thousands of starts of an app, in virtual time: no good version is left, every bad one is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from tests.crash import workshop
from tests.crash.computer import Computer, a_computer
from tests.crash.lines import Job, Tally

PART, DYING = "false fallbacks", "dying versions"
STARTS, STORIES = 10_000, 100
_BLOCK, _FEW = 2_500, 240  # starts of one job, and of a sample
_DAY = 86_400.0
_LIFTS = 3  # so often a version is tried anew after its first failure
_MOST_STARTS = 8  # of a version that is never confirmed: three, and five that were given back
_SHORT = {"glance", "early"}  # they confirm nothing


def jobs(sample: int) -> Iterator[Job]:
    """Yield the jobs; *sample*: some hundred starts and so many stories, 0 for all."""
    starts = _FEW if sample else STARTS
    for seed, first in enumerate(range(0, starts, _BLOCK)):
        count = min(_BLOCK, starts - first)
        yield Job(PART, f"{count} starts, seed {seed}", partial(good_versions, count, seed))
    stories = min(sample, STORIES) or STORIES
    yield Job(DYING, f"{stories} stories", partial(dying_versions, stories))


def false_fallbacks(starts: int = STARTS, seed: int = 0) -> int:
    """Return how often a good version was left in so many starts."""
    with workshop.a_place() as place:
        workshop.open_in(place)
        return len(good_versions(starts, seed).faults)


def good_versions(starts: int, seed: int) -> Tally:
    """Use an app, of which no version ever fails by itself, in every way that people do."""
    tally, chance = Tally(), random.Random(seed)
    with a_computer(seed) as computer:
        confirmed = 0
        for number in range(starts):
            if number % 8 == 0:
                computer.release(f"{2 + number // 8}.0")
            _use(computer, chance)
            confirmed += computer.confirmed()
            tally.add(computer.complaint(number))
        wanted = starts // 8 * 2 // 3  # a version may be overtaken by the next
        if confirmed < wanted:
            tally.faults.append(f"only {confirmed} of {starts // 8} versions were ever confirmed")
    return tally


def dying_versions(stories: int) -> Tally:
    """Publish versions that die at once: each is left for the one before, and stays away."""
    tally = Tally()
    for seed in range(stories):
        with a_computer(seed) as computer:
            tally.add(_dies(computer, random.Random(seed)))
    return tally


# --- what people do --------------------------------------------------------------------------


def _use(computer: Computer, chance: random.Random) -> None:
    """Start the app once more, use it somehow, and let it end somehow."""
    clock = computer.clock
    clock.advance(chance.choice([5, 600, 5 * 3_600, _DAY, 3 * _DAY, 30 * _DAY]))
    if chance.random() < 0.3:
        computer.reboot()
    if chance.random() < 0.05:  # somebody sets the clock, or its battery is empty
        clock.set_wall(clock.now() + timedelta(days=chance.choice([-3_650, -1, 1, 3_650])))
    elif chance.random() < 0.2:
        clock.set_wall(computer.true_time())
    computer.online = chance.random() < 0.8
    app = computer.start()
    windows = [computer.start() for _ in range(3) if chance.random() < 0.1]
    way = chance.choices(["day", "hour", "minutes", "glance", "early"], [25, 25, 25, 15, 10])[0]
    # Who quits the eighth start, too, within seconds, has the version that was before.
    if way in _SHORT and computer.short[app.version] == _MOST_STARTS - 1:
        way = "hour"
    computer.short[app.version] += way in _SHORT
    if way != "early":
        app.healthy_after(chance.uniform(1, 20))
    app.runs_for({"day": 30_000.0, "hour": 3_000.0, "minutes": 300.0}.get(way, 5.0))
    if chance.random() < 0.1:
        clock.set_wall(
            clock.now() + timedelta(hours=chance.choice([-5, 9]))
        )  # it slept, or was set
        app.runs_for(70)
    if chance.random() < 0.1:
        computer.power_cut()
        return
    if chance.random() < 0.02:  # a person ends it the hard way
        app.gone()
        return
    for each in chance.sample([app, *windows], 1 + len(windows)):
        each.quit()


def _dies(computer: Computer, chance: random.Random) -> str | None:
    """Tell the story of one bad version, issued again and again; return what was wrong in it."""
    computer.bad.add("2.0")
    for issue in range(_LIFTS + 3):
        computer.release("2.0", rollout=f"ro_{issue:04x}")
        offered = _look_for_days(computer, chance)
        if offered != (issue <= _LIFTS):
            return f"issue {issue}: offered {offered}"
        if offered and (wrong := _try_out(computer, chance)):
            return f"issue {issue}: {wrong}"
        if _look_for_days(computer, chance):
            return f"issue {issue}: offered again, though it failed"
    return None


def _look_for_days(computer: Computer, chance: random.Random) -> bool:
    """Use the good version for some days; return whether the other one was armed."""
    for _ in range(4):
        app = computer.start()
        if str(app.version) != "1.0":
            return True
        app.healthy_after(5)
        app.runs_for(chance.choice([700, 4_000, 40_000]))
        app.quit()
        if computer.installation.pending() is not None:
            return True
        computer.clock.advance(_DAY)
    return False


def _try_out(computer: Computer, chance: random.Random) -> str | None:
    """Start the bad version until it is left; return what was wrong."""
    counted = cuts = 0
    while True:
        if counted + cuts > _MOST_STARTS:
            return f"tried {counted + cuts} times"
        app = computer.start()
        if str(app.version) == "1.0":
            app.quit()
            break
        # It dies before a line of its own, or leaves a trace; now and then power fails first.
        if chance.random() < 0.2:
            cuts += 1
            computer.power_cut()
        else:
            counted += 1
            app.dies(said=chance.random() < 0.5)
        computer.clock.advance(chance.choice([1, 60, 600]))
    if counted != 3:
        return f"left after {counted} counted starts"
    state = computer.installation.state.read()
    return None if state.pending is None and state.bans else "left without a ban"
