"""A whole rehearsal: formulas, trials, and one rollout told from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from update_server.evidence.settings import HOUR
from update_server.rehearsal.advice import OutOfReach, out_of_reach
from update_server.rehearsal.cost import Cost, costs, harms
from update_server.rehearsal.course import Course, expected
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import NOTHING_WRONG, Harm
from update_server.rehearsal.outcome import Outcome
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.power import Row, power_table
from update_server.rehearsal.trials import Trials, try_out
from update_server.rehearsal.world import Limits, run

TRIAL_INSTALLS = 20_000
"""Trials take no more installs than this: then a handful of them fits into a minute."""
STORY_INSTALLS = 100_000
"""The one rollout that is told takes no more installs than this."""
_STORY_RATIO = 5.0

MakeDraws = Callable[[str], Draws]
"""Makes a generator of random numbers of its own for each name; equal names give equal ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Everything that is known before a release is published.

    ``course`` is that of a release with nothing wrong. ``story`` is one rollout of a release with
    ``story_harm``, with samples; None where no runs were asked for.
    """

    plan: Plan
    fleet: Fleet
    power: tuple[Row, ...]
    course: Course
    out_of_reach: tuple[OutOfReach, ...]
    costs: tuple[Cost, ...]
    trials: tuple[Trials, ...]
    story_harm: Harm
    story_installs: int
    story: Outcome | None


def rehearse(
    plan: Plan,
    fleet: Fleet,
    make_draws: MakeDraws,
    *,
    runs: int,
    trial_installs: int = TRIAL_INSTALLS,
    ratios: Sequence[float] = (),
) -> Rehearsal:
    """Return the rehearsal of *plan* on *fleet*: *runs* trials of each harm, and one story.

    *ratios* are more crash ratios than the usual; the story is that of the first of them.
    """
    rehearsed = harms(ratios)
    course = expected(plan, fleet, NOTHING_WRONG)
    small = _cut(fleet, trial_installs)
    trials = tuple(
        try_out(plan, small, harm, _each(make_draws, f"trial {number}"), runs)
        for number, harm in enumerate(rehearsed if runs else ())
    )
    harm, large = (
        Harm(crash_ratio=ratios[0] if ratios else _STORY_RATIO),
        _cut(fleet, STORY_INSTALLS),
    )
    limits = Limits(horizon_seconds=plan.horizon_hours * HOUR, sample_seconds=HOUR)
    return Rehearsal(
        plan=plan,
        fleet=fleet,
        power=power_table(plan, fleet),
        course=course,
        out_of_reach=out_of_reach(plan, fleet, course),
        costs=costs(plan, fleet, rehearsed),
        trials=trials,
        story_harm=harm,
        story_installs=large.installs,
        story=run(plan, large, harm, draws=make_draws("story"), limits=limits) if runs else None,
    )


def _each(make_draws: MakeDraws, name: str) -> Iterator[Draws]:
    return (make_draws(f"{name}/{number}") for number in count())


def _cut(fleet: Fleet, most: int) -> Fleet:
    installs = min(fleet.installs, most)
    return replace(fleet, installs=installs, internal=min(fleet.internal, installs))
