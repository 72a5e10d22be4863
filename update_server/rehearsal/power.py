"""The power table: what each ring notices, by itself, of a release that is worse."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

from update_server.evidence.planner import smallest_ratio
from update_server.evidence.settings import DAY, HOUR, Metric
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.harm import Harm
from update_server.rehearsal.information import MIXTURE_NATS, chance, of_silence
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.scene import Scene

POWER = 0.8
"""How likely what the table says is noticed."""

_DAY_HOURS = round(DAY / HOUR)
_ALMOST_ALL = 1 - 1e-9
_BISECTIONS = 30
_SLICES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What one step notices within ``hours`` of its opening.

    ``crash_ratio`` and ``bricked_share`` are the smallest ones found with probability ``POWER``,
    None where even the largest are not. ``exposed`` installs have taken the release by then, and
    ``crashed`` of them have crashed on it at that ratio (at 1 if there is none).
    """

    hours: float
    candidates: float
    crash_ratio: float | None
    bricked_share: float | None
    exposed: float
    crashed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step of the ladder: what it notices in a day, and by the end of its soak."""

    position: int
    ring: str
    share: float
    in_a_day: Power
    in_soak: Power


def power_table(plan: Plan, fleet: Fleet) -> tuple[Row, ...]:
    """Return a row for each step that compares two arms."""
    rows = []
    for position, step in enumerate(plan.steps):
        scene = Scene(plan=plan, fleet=fleet, harm=Harm(), position=position)
        if scene.is_compared:
            rows.append(
                Row(
                    position=position,
                    ring=step.ring,
                    share=scene.share,
                    in_a_day=power_within(scene, _DAY_HOURS),
                    in_soak=power_within(scene, step.soak_seconds / HOUR),
                )
            )
    return tuple(rows)


def power_within(scene: Scene, hours: float) -> Power:
    """Return what the step of *scene* notices within *hours* of its opening."""
    candidates = scene.candidates(hours)
    base = crashed_since_entry(scene, hours)
    ratio = _smallest_ratio(scene, int(candidates), base)
    exposed = scene.most_exposed * scene.heard(hours)
    return Power(
        hours=hours,
        candidates=candidates,
        crash_ratio=ratio,
        bricked_share=_smallest_share(scene, hours),
        exposed=exposed,
        crashed=exposed * min(1.0, base * (ratio or 1.0)),
    )


def crashed_since_entry(scene: Scene, hours: float) -> float:
    """Return the share of those that entered within *hours* that crash in that time."""
    heard = scene.heard(hours)
    if heard <= 0:
        return 0.0
    width, crashed = hours / _SLICES, 0.0
    for number in range(_SLICES):
        entered = scene.heard((number + 1) * width) - scene.heard(number * width)
        crashed += entered * scene.fleet.crashed((hours - (number + 0.5) * width) * HOUR / DAY)
    return crashed / heard


def _smallest_ratio(scene: Scene, candidates: int, base: float) -> float | None:
    settings = scene.plan.settings
    weight = settings.weights.get(Metric.CRASH, 0.0)
    if not weight or not candidates or not base:
        return None
    budget, ratio = scene.plan.budget(scene.position), 1.0
    # Reports that are taken for forged take the logarithm of the ratio each with them, which is
    # as if there were less alpha; the second round knows the ratio well enough.
    for _ in range(2 if budget else 1):
        ratio = smallest_ratio(
            base,
            candidates,
            scene.controls,
            alpha=settings.alpha * ratio**-budget,
            weight=weight,
            power=POWER,
        )
        if ratio == inf:
            return None
    return ratio


def _smallest_share(scene: Scene, hours: float) -> float | None:
    settings = scene.plan.settings
    weight = settings.weights.get(Metric.SILENCE, 0.0)
    known = scene.known(hours, scene.window_seconds)
    if not weight or known < 1:
        return None
    needed = log(1 / (settings.alpha * weight)) + MIXTURE_NATS
    strata, budget = scene.fleet.silence(settings), scene.plan.budget(scene.position)

    def is_found(share: float) -> bool:
        # Of bricked installs alone, more than may be forged.
        nats = known * of_silence(strata, share, scene.controls)
        return known * share > budget + 1 and chance(nats, needed) >= POWER

    if not is_found(_ALMOST_ALL):
        return None
    low, high = 0.0, _ALMOST_ALL
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if is_found(middle):
            high = middle
        else:
            low = middle
    return high
