"""One line of the answer, and the work that leads to some lines.

Not here: what is measured (the files named after it) and how jobs are run (``__main__``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import stats


class Direction(StrEnum):
    """Which side of its limit a value has to stay on; a report has none."""

    MAX = "max"
    MIN = "min"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured value beside its limit.

    ``n`` is how many runs it was measured in, ``seed`` where their random numbers began (None
    where none were drawn), ``seconds`` the processor time of the job that measured it; the lines
    of one job share it.
    """

    name: str
    value: float
    limit: float | None
    direction: Direction
    n: int
    seed: int | None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the value keeps its limit; one that is not a number never does."""
        if self.limit is None:
            return True
        if self.direction is Direction.MAX:
            return self.value <= self.limit
        return self.value >= self.limit

    def taking(self, seconds: float) -> Line:
        """Return the same line with the time its job took."""
        return replace(self, seconds=round(seconds, 2))

    def render(self) -> str:
        """Return the line as JSON on one line."""
        return json.dumps(
            {
                "name": self.name,
                # Infinity is no JSON; it means that something never happened.
                "value": float(f"{self.value:.6g}") if np.isfinite(self.value) else None,
                "limit": self.limit,
                "direction": self.direction,
                "ok": self.ok,
                "n": self.n,
                "seed": self.seed,
                "seconds": self.seconds,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work for one process: ``run`` returns its lines. It is sent to another process."""

    name: str
    run: Callable[[], list[Line]]


def measure(job: Job) -> tuple[str, list[Line]]:
    """Return the name and the lines of one job, with the processor time it took."""
    began = time.process_time()
    lines = job.run()
    seconds = time.process_time() - began
    return job.name, [line.taking(seconds) for line in lines]


def at_most(name: str, value: float, limit: float, *, n: int, seed: int | None = None) -> Line:
    """Return a line whose value must not exceed *limit*."""
    return Line(name=name, value=value, limit=limit, direction=Direction.MAX, n=n, seed=seed)


def at_least(name: str, value: float, limit: float, *, n: int, seed: int | None = None) -> Line:
    """Return a line whose value must reach *limit*."""
    return Line(name=name, value=value, limit=limit, direction=Direction.MIN, n=n, seed=seed)


def report(name: str, value: float, *, n: int, seed: int | None = None) -> Line:
    """Return a line that is only told: a rival, or a variant that nobody promises."""
    return Line(name=name, value=value, limit=None, direction=Direction.REPORT, n=n, seed=seed)


def upper_limit(hits: int, n: int) -> float:
    """Return the upper end of the 95 % interval of Clopper and Pearson for *hits* of *n*.

    It is the two-sided interval's, so that the true share is above it with 2.5 % at most.
    """
    if hits >= n:
        return 1.0
    return float(stats.beta.ppf(0.975, hits + 1, n - hits))
