"""The course to be expected of a rollout: formulas only, hour by hour, no chance in it.

A step opens, and a pause comes, where the evidence to be expected is enough on average. What the
engine needs beyond the bounds was measured with it (``evidence.planner``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from update_server.evidence.settings import DAY, HOUR
from update_server.rehearsal.accrual import Accrual
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.scene import Scene

ODDS = 0.5
"""A gate is out of reach if it is less likely than this to pass in time, with nothing wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One step of the course.

    ``hours`` from its opening until its gate is passed, None if it is not. ``chances`` are, by
    metric, how likely its part of the gate is passed by the time a person would be asked;
    ``lacks`` what is short when the course ends here. ``accrual`` is the evidence at its opening.
    """

    position: int
    ring: str
    opened_hours: float
    hours: float | None
    patience_hours: float
    chances: dict[str, float]
    accrual: Accrual
    lacks: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        """How likely the gate is passed in time: as likely as its least likely part, at most."""
        return min(self.chances.values(), default=1.0)

    @property
    def is_in_reach(self) -> bool:
        """Whether the gate is likely to be passed in time."""
        return self.chance >= ODDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is to be expected of one release.

    ``stopped_hours``, ``asked_hours`` (a person is asked, since a gate stays closed) and
    ``completed_hours`` are since the start, None where it does not happen. ``exposed`` and
    ``crashed`` are installs, until the course ends.
    """

    legs: tuple[Leg, ...]
    stopped_hours: float | None
    stopped_in: str | None
    cause: str | None
    asked_hours: float | None
    completed_hours: float | None
    exposed: float
    crashed: float


def expected(plan: Plan, fleet: Fleet, harm: Harm) -> Course:
    """Return the course of a release with *harm*."""
    walk = _Walk(plan, fleet, harm)
    position = 0
    while walk.step(position):
        position += 1
    return walk.course()


def chances_of(scene: Scene, before: Accrual) -> dict[str, float]:
    """Return how likely each part of a gate is passed before a person is asked.

    *before* is the evidence when the step opens.
    """
    if not scene.is_compared:
        return {}
    accrual = before.copy()
    hours = int(scene.plan.patience_seconds(scene.position) / HOUR)
    for hour in range(1, hours + 1):
        accrual.add_hour(scene, hour)
    return accrual.chance_to_pass(scene, hours)


class _Walk:
    def __init__(self, plan: Plan, fleet: Fleet, harm: Harm) -> None:
        self._plan, self._fleet, self._harm = plan, fleet, harm
        self._accrual = Accrual()
        self._hour = 0
        self._legs: list[Leg] = []
        self._exposed = 0.0
        self._batches: list[tuple[float, float]] = []
        self._stopped: tuple[float, str, str] | None = None
        self._completed: float | None = None

    def step(self, position: int) -> bool:
        """Go through one step; whether the next one opens."""
        scene = Scene(plan=self._plan, fleet=self._fleet, harm=self._harm, position=position)
        last = position == len(self._plan.steps) - 1
        if last and not scene.is_compared:
            self._completed = float(self._hour)
            self._expose(scene.most_exposed)
            return False
        before, opened = self._accrual.copy(), float(self._hour)
        passed, lacks = self._pass(scene)
        self._legs.append(
            Leg(
                position=position,
                ring=self._plan.steps[position].ring,
                opened_hours=opened,
                hours=passed,
                patience_hours=self._plan.patience_seconds(position) / HOUR,
                chances=chances_of(scene, before),
                accrual=before,
                lacks=lacks,
            )
        )
        if passed is None:
            return False
        self._hour += ceil(passed)
        if last:
            self._completed = float(self._hour)
        return not last

    def course(self) -> Course:
        """Return the course so far."""
        end = self._stopped[0] if self._stopped else float(self._hour)
        ratio = self._harm.crash_ratio
        alive = 1 - self._harm.bricked_share
        crashed = sum(
            installs * alive * self._fleet.crashed(max(0.0, end - at) * HOUR / DAY, ratio)
            for at, installs in self._batches
        )
        return Course(
            legs=tuple(self._legs),
            stopped_hours=self._stopped[0] if self._stopped else None,
            stopped_in=self._stopped[1] if self._stopped else None,
            cause=self._stopped[2] if self._stopped else None,
            asked_hours=None if self._stopped or self._completed is not None else float(self._hour),
            completed_hours=self._completed,
            exposed=self._exposed,
            crashed=crashed,
        )

    def _pass(self, scene: Scene) -> tuple[float | None, tuple[str, ...]]:
        """Return the hours until the step is left, and what is lacking if it is not."""
        step = self._plan.steps[scene.position]
        before = self._exposed
        more = max(0.0, scene.most_exposed - before)
        patience = ceil(self._plan.patience_seconds(scene.position) / HOUR)
        soaked = _watched_from(scene) + step.soak_seconds / HOUR
        hour, lacks = 0, tuple[str, ...]()
        while hour < patience or not lacks:  # what only soaks goes on
            hour += 1
            self._accrual.add_hour(scene, hour)
            self._expose(before + more * scene.heard(hour), self._hour + hour)
            cause = self._accrual.cause_to_stop(scene, hour)
            if cause is not None:
                self._stopped = (float(self._hour + hour), step.ring, cause)
                return None, ()
            lacks = self._accrual.lacks(scene, hour)
            if not lacks and hour >= soaked:
                return float(hour), ()
        if self._accrual.passes_weakly(scene, hour, lacks):
            return float(hour), ()
        self._hour += hour
        return None, lacks

    def _expose(self, installs: float, at: float | None = None) -> None:
        more = installs - self._exposed
        if more > 0:
            self._batches.append((self._hour if at is None else at, more))
            self._exposed = installs


def _watched_from(scene: Scene) -> int:
    """Return the first hour with a verdict, from which on soak counts."""
    if not scene.is_compared:
        return 0
    least = scene.plan.settings.minimum_installs
    hours = range(scene.plan.horizon_hours)
    return next((hour for hour in hours if scene.candidates(hour) >= least), hours.stop)
