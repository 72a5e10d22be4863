"""The steps of a ladder file: its rings, its ramps by schedule, and the gates between them.

A ramp (``schedule``) is written as one step and becomes several, so that whoever promotes,
signs or judges knows steps only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import Any

from rollout.documents.policies import MAX_APPROVALS, MAX_STEPS, check_ring
from rollout.model import FULL_EXPOSURE_BP, Step
from update_server.evidence.fisher import SHARES
from update_server.evidence.ratio import MARGINS
from update_server.evidence.reading import Table
from update_server.evidence.settings import DAY, HOUR, STANDARD, Gate, Settings

MAX_JUMPS = 24
"""Steps that a schedule makes at most before its own: hourly ones, fewer a day when longer."""

_TEN_YEARS_SECONDS = 3_650 * DAY
_SHORTEST_SECONDS, _LONGEST_SECONDS = 60, 60 * DAY


class Schedule(StrEnum):
    """How the exposure grows up to that of a step."""

    STEP = "step"
    LINEAR = "linear"
    GEOMETRIC = "geometric"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A step as it is written: with what it changes of its gate, and the ramp up to it."""

    step: Step
    margin: float | None
    silence: float | None
    ramp: tuple[Step, ...]
    from_bp: int


def read_steps(table: Table, settings: Settings) -> tuple[tuple[Step, ...], tuple[Gate, ...]]:
    """Return the steps in *table*, ramps as steps of their own, and the gates that they have.

    The gates are those of *settings* unless a step has its own or is a ramp.

    Raises:
        TermsError: A value is wrong, or the exposure falls.
    """
    steps: list[Step] = []
    gates = _Gates(settings)
    reached = 0
    tables = table.tables("step", MAX_STEPS)
    if not tables:
        raise table.refuse("step", "is empty: leave it out to take the policy's ramp")
    for each in tables:
        written = _step(each, reached)
        steps += (*written.ramp, written.step)
        if len(steps) > MAX_STEPS:
            raise each.refuse("ring", f"is more than step {MAX_STEPS}, with those of schedules")
        gates.add(each, written)
        reached = written.step.exposure_bp or reached
    return tuple(steps), gates.all()


def _step(table: Table, reached: int) -> _Written:
    ring = table.text("ring")
    try:
        check_ring(ring)
    except ValueError as error:
        raise table.refuse("ring", "must be letters, digits and ' ._%+-', 1 to 32") from error
    exposure_bp: int | None = None
    if table.has("exposure_bp"):
        exposure_bp = table.whole("exposure_bp", None, 0, FULL_EXPOSURE_BP)
        if exposure_bp < reached:
            raise table.refuse("exposure_bp", f"falls: the step before has {reached}")
    step = Step(
        ring=ring,
        exposure_bp=exposure_bp,
        holdback_bp=table.whole("holdback_bp", 0, 0, FULL_EXPOSURE_BP),
        soak_seconds=_soak(table),
        approvals=table.whole("approvals", 0, 0, MAX_APPROVALS),
    )
    if exposure_bp is None:
        for name in ("margin", "silence", "schedule", "over", "from_bp"):
            if table.has(name):
                raise table.refuse(name, "is for steps with an exposure_bp")
        table.end()
        return _Written(step=step, margin=None, silence=None, ramp=(), from_bp=reached)
    written = _scheduled(table, step, exposure_bp, reached)
    table.end()
    return written


def _soak(table: Table) -> int:
    if not table.has("soak"):
        return table.whole("soak_seconds", 0, 0, int(_TEN_YEARS_SECONDS))
    if table.has("soak_seconds"):
        raise table.refuse("soak_seconds", "says again what soak says: leave one of them out")
    return ceil(table.seconds("soak", None, 0, _TEN_YEARS_SECONDS))


