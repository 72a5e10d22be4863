"""What the proof prints, one JSON object a line, and the work that leads to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


class StuckError(Exception):
    """Something that must hold after a fault does not."""


@dataclass(slots=True)
class Tally:
    """How many cases of one kind were tried, and which of them did not end as they must.

    ``skipped`` says what this machine lacks, if none could be tried.
    """

    cases: int = 0
    faults: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, fault: str | None) -> None:
        """Count a case; *fault* is what was wrong with it, if anything."""
        self.cases += 1
        if fault is not None:
            self.faults.append(fault)


@dataclass(frozen=True, slots=True)
class Job:
    """Work for one process. ``part`` says which tallies are added up."""

    part: str
    name: str
    run: Callable[[], Tally]


def measured(job: Job) -> tuple[Job, Tally, float]:
    """Return the job, what it found, and the seconds that it took."""
    began = time.monotonic()
    return job, job.run(), time.monotonic() - began


def added(tallies: Iterable[Tally]) -> Tally:
    """Return one tally for several; skipped when one of them was."""
    total = Tally()
    for one in tallies:
        total.cases += one.cases
        total.faults += one.faults
        total.skipped = total.skipped or one.skipped
    return total


def render(
    name: str, value: int | None, limit: int, *, at_least: bool = False, skipped: str = ""
) -> tuple[bool, str]:
    """Return whether *value* keeps its limit, and the line that says so."""
    kept = value is not None and (value >= limit if at_least else value <= limit)
    ok = kept or (value is None and skipped != "")
    said: dict[str, object] = {"name": name, "value": value, "limit": limit, "ok": ok}
    return ok, json.dumps(said | ({"skipped": skipped} if skipped else {}))
