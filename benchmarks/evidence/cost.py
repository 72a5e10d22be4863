"""What judging costs: one update, the state of a metric, and a tick with ten times the history.

Times are the best of many repeats, so that other work on the machine shows as little as possible.
Row 13.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np

from benchmarks.evidence.line import Job, Line, at_most, report
from benchmarks.evidence.world import EXPOSURE_BP, NAMES, PLATFORM, Release, World, facts_of, opened
from update_server.evidence import fisher, ratio
from update_server.evidence.engine import advance
from update_server.evidence.facts import Crash, Fact, Seen
from update_server.evidence.settings import DAY, HOUR
from update_server.evidence.state import Arms, Process
from update_server.service.studies import codec as study_codec

SEED = 13
_MILLISECOND = 1e-3
_KIBIBYTE = 1024
_HISTORY = 400  # first events, and as many entrants an hour; ten times that beside it
_TIMES = 10
_FRESH = 300  # entrants in the tick that is timed
_CRASHES = 100


def best(work: Callable[[], object], repeats: int, each: int = 1) -> float:
    """Return the seconds of processor time that *work* takes, the best of *repeats*."""
    taken = []
    for _ in range(repeats):
        began = time.process_time_ns()
        for _ in range(each):
            work()
        taken.append((time.process_time_ns() - began) / each)
    return min(taken) / 1e9


def one_update(repeats: int) -> list[Line]:
    """Return what one event of a candidate, one of a control, and one cohort take."""
    vector = ratio.empty_vector()
    shares = fisher.empty_shares()
    cohort = partial(
        fisher.add_silence_cohort,
        shares,
        k_candidate=4,
        k=22,
        n_candidate=20,
        n_control=180,
        base_rate=0.1,
    )
    event = partial(ratio.add_event, vector, n_candidate=3_900, n_control=35_100)
    lines = [
        at_most(
            f"cost, one event of a {name}: milliseconds",
            best(partial(event, candidate=candidate), repeats, each=100) / _MILLISECOND,
            1.0,
            n=repeats,
        )
        for name, candidate in (("candidate", True), ("control", False))
    ]
    milliseconds = best(cohort, repeats, each=100) / _MILLISECOND
    return [
        *lines,
        at_most("cost, one cohort of silence: milliseconds", milliseconds, 1.0, n=repeats),
        report(
            "cost, one look at a vector: milliseconds",
            best(partial(ratio.log_e_harm, vector), repeats, each=100) / _MILLISECOND,
            n=repeats,
        ),
    ]


def state_size() -> list[Line]:
    """Return the bytes that stores keep of one metric on one platform, in one epoch."""
    lines = []
    for name, vector in (
        ("first events", [-np.pi * point for point in ratio.GRID]),
        ("silence", [-np.pi * share for share in fisher.SHARES]),
        ("outcomes", [-np.pi * omega for omega in fisher.OUTCOME_GRID]),
    ):
        process = Process(
            vector=[float(value) for value in vector],
            bad=Arms(candidate=10**6, control=10**7),
            known=Arms(candidate=10**7, control=10**8),
        )
        size = len(msgspec.msgpack.encode(process)) / _KIBIBYTE
        lines.append(at_most(f"cost, state of {name}: KiB", size, 2.0, n=1))
    world = World()
    facts = facts_of(np.random.default_rng(SEED), Release(), hours=48)
    world.run([opened(), *facts], 2 * DAY)
    size = len(study_codec.encode_state(world.state)) / _KIBIBYTE
    lines.append(report("cost, the whole state after two days: KiB", size, n=1, seed=SEED))
    return lines


def history(times: int) -> World:
    """Return a study with *times* as many labels, in its log and in its evidence.

    Each has the same last hour: as many entrants, in as many risk sets. What differs is how much
    came before.
    """
    world = World()
    facts: list[Fact] = [opened()]
    for hour in range(times):
        facts += _hour(hour, _HISTORY)
    world.run(facts, times * HOUR)
    return world


def _hour(hour: int, installs: int) -> list[Fact]:
    """Return entrants of one hour, half of which crash in it; the same share of both arms."""
    facts: list[Fact] = []
    for index in range(installs):
        install = (hour * installs + index).to_bytes(8, "big") + b"\xff"
        at = hour * HOUR + index + 1.0
        bucket = 0 if index % 10 == 0 else EXPOSURE_BP + index
        facts.append(Seen(at=at, install=install, bucket=bucket, platform=PLATFORM))
        if index // 10 % 2 == 0:
            crashed = at + 1_000
            facts.append(Crash(at=crashed, happened_at=crashed, install=install, event=install))
    return sorted(facts, key=lambda fact: fact.at)


def tick_seconds(world: World) -> float:
    """Return what one tick of 300 fresh facts takes on *world*, which stays as it was.

    The copies are the benchmark's own, so collecting garbage among them is not timed.
    """
    now = world.state.now + 60
    entrants = [
        Seen(
            at=now,
            install=index.to_bytes(8, "little") + b"\xfe",
            bucket=0 if index % 10 == 0 else 5_000 + index,
            platform=PLATFORM,
        )
        for index in range(_FRESH)
    ]
    crashes: list[Fact] = [
        Crash(at=now, happened_at=now, install=fact.install, event=fact.install)
        for fact in entrants[:_CRASHES]
    ]
    fresh: list[Fact] = [*entrants]
    state = copy.deepcopy(world.state)
    register, log = copy.deepcopy((world.register, world.log))
    gc.collect()
    gc.disable()
    try:
        began = time.process_time_ns()
        advance(state, fresh, register, log, world.settings, now, can_pull=True, names=NAMES)
        advance(state, crashes, register, log, world.settings, now + 1, can_pull=True, names=NAMES)
        return (time.process_time_ns() - began) / 1e9
    finally:
        gc.enable()


def tick(repeats: int) -> list[Line]:
    """Return how much longer a tick takes with ten times the history.

    The two are timed in turns, so that whatever else the machine does falls upon both.
    """
    short, long = history(1), history(_TIMES)
    turns = [(tick_seconds(short), tick_seconds(long)) for _ in range(repeats)]
    once, many = (min(taken) for taken in zip(*turns, strict=True))
    return [
        at_most("cost, a tick with 10 times the history: ratio", many / once, 1.2, n=repeats),
        report(
            "cost, a tick of 300 entrants and 100 crashes: milliseconds",
            once / _MILLISECOND,
            n=repeats,
        ),
    ]


def lines(repeats: int) -> list[Line]:
    """Return row 13."""
    return [*one_update(repeats), *state_size(), *tick(repeats)]


def jobs() -> list[Job]:
    """Return the job of row 13."""
    return [Job(name="cost", run=partial(lines, 40))]
