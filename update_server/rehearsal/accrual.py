"""The evidence to be expected, hour by hour, and when it is enough for a pause or a promotion.

Sums last over the steps of a rollout, as the judge's do; what stop lines and the floor count is the
step's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import log
from typing import TypeVar

from update_server.evidence.gates import WEAK_INSTALLS
from update_server.evidence.guards import ABOVE_CONTROL, LOG_GUARD
from update_server.evidence.one_sample import log_e_above, log_e_floor
from update_server.evidence.planner import mean_until_pass, mean_until_pause
from update_server.evidence.ratio import MARGINS
from update_server.evidence.settings import DAY, HOUR, Metric
from update_server.rehearsal.information import MIXTURE_NATS, chance, of_labels
from update_server.rehearsal.scene import Limit, Scene

_AN_HOUR = HOUR / DAY
_Key = TypeVar("_Key")

_LOG_WEAK = log(3)

STOP_LINE = "stop_line:"
"""What the name of a stop line begins with, where a metric's could stand."""


@dataclass(slots=True, kw_only=True)
class Accrual:
    """Nats so far: against "no harm" by metric, and against each limit of a gate.

    ``days`` is how long first events have been awaited, over all steps.
    """

    days: float = 0.0
    harm: dict[str, float] = field(default_factory=dict)
    gate: dict[Limit, float] = field(default_factory=dict)

    def copy(self) -> Accrual:
        """Return a copy that goes its own way."""
        return replace(self, harm=dict(self.harm), gate=dict(self.gate))

    def add_hour(self, scene: Scene, hour: int) -> None:
        """Add what the step's *hour*, counted from 1, brings."""
        if not scene.is_compared:
            return
        self._add_crashes(scene, scene.candidates(hour - 0.5))
        self._add_outcomes(scene, hour)
        self.days += _AN_HOUR

    def _add_crashes(self, scene: Scene, installs: float) -> None:
        fleet, ratio, r = scene.fleet, scene.harm.crash_ratio, scene.controls
        until = self.days + _AN_HOUR
        control = fleet.crashed(until) - fleet.crashed(self.days)
        candidate = fleet.crashed(until, ratio) - fleet.crashed(self.days, ratio)
        unlike = installs * of_labels(candidate, control, r)
        _add(self.harm, str(Metric.CRASH), unlike if ratio > 1 else 0.0)
        for margin in MARGINS:
            nats = installs * of_labels(candidate, control, r, margin) - unlike
            _add(self.gate, (str(Metric.CRASH), margin), nats)

    def _add_outcomes(self, scene: Scene, hour: int) -> None:
        known = {}
        for metric, window in (
            (str(Metric.HEALTHY), scene.plan.settings.outcome_seconds),
            (str(Metric.SILENCE), scene.window_seconds),
        ):
            known[metric] = scene.known(hour, window) - scene.known(hour - 1, window)
        for metric, nats in scene.harm_nats.items():
            _add(self.harm, metric, known[metric] * nats)
        for limit, nats in scene.gate_nats.items():
            _add(self.gate, limit, known[limit[0]] * nats)

    # --- whether it is enough --------------------------------------------------------------

    def cause_to_stop(self, scene: Scene, hour: int) -> str | None:
        """Return the metric or stop line that pauses the rollout by then, if one does."""
        settings, budget = scene.plan.settings, scene.plan.budget(scene.position)
        for metric, nats in self.harm.items():
            weight = settings.weights.get(metric, 0.0)
            if not weight:
                continue
            needed = log(1 / (settings.alpha * weight))
            if metric == Metric.CRASH:
                # Each report that is taken for forged takes this much with it.
                lost = budget * log(max(1.0, scene.harm.crash_ratio))
                enough = nats >= mean_until_pause(needed) + lost
            else:
                window = _window(scene, metric)
                bad = scene.known(hour, window) * scene.bricked
                enough = nats >= needed + MIXTURE_NATS and bad > budget
            if enough:
                return metric
        return _stop_line(scene, hour)

    def lacks(self, scene: Scene, hour: int) -> tuple[str, ...]:
        """Return what the step's gate lacks by then."""
        if not scene.is_compared:
            return ()
        settings = scene.plan.settings
        if scene.candidates(hour) < settings.minimum_installs:
            return ("minimum_installs",)
        needed = mean_until_pass(log(1 / settings.alpha_noninferiority))
        floors = _floors(scene, hour)
        return tuple(
            limit[0]
            for limit in limits_of(scene)
            if max(self.gate.get(limit, 0.0), floors[limit[0]]) < needed
        )

    def passes_weakly(self, scene: Scene, hour: int, lacks: tuple[str, ...]) -> bool:
        """Whether the gate opens by time alone, where the ladder says so."""
        settings = scene.plan.settings
        return (
            settings.timeout_promotes
            and not {str(Metric.SILENCE), "minimum_installs"} & set(lacks)
            and scene.known(hour, settings.outcome_seconds) >= WEAK_INSTALLS
            and self.harm.get(str(Metric.CRASH), 0.0) < _LOG_WEAK
        )

    def chance_to_pass(self, scene: Scene, hour: int) -> dict[str, float]:
        """Return, by metric, how likely its part of the gate is passed by then."""
        settings = scene.plan.settings
        needed = mean_until_pass(log(1 / settings.alpha_noninferiority))
        if scene.candidates(hour) < settings.minimum_installs:
            return {"minimum_installs": 0.0}
        floors = _floors(scene, hour)
        return {
            metric: 1.0
            if floors[metric] >= needed
            else chance(self.gate.get((metric, limit), 0.0), needed)
            for metric, limit in limits_of(scene)
        }


