"""What the next step of the ladder still waits for: evidence that the release is not worse.

All of it must be there at once (an intersection-union test), so that each test may use all of
the error. Where there is no data every e-value is 1, and no gate opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log

from update_server.evidence.fisher import log_e_noninferiority_outcomes, log_e_silence_gate
from update_server.evidence.one_sample import log_e_floor
from update_server.evidence.ratio import interval, log_e_noninferiority
from update_server.evidence.settings import DAY, HOUR, Gate, May, Metric, Settings
from update_server.evidence.state import Epoch, OneArm, State
from update_server.evidence.verdicts import Wait
from update_server.evidence.weighing import (
    Kind,
    Weighted,
    counts,
    log_e_of,
    platforms_of,
    sum_of,
    total,
)
from update_server.evidence.words import span

FLOORS = {
    Metric.CRASH: "crash_floor",
    Metric.HEALTHY: "healthy_launch_floor",
    Metric.SILENCE: "silence_floor",
}
"""The tests in which no control takes part. Where hardly any install ever crashes, fails to come up
or stays away there is nothing to compare; each floor then stands in for its metric's margin."""
WEAK_INSTALLS = 300
"""Candidates whose outcome must be known where a step opens on weaker evidence by time alone."""

_LOG_WEAK_HARM = log(3)
_THURSDAY = 3  # the weekday of the first day of 1970, Monday being 0

_CRASH = Weighted(Metric.CRASH, Kind.EVENTS, 1.0, (Metric.CRASH,))
_LOOP = Weighted(Metric.CRASH_LOOP, Kind.EVENTS, 1.0, (Metric.CRASH_LOOP,))
_HEALTHY = Weighted(Metric.HEALTHY, Kind.OUTCOMES, 1.0, (Metric.HEALTHY,))
_SILENCE = Weighted(Metric.SILENCE, Kind.SILENCE, 1.0, (Metric.SILENCE,))


class Way(StrEnum):
    """On what evidence a step opens."""

    MARGIN = "margin"
    FLOOR = "floor"
    TIMEOUT = "timeout"
    GUARDS = "guards"


@dataclass(frozen=True, slots=True)
class Shown:
    """How far one test of a gate is. ``limit`` is its margin, share, or rate a day."""

    metric: str
    limit: float
    log_e: float
    needed: float

    @property
    def passes(self) -> bool:
        """Whether there is enough evidence."""
        return self.log_e >= self.needed


@dataclass(frozen=True, slots=True)
class Standing:
    """The present gate's tests of crash, healthy launch and silence, by margin or by floor.

    ``waits_for`` says what the next step waits for; empty: nothing.
    """

    way: Way
    tests: tuple[Shown, ...]
    waits_for: tuple[Wait, ...]


def noninferiority(state: State, settings: Settings) -> tuple[Shown, ...]:
    """Return the tests of the present gate: crash, healthy launch, silence, then their floors.

    After an automatic pause the present epoch must pass by itself, and, if no signature was
    waived, so must all epochs together; the smaller evidence is shown.
    """
    stage = state.stage
    if stage.exposure_bp is None:
        return ()
    gate, needed = settings.gate_for(stage.exposure_bp), log(1 / settings.alpha_noninferiority)
    # Crashes are counted until the outcome is known, and for a day at most.
    rate = settings.floor_rate_a_day * min(1.0, settings.outcome_seconds / DAY)
    floor = log_e_floor(stage.floor.failed, stage.floor.known, rate)
    unhealthy, silent = (_floor(state, each, gate.silence) for each in (_HEALTHY, _SILENCE))
    crash, healthy, silence = zip(*(_tests(vs, gate) for vs in _evidence(state)), strict=True)
    return (
        Shown(Metric.CRASH, gate.margin, min(crash), needed),
        Shown(Metric.HEALTHY, gate.margin, min(healthy), needed),
        Shown(Metric.SILENCE, gate.silence, min(silence), needed),
        Shown(FLOORS[Metric.CRASH], settings.floor_rate_a_day, floor, needed),
        Shown(FLOORS[Metric.HEALTHY], gate.silence, unhealthy, needed),
        Shown(FLOORS[Metric.SILENCE], gate.silence, silent, needed),
    )


