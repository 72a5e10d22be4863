"""What a release costs: how many installs ever take it, and crash on it, until it is stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from update_server.rehearsal.course import Course, expected
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import BRICKS_EVERYBODY, Harm
from update_server.rehearsal.plan import Plan

RATIOS = (1.0, 1.5, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What is to be expected of a release with this harm."""

    harm: Harm
    course: Course


def harms(more: Iterable[float] = ()) -> tuple[Harm, ...]:
    """Return what is rehearsed: crash ratios, with those asked for, and bricks everybody."""
    ratios = sorted({*RATIOS, *more})
    return (*(Harm(crash_ratio=ratio) for ratio in ratios), BRICKS_EVERYBODY)


def costs(plan: Plan, fleet: Fleet, of: Iterable[Harm]) -> tuple[Cost, ...]:
    """Return the cost of each harm, by formulas."""
    return tuple(Cost(harm=harm, course=expected(plan, fleet, harm)) for harm in of)
