"""Many virtual rollouts of the same release, what they have in common, and what formulas say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, exp, fsum, log, log1p

from update_server.evidence.numerics import log_binomial
from update_server.evidence.settings import HOUR
from update_server.rehearsal.course import Course, expected
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.outcome import Ending, Outcome
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.world import Limits, run

FLAGGED = 0.3
"""A difference between formula and simulation above this share is flagged."""

_LEVEL = 0.05
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One number by formula and by simulation; None where it does not happen."""

    name: str
    formula: float | None
    simulation: float | None

    @property
    def is_flagged(self) -> bool:
        """Whether they differ by more than they should."""
        if self.formula is None or self.simulation is None:
            return self.formula is not self.simulation
        most = max(abs(self.formula), abs(self.simulation))
        return abs(self.formula - self.simulation) > FLAGGED * (abs(self.formula) or most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Virtual rollouts of a release with ``harm`` on ``installs`` installs.

    ``stopped`` of the runs were paused, held, pulled or suspended; the chance of that is at most
    ``stopped_at_most`` with 95 % confidence. ``hours`` are those until it, sorted.
    """

    harm: Harm
    installs: int
    outcomes: tuple[Outcome, ...]
    course: Course

    @property
    def runs(self) -> int:
        """How many there were."""
        return len(self.outcomes)

    @property
    def hours(self) -> tuple[float, ...]:
        """Hours until each stop, sorted."""
        found = (outcome.stopped_after() for outcome in self.outcomes)
        return tuple(sorted(each for each in found if each is not None))

    @property
    def stopped(self) -> int:
        """How many were stopped."""
        return len(self.hours)

    @property
    def stopped_at_most(self) -> float:
        """The upper 95 % limit of the chance to be stopped."""
        return at_most(self.stopped, self.runs)

    @property
    def completed_hours(self) -> tuple[float, ...]:
        """Hours until each completion, sorted."""
        done = (o.hours for o in self.outcomes if o.ending is Ending.COMPLETED)
        return tuple(sorted(done))

    def compared(self) -> tuple[Compared, ...]:
        """Return formula and simulation side by side.

        Hours are compared if most runs get there: means of the few that do say little.
        """
        stopped, completed = self.hours, self.completed_hours
        return (
            Compared(
                name="hours until stopped",
                formula=self.course.stopped_hours,
                simulation=mean(stopped) if 2 * len(stopped) > self.runs else None,
            ),
            Compared(
                name="hours until all",
                formula=self.course.completed_hours,
                simulation=mean(completed) if 2 * len(completed) > self.runs else None,
            ),
            Compared(
                name="installs exposed",
                formula=self.course.exposed,
                simulation=mean([o.exposed for o in self.outcomes]),
            ),
            Compared(
                name="installs crashed",
                formula=self.course.crashed,
                simulation=mean([o.crashed for o in self.outcomes]),
            ),
        )


def try_out(plan: Plan, fleet: Fleet, harm: Harm, draws: Iterator[Draws], runs: int) -> Trials:
    """Return *runs* virtual rollouts, each with the next of *draws*."""
    limits = Limits(horizon_seconds=plan.horizon_hours * HOUR)
    outcomes = tuple(run(plan, fleet, harm, draws=next(draws), limits=limits) for _ in range(runs))
    course = expected(plan, fleet, harm)
    return Trials(harm=harm, installs=fleet.installs, outcomes=outcomes, course=course)


def at_most(count: int, runs: int) -> float:
    """Return the upper 95 % limit of the chance of what happened *count* times in *runs*.

    Clopper and Pearson 1934. Without runs it is 1; where it never happened, about 3 / *runs*.
    """
    if count >= runs:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most_so_many(count, runs, middle) > _LEVEL:
            low = middle
        else:
            high = middle
    return high


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of none."""
    return fsum(values) / len(values) if values else 0.0


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that *share* of *ordered* are at or below; None of none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def _at_most_so_many(count: int, runs: int, chance: float) -> float:
    return fsum(
        exp(log_binomial(runs, k) + k * log(chance) + (runs - k) * log1p(-chance))
        for k in range(count + 1)
    )
