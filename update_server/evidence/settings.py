"""What a rollout is judged by. Fixed when it starts; the defaults are the published ones.

Not here: reading them from a ladder file (``ladder``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

HOUR = 3_600.0
DAY = 86_400.0


class Metric(StrEnum):
    """The metrics with a test of their own. Measured ones are named ``score:<name>``."""

    CRASH = "crash"
    CRASH_LOOP = "crash_loop"
    HEALTHY = "healthy_launch"
    SILENCE = "silence"
    LATER_SILENCE = "later_silence"
    FUNNEL = "funnel"
    SIGNATURE = "signature"


class May(StrEnum):
    """What the server may do by itself."""

    PAUSE = "pause"
    PULL = "pull"
    PROMOTE = "promote"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What an exposure up to ``up_to_bp`` has to show before the next step opens.

    ``margin`` is a hazard ratio (crash) and odds ratio (first healthy launch); it is one of
    the grid's. ``silence`` is the share of bricked installs that must be ruled out.
    """

    up_to_bp: int
    margin: float
    silence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measured metric: the sum of the measured metrics' weights is part of the total 1.

    ``test``: ``exceedance`` (first value above control's quantiles) or ``betting`` (its mean,
    clipped at control's q99). ``advisory`` metrics are shown and never pause.
    """

    name: str
    weight: float
    higher_is_worse: bool = True
    test: str = "exceedance"
    advisory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When the server may promote: weekdays (0 Monday) and hours of the day, in one time zone.

    ``utc_offset_minutes`` is the zone's; ``from_hour`` <= hour < ``to_hour``.
    """

    weekdays: frozenset[int] = frozenset(range(7))
    from_hour: int = 0
    to_hour: int = 24
    utc_offset_minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Shares above which a ring is stopped whatever control does (section Guards)."""

    crashed: float = 0.10
    unhealthy: float = 0.05
    crash_loop: float = 0.02
    silent: float = 0.30
    download: float = 0.02
    verify: float = 0.005
    apply: float = 0.005
    failed_starts: int = 3  # distinct internal installs


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the judge needs to know beside the facts.

    ``alpha`` is the chance of ever pausing a harmless release in one epoch; ``weights`` split
    it over the metrics. ``budget`` candidate events may be forged without a pause while the
    exposure is at most ``budget_up_to_bp``. The events of ``network_cap`` installs of one network
    and stage are believed; 0 means any number. ``minimum_age`` is asked by whoever makes the facts.
    ``minimum_installs`` candidates a stage needs before anything but harm is said of it.
    ``timeout_promotes``: past ``timeout_seconds`` weaker evidence opens the next step.
    ``history_pauses``: where nobody is held back, crashes far above those of before the rollout
    pause it; else they are only told.
    ``offers_per_minute`` bounds how fast installs are taken in; 0 is no bound.
    ``speed`` above 1 makes the judge's clock run faster than ours: for demonstrations only.
    """

    alpha: float = 0.01
    alpha_noninferiority: float = 0.05
    weights: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                Metric.CRASH: 0.30,
                Metric.SILENCE: 0.20,
                Metric.LATER_SILENCE: 0.05,
                Metric.HEALTHY: 0.15,
                Metric.CRASH_LOOP: 0.10,
                Metric.SIGNATURE: 0.10,
                Metric.FUNNEL: 0.05,
            }
        )
    )
    measured: tuple[Measured, ...] = (Measured(name="startup_ms", weight=0.05),)
    gates: tuple[Gate, ...] = (
        Gate(up_to_bp=100, margin=3.0, silence=0.1),
        Gate(up_to_bp=1_000, margin=2.0, silence=0.05),
        Gate(up_to_bp=5_000, margin=1.5, silence=0.02),
        Gate(up_to_bp=10_000, margin=1.25, silence=0.01),
    )
    ceilings: Ceilings = field(default_factory=Ceilings)
    automatic: frozenset[May] = frozenset({May.PAUSE, May.PULL, May.PROMOTE})
    windows: tuple[Window, ...] = ()
    minimum_installs: int = 20
    minimum_age_seconds: float = 7 * DAY
    minimum_check_ins: int = 3
    budget: int = 2
    budget_up_to_bp: int = 1_000
    network_cap: int = 3
    pull_margin: int = 4
    pull_log_factor: float = 100.0  # a pull asks for this many times a pause's evidence
    pull_lower_ratio: float = 1.5
    outcome_seconds: float = DAY  # first healthy launch, and the floor
    silence_minimum_seconds: float = DAY
    silence_gaps: float = 3.0
    cohort_installs: float = 20.0  # over the smaller share
    cohort_seconds: float = DAY
    timeout_seconds: float = 7 * DAY
    timeout_promotes: bool = False
    history_pauses: bool = True
    floor_rate_a_day: float = 0.001
    baseline_silence: float = 0.1  # where nothing is known of a stratum
    no_verdict_alert_soaks: float = 2.0
    offers_per_minute: int = 0
    speed: float = 1.0

    def gate_for(self, exposure_bp: int) -> Gate:
        """Return the gate of an exposure in basis points."""
        return next((g for g in self.gates if exposure_bp <= g.up_to_bp), self.gates[-1])


STANDARD = Settings()