def _scheduled(table: Table, step: Step, to_bp: int, reached: int) -> _Written:
    schedule = table.choice("schedule", Schedule.STEP, list(Schedule))
    ramp: tuple[Step, ...] = ()
    from_bp = reached
    if schedule == Schedule.STEP:
        for name in ("over", "from_bp"):
            if table.has(name):
                raise table.refuse(name, 'is for schedule = "linear" and "geometric"')
    else:
        from_bp = table.whole("from_bp", reached, 0, FULL_EXPOSURE_BP)
        if not reached <= from_bp < to_bp:
            raise table.refuse("from_bp", f"must be from {reached} to below {to_bp}")
        if schedule == Schedule.GEOMETRIC and not from_bp:
            raise table.refuse("from_bp", "must be above 0: nothing times anything is nothing")
        over = table.seconds("over", None, _SHORTEST_SECONDS, _LONGEST_SECONDS)
        ramp = _ramp(step, schedule, (from_bp, to_bp), over)
        # Who opened the ramp opened its end.
        step = replace(step, approvals=0) if ramp else step
    return _Written(
        step=step,
        margin=table.one_of("margin", 0, MARGINS) or None,
        silence=table.one_of("silence", 0, SHARES) or None,
        ramp=ramp,
        from_bp=from_bp,
    )


def _ramp(step: Step, schedule: str, shares: tuple[int, int], over: float) -> tuple[Step, ...]:
    """Return the steps before *step*: equally long, together *over* seconds."""
    jumps = min(MAX_JUMPS, max(1, ceil(over / HOUR)))
    low, high = shares
    exposures = []
    for jump in range(1, jumps + 1):
        part = jump / (jumps + 1)
        linear = low + (high - low) * part
        exposures.append(
            round(linear if schedule == Schedule.LINEAR else low * (high / low) ** part)
        )
    # Where there are more jumps than shares between, some would change nothing.
    distinct = sorted({bp for bp in exposures if low < bp < high})
    ramp = [
        replace(step, exposure_bp=bp, soak_seconds=ceil(over / len(distinct)), approvals=0)
        for bp in distinct
    ]
    if ramp:
        ramp[0] = replace(ramp[0], approvals=step.approvals)
    return tuple(ramp)


def spread_ramp(steps: list[Any]) -> tuple[Step, ...]:
    """Return the steps of a policy's ramp, written as those of a ladder file are.

    A policy is signed and says nothing of gates.

    Raises:
        TermsError: A value is wrong, the exposure falls, or a step has a gate.
    """
    table = Table({"step": steps}, written=True)
    for each in table.tables("step", MAX_STEPS):
        for name in ("margin", "silence"):
            if each.has(name):
                raise each.refuse(name, "is for ladder files, not for the signed policy")
    return read_steps(table, STANDARD)[0]


class _Gates:
    """The gates of a ladder, exposure by exposure, once one of them is its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_exposure: dict[int, Gate] = {}
        self._own = False

    def add(self, table: Table, written: _Written) -> None:
        """Take the gates of a step, and of the ramp up to it.

        A ramp's steps have the gate of where it began: one step would have opened all of it
        for that, and a ramp may stop on the way.
        """
        exposure_bp = written.step.exposure_bp
        if exposure_bp is None:
            return
        begun = self._gate(written.from_bp)
        for step in written.ramp:
            self._own = True
            self._put(step.exposure_bp or 0, begun.margin, begun.silence)
        known = self._by_exposure.get(exposure_bp)
        gate = self._gate(exposure_bp)
        if written.margin or written.silence:
            self._own = True
        margin, silence = written.margin or gate.margin, written.silence or gate.silence
        for name, value, before in (
            ("margin", margin, gate.margin),
            ("silence", silence, gate.silence),
        ):
            if known is not None and value != before:
                told = f"the step before has the same exposure, and there it is {before:g}"
                raise table.refuse(name, f"must be said at the first step of an exposure: {told}")
        self._put(exposure_bp, margin, silence)

    def all(self) -> tuple[Gate, ...]:
        """Return the gates for each exposure, and those of the settings beyond the last."""
        usual = self._settings.gates
        if not self._own:
            return usual
        last = max(self._by_exposure)
        beyond = tuple(gate for gate in usual if gate.up_to_bp > last)
        return (*(self._by_exposure[bp] for bp in sorted(self._by_exposure)), *beyond)

    def _gate(self, exposure_bp: int) -> Gate:
        return self._by_exposure.get(exposure_bp) or self._settings.gate_for(exposure_bp)

    def _put(self, exposure_bp: int, margin: float, silence: float) -> None:
        self._by_exposure[exposure_bp] = Gate(up_to_bp=exposure_bp, margin=margin, silence=silence)