def limits_of(scene: Scene) -> tuple[Limit, ...]:
    """Return what the gate of the step has to rule out."""
    gate = scene.plan.gate(scene.position)
    return (
        (str(Metric.CRASH), gate.margin),
        (str(Metric.HEALTHY), gate.margin),
        (str(Metric.SILENCE), gate.silence),
    )


def _floors(scene: Scene, hour: int) -> dict[str, float]:
    """Return the evidence that candidates are well, whatever control is, by metric."""
    settings = scene.plan.settings
    limit, day = scene.plan.gate(scene.position).silence, settings.outcome_seconds
    crashed = scene.fleet.crashed(1, scene.harm.crash_ratio)
    return {
        str(metric): log_e_floor(round(n * share), n, rate)
        for metric, n, share, rate in (
            (Metric.CRASH, int(scene.known(hour, DAY)), crashed, settings.floor_rate_a_day),
            (Metric.HEALTHY, int(scene.known(hour, day)), scene.unhealthy_candidates, limit),
            (Metric.SILENCE, int(scene.known(hour, scene.window_seconds)), scene.silent, limit),
        )
    }


def _stop_line(scene: Scene, hour: int) -> str | None:
    settings, ceilings = scene.plan.settings, scene.plan.settings.ceilings
    sound, bricked = scene.fleet.crashed(1), scene.bricked
    crashed = scene.fleet.crashed(1, scene.harm.crash_ratio) * (1 - bricked)
    day, window = settings.outcome_seconds, scene.window_seconds
    for name, seconds, share, control, stated in (
        ("crashed", day, crashed, sound, ceilings.crashed),
        ("unhealthy", day, scene.unhealthy_candidates, scene.unhealthy, ceilings.unhealthy),
        ("silent", window, scene.silent, scene.silent_controls, ceilings.silent),
    ):
        n = int(scene.known(hour, seconds))
        # Where there are controls no line is lower than what they show.
        ceiling = max(stated, ABOVE_CONTROL * control) if scene.is_compared else stated
        if ceiling < share <= 1 and log_e_above(round(n * share), n, ceiling) >= LOG_GUARD:
            return STOP_LINE + name
    return None


def _window(scene: Scene, metric: str) -> float:
    is_silence = metric == Metric.SILENCE
    return scene.window_seconds if is_silence else scene.plan.settings.outcome_seconds


def _add(sums: dict[_Key, float], key: _Key, nats: float) -> None:
    sums[key] = sums.get(key, 0.0) + nats