def standing(state: State, settings: Settings, now: float, against: Sequence[str] = ()) -> Standing:
    """Return how far the present step is; whoever asks knows that there is a verdict.

    *against* are the metrics that would pause but for the contamination budget.
    """
    stage = state.stage
    tests = noninferiority(state, settings)
    way, used, waits = _evidence_waits(state, settings, now, tests)
    waits += [
        Wait(code=f"harm:{metric}", sentence=f"Too much speaks against it: {metric}.")
        for metric in against
    ]
    if stage.soaked_seconds < stage.soak_seconds:
        left = (stage.soak_seconds - stage.soaked_seconds) / HOUR
        waits.append(Wait(code="soak", sentence=f"{left:,.1f} h of watching are left."))
    if stage.next_ring is None:
        waits.append(Wait(code="end_of_ladder", sentence="This is the ladder's last step."))
    elif stage.approvals:
        people = "A person" if stage.approvals == 1 else f"{stage.approvals} people"
        waits.append(Wait(code="approval", sentence=f"{people} must open the next step."))
    elif May.PROMOTE not in settings.automatic:
        waits.append(Wait(code="person", sentence="The server may not promote by itself."))
    if not is_open(settings, now):
        waits.append(Wait(code="window", sentence="The server may promote at other times only."))
    return Standing(way, used, tuple(waits))


def is_open(settings: Settings, at: float) -> bool:
    """Whether the server may promote at that time of the week; without windows, always."""
    if not settings.windows:
        return True
    for window in settings.windows:
        day, seconds = divmod(at + window.utc_offset_minutes * 60, DAY)
        weekday = (int(day) + _THURSDAY) % 7
        if weekday in window.weekdays and (
            window.from_hour <= int(seconds // HOUR) < window.to_hour
        ):
            return True
    return False


def _evidence(state: State) -> list[list[list[float]]]:
    """Return the vectors of crash, healthy launch and silence of each evidence that must pass."""
    present = [_vectors(state, state.epoch)]
    if len(state.epochs) == 1 or any(epoch.waived for epoch in state.epochs):
        return present
    epochs = [_vectors(state, epoch) for epoch in state.epochs]
    return [*present, [sum_of(vectors, []) for vectors in zip(*epochs, strict=True)]]


def _vectors(state: State, epoch: Epoch) -> list[list[float]]:
    return [
        total(epoch, metric, platforms_of(epoch, metric, state.held))[0]
        for metric in (_CRASH, _HEALTHY, _SILENCE)
    ]


def _tests(vectors: Sequence[list[float]], gate: Gate) -> tuple[float, float, float]:
    crash, healthy, silence = vectors
    return (
        log_e_noninferiority(crash, gate.margin),
        log_e_noninferiority_outcomes(healthy, gate.margin),
        log_e_silence_gate(silence, gate.silence),
    )


def _floor(state: State, metric: Weighted, share: float) -> float:
    """Return the evidence that fewer than *share* of candidates have the bad outcome."""
    epoch = state.epoch
    bad, known = counts(epoch, metric.processes[0], platforms_of(epoch, metric, state.held))
    return log_e_floor(bad.candidate, known.candidate, share)


def _evidence_waits(
    state: State, settings: Settings, now: float, tests: Sequence[Shown]
) -> tuple[Way, tuple[Shown, ...], list[Wait]]:
    if not tests:
        # Stop lines that nobody could have crossed yet say nothing.
        known = state.stage.guards.get("crashed", OneArm()).known
        first = span(settings.outcome_seconds)
        told = f"Of no install is it known yet how its first {first} went."
        waits = [] if known else [Wait(code="evidence:first_day", sentence=told)]
        return Way.GUARDS, (), waits
    used = tuple(
        floor if floor.passes and not margin.passes else margin
        for margin, floor in zip(tests[:3], tests[3:], strict=True)
    )
    way = Way.MARGIN if used == tuple(tests[:3]) else Way.FLOOR
    short = [each for each in used if not each.passes]
    if not short or now - state.stage.opened_at < settings.timeout_seconds:
        return way, used, [_evidence_wait(each) for each in short]
    if settings.timeout_promotes and used[2].passes and _nothing_speaks_against(state):
        return Way.TIMEOUT, used, []
    within = span(settings.timeout_seconds)
    late = f"The evidence did not come within {within}; a person must decide."
    return (
        way,
        used,
        [*(_evidence_wait(each) for each in short), Wait(code="timeout", sentence=late)],
    )


def _evidence_wait(test: Shown) -> Wait:
    part = max(0.0, test.log_e / test.needed)
    told = f"There is {part:.0%} of the evidence on {test.metric} that is needed."
    return Wait(code=f"evidence:{test.metric}", sentence=told.replace("%", " %"))


def _nothing_speaks_against(state: State) -> bool:
    """Whether no harm shows, weakly tested, and enough candidates' outcomes are known."""
    epoch = state.epoch
    for metric in (_CRASH, _LOOP, _HEALTHY, _SILENCE):
        vectors = total(epoch, metric, platforms_of(epoch, metric, state.held))
        if log_e_of(metric.kind, vectors) >= _LOG_WEAK_HARM:
            return False
    crashes = total(epoch, _CRASH, platforms_of(epoch, _CRASH, state.held))[0]
    low, high = interval(crashes)
    platforms = platforms_of(epoch, _HEALTHY, state.held)
    known = counts(epoch, Metric.HEALTHY, platforms)[1]
    return low <= 1 <= high and known.candidate >= WEAK_INSTALLS
