"""No data is no verdict, and never a promotion, by the real engine: row 15.

The value of a line is how many ticks had a verdict, or were a promotion, where none may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_most
from benchmarks.evidence.world import EXPOSURE_BP, INSTALLS, Release, Told, World, facts_of, opened
from update_server.evidence.facts import Crash, Fact, Outage, Seen, Stepped
from update_server.evidence.settings import DAY, HOUR, Settings
from update_server.evidence.verdicts import Verdict

SEED = 15
_DAYS = 10
_STOPS_AT = 12 * HOUR
_CONTROLS_STOP_AT = 8 * HOUR
_QUIET = 6 * HOUR  # a quarter of the silence window: from then on it is a gap
# What one arm alone may have without the sample ratio being off.
_FEW_CANDIDATES = 5
_FEW_CONTROLS = 50
_OUTAGE = (2 * HOUR, 32 * HOUR)
# With the weakest gates and no soak anything that opens a step too easily shows.
_EAGER = Settings(timeout_promotes=True, timeout_seconds=DAY, minimum_installs=1)


def judged(facts: Sequence[Fact], days: float = _DAYS) -> World:
    """Return the world that was told *facts*."""
    world = World(settings=_EAGER)
    world.run([opened(soak_hours=0), *facts], days * DAY)
    return world


def with_verdict(world: World, since: float = 0.0, until: float = np.inf) -> int:
    """Return how many ticks in (since, until] had a verdict."""
    return sum(
        judgement.verdict is not None for at, judgement in world.judgements if since < at <= until
    )


def promotions(world: World) -> int:
    """Return how many ticks said that the next step may open."""
    return sum(judgement.verdict is Verdict.PROMOTE for _, judgement in world.judgements)


def _contacts(
    seed: int, hours: float, *, keep: Callable[[int], bool], most: int = INSTALLS
) -> list[Told]:
    """Return the facts of at most *most* harmless installs whose bucket is one to *keep*."""
    facts = facts_of(np.random.default_rng(seed), Release(), hours=hours)
    chosen = {fact.install for fact in facts if isinstance(fact, Seen) and keep(fact.bucket)}
    kept = set(sorted(chosen)[:most])
    if not kept:
        raise ValueError("a scenario about installs has none")
    return [fact for fact in facts if not isinstance(fact, Stepped) and fact.install in kept]


def empty_log() -> list[Line]:
    """Return the lines of a stage of which nobody is ever heard."""
    world = judged([])
    return _lines("empty log", world, with_verdict(world))


def dead_intake() -> list[Line]:
    """Return the lines of an intake that dies after 12 hours, before any outcome is known."""
    world = judged(_contacts(SEED * 1_000 + 1, _STOPS_AT / HOUR, keep=lambda _: True))
    return _lines("dead intake", world, with_verdict(world, _STOPS_AT + _QUIET))


def one_arm_empty() -> list[Line]:
    """Return the lines of a few candidates without controls, and of controls alone.

    With more of one arm alone the sample ratio would suspend, which is a verdict.
    """
    lines = []
    for arm, most, keep in (
        ("controls", _FEW_CANDIDATES, lambda bucket: bucket < EXPOSURE_BP),
        ("candidates", _FEW_CONTROLS, lambda bucket: bucket >= EXPOSURE_BP),
    ):
        facts = _contacts(SEED * 1_000 + 2, 24.0 * _DAYS, keep=keep, most=most)
        world = judged(facts)
        lines += _lines(f"no {arm}", world, with_verdict(world))
    return lines


def outage() -> list[Line]:
    """Return the lines of an outage in which nobody, so no control either, comes back.

    All enter in two hours, then nothing arrives for 30, of which the judge is told afterwards.
    No window has an outcome, and no crash is known.
    """
    began, ended = _OUTAGE
    seed = SEED * 1_000 + 3
    heard = [
        fact
        for fact in _contacts(seed, 40.0, keep=lambda _: True)
        if not isinstance(fact, Crash) and not began < fact.at <= ended
    ]
    entered = {f.install for f in heard if isinstance(f, Seen) and f.at <= began}
    early = [fact for fact in heard if fact.install in entered]
    told: list[Fact] = sorted([*early, Outage(at=ended, began_at=began)], key=lambda fact: fact.at)
    world = judged(told)
    return _lines("outage over all windows", world, with_verdict(world))


def controls_silent() -> list[Line]:
    """Return the line of an outage that hits the controls alone, and that nobody tells of.

    All enter in eight hours, then only candidates are heard of: contact depends on the arm, which
    no test survives. The release may look bad, for only candidates are left to crash, or good,
    for they alone come back; but it must not open the next step.
    """
    facts = _contacts(SEED * 1_000 + 4, 24.0 * _DAYS, keep=lambda _: True)
    early = [fact for fact in facts if isinstance(fact, Seen) and fact.at <= _CONTROLS_STOP_AT]
    entered = {fact.install for fact in early}
    candidates = {fact.install for fact in early if fact.bucket < EXPOSURE_BP}
    heard = [
        fact
        for fact in facts
        if fact.install in entered and (fact.at <= _CONTROLS_STOP_AT or fact.install in candidates)
    ]
    # Not the time-out's weaker evidence: that is an opt-in which takes silence's gate for enough.
    world = World()
    world.run([opened(soak_hours=0), *heard], _DAYS * DAY)
    ticks = len(world.judgements)
    name = "no data, controls alone silent: promotions"
    return [at_most(name, promotions(world), 0, n=ticks)]


def _lines(name: str, world: World, verdicts: int) -> list[Line]:
    ticks = len(world.judgements)
    return [
        at_most(f"no data, {name}: ticks with a verdict", verdicts, 0, n=ticks),
        at_most(f"no data, {name}: promotions", promotions(world), 0, n=ticks),
    ]


SCENARIOS = (empty_log, dead_intake, one_arm_empty, outage, controls_silent)


def lines(scenarios: Sequence[Callable[[], list[Line]]]) -> list[Line]:
    """Return row 15."""
    return [line for scenario in scenarios for line in scenario()]


def jobs() -> list[Job]:
    """Return the job of row 15."""
    return [Job(name="no data", run=partial(lines, SCENARIOS))]
