"""Where the study of one rollout stands: small, mutable, and all that judging reads.

One value holds everything but the register (per install) and the log (per label). Stores keep
it as one blob; a tick of the judge reads it, changes it, and puts it back with its decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from update_server.evidence.facts import Crash, Past

CONTROL_PREFIX = "control:"
"""Before the name of a guard: the same outcome of the installs held back."""


@dataclass(slots=True, kw_only=True)
class Arms:
    """A count of installs in each arm."""

    candidate: int = 0
    control: int = 0

    def add(self, *, candidate: bool, by: int = 1) -> None:
        """Count *by* more (or less) in one arm."""
        if candidate:
            self.candidate += by
        else:
            self.control += by

    def add_all(self, other: Arms) -> None:
        """Count those of *other*, too."""
        self.candidate += other.candidate
        self.control += other.control

    @property
    def total(self) -> int:
        """Both arms."""
        return self.candidate + self.control


@dataclass(slots=True, kw_only=True)
class Process:
    """One test of one metric on one platform, in one epoch.

    ``vector`` is that of the metric's test (``ratio``, ``fisher`` or ``betting``). ``bad``
    counts the labels: first events, or bad outcomes. ``known`` counts the installs whose
    outcome is known; it stays 0 for metrics of first events.
    """

    vector: list[float]
    bad: Arms = field(default_factory=Arms)
    known: Arms = field(default_factory=Arms)


@dataclass(slots=True, kw_only=True)
class Epoch:
    """The evidence since the rollout started, or since it was resumed after an automatic pause.

    ``processes`` is by metric, then platform. Metric names: those of ``settings.Metric``,
    ``signature:<id>`` and ``score:<name>`` (a betting vector) or ``score:<name>:q50``,
    ``…:q90``, ``…:q99``. ``waived`` maps signatures to when the waiver ends. ``most`` is the
    largest number of installs of each arm that entered one stage: since at a promote all enter
    again, it is how many of them there were. ``struck`` counts reports that a person withdrew.
    """

    number: int = 1
    opened_at: float = 0.0
    processes: dict[str, dict[str, Process]] = field(default_factory=dict)
    waived: dict[str, float] = field(default_factory=dict)
    most: Arms = field(default_factory=Arms)
    struck: int = 0


@dataclass(slots=True, kw_only=True)
class Pool:
    """Outcomes that became known and are not scored yet: a matured cohort on its way.

    ``base_rate`` is what silence predicted when the pool was opened; None for other metrics.
    ``networks`` are those of the candidates with the outcome, one each. ``scores`` are a measured
    metric's (label, value) in order of maturing, and ``thresholds`` those of ``scores``.
    """

    opened_at: float
    total: Arms = field(default_factory=Arms)
    bad: Arms = field(default_factory=Arms)
    base_rate: float | None = None
    networks: list[bytes] = field(default_factory=list)
    scores: list[tuple[bool, float]] = field(default_factory=list)
    thresholds: tuple[float, ...] = ()


@dataclass(slots=True, kw_only=True)
class OneArm:
    """Outcomes of candidates (or internal installs) alone: for funnel, guards and floor."""

    failed: int = 0
    known: int = 0


@dataclass(slots=True, kw_only=True)
class Aside:
    """Installs that one rule set reports aside of, each once.

    ``vector`` is that of the sample-ratio test, ``due`` how many of them were to be candidates.
    """

    vector: list[float]
    installs: Arms = field(default_factory=Arms)
    due: float = 0.0


@dataclass(slots=True, kw_only=True)
class Alarm:
    """Crashes of a stage in which nobody is held back, against those of before the rollout.

    ``detector`` is as of the check at ``checked_at``; ``events`` and ``expected`` came since, and
    ``events_so_far`` and ``expected_so_far`` since the stage, or the epoch, began.
    """

    detector: list[float]
    checked_at: float
    events: int = 0
    expected: float = 0.0
    events_so_far: int = 0
    expected_so_far: float = 0.0


@dataclass(slots=True, kw_only=True)
class Stage:
    """The step of the ladder that is open, and who has entered since it opened.

    ``risk_sets`` maps a key (cohort, stratum and platform; see ``study``) to the installs
    that entered and did not leave; ``gone`` maps a metric to those of them that had its first
    event. ``srm`` is the vector of the sample-ratio test. ``soaked_seconds`` grows while the
    verdict is neither null nor suspend. ``guards`` is by the names of ``Ceilings``, with
    ``CONTROL_PREFIX`` for controls; the steps of the update are there for internal installs only,
    candidates' are in ``State.funnel``.
    ``network_events`` is by hex network, with ``step:`` before it for failed steps of an update,
    and ``aside:RULE:`` for installs with reports set aside. ``outages`` are (began, ended), in
    order. Cohorts are numbered over all stages.
    ``fresh`` is the share of those that checked in during the last tick that entered by it, 0 to 1.
    """

    number: int = 0
    position: int = 0
    ring: str = ""
    next_ring: str | None = None
    exposure_bp: int | None = None
    holdback_bp: int = 0
    soak_seconds: int = 0
    approvals: int = 0
    opened_at: float = 0.0
    soaked_seconds: float = 0.0
    judged_at: float | None = None
    entered: Arms = field(default_factory=Arms)
    internal: int = 0
    srm: list[float] = field(default_factory=list)
    cohort: int = 0
    cohort_entrants: int = 0
    fresh: float = 1.0
    risk_sets: dict[int, Arms] = field(default_factory=dict)
    gone: dict[str, dict[int, Arms]] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    guards: dict[str, OneArm] = field(default_factory=dict)
    floor: OneArm = field(default_factory=OneArm)
    failed_starts: int = 0
    capped_networks: int = 0
    network_events: dict[str, int] = field(default_factory=dict)
    outages: list[tuple[float, float]] = field(default_factory=list)
    open_outcomes: int | None = None  # first ones of members; None: nobody counted from the start
    alarm: Alarm | None = None  # where nobody is held back, and something is known of before


@dataclass(slots=True, kw_only=True)
class State:
    """Everything the judge knows of one rollout.

    ``now`` is the instant of the last tick. ``epochs`` is never empty; the last is the present
    one. ``signatures`` (in the order in which they appeared, in either arm) last over stages and
    epochs, ``funnel`` over the stages of an epoch. ``held`` are the platforms that are kept back.
    ``tamper`` keeps, by metric, what the judge found when it last read the log: a log e-value,
    the tamper margin at it, and the log e-values without one and without a few networks.
    ``not_aged`` counts installs that the age gate kept out. ``past`` is how installs did before
    the rollout, None where nobody told. ``asides`` is by rule; ``unequal`` names the one that
    suspended, empty where it was the entrants.
    """

    now: float = 0.0
    started_at: float = 0.0
    ticks: int = 0
    facts: int = 0
    stage: Stage = field(default_factory=Stage)
    stages: int = 0
    platforms: list[str] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=lambda: [Epoch()])
    paused: bool = False
    paused_automatically: bool = False
    suspended: bool = False
    unequal: str = ""
    lag_seconds: float = 0.0  # how late the facts of now were taken in; 0: in time
    held: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    funnel: dict[str, OneArm] = field(default_factory=dict)
    silent_controls: dict[int, Arms] = field(default_factory=dict)  # stratum: (silent, all)
    baselines: dict[str, list[float]] = field(default_factory=dict)  # today's control scores
    thresholds: dict[str, tuple[float, ...]] = field(default_factory=dict)  # yesterday's
    baselines_day: int = -1
    contacts: int = 0
    not_aged: int = 0
    last_contact_at: float | None = None
    decided: str = ""  # the judge's last decision: it is not made again
    tamper: dict[str, list[float]] = field(default_factory=dict)
    past: Past | None = None
    unnamed: list[Crash] = field(default_factory=list)  # they wait for their signature
    asides: dict[str, Aside] = field(default_factory=dict)

    @property
    def epoch(self) -> Epoch:
        """The present epoch."""
        return self.epochs[-1]


# --- the log: what a decision can be recomputed from ---------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One first event: whose arm it was, and how many of each arm were at risk before it.

    ``event`` names it (SHA-256 of its id); ``network`` is where it came from. ``struck``: a person
    withdrew it afterwards; what was counted stays counted, and decisions are recomputed without.
    """

    epoch: int
    metric: str
    platform: str
    at: float
    candidate: bool
    n_candidate: int
    n_control: int
    event: bytes = b""
    network: bytes = b""
    struck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One matured cohort that was scored. ``base_rate`` is silence's; else None.

    ``scores`` are a betting cohort's (label, value), with its centre in ``centre``. ``networks``
    are those of the candidates with the outcome, one each, empty where not known; or none at all.
    """

    epoch: int
    metric: str
    platform: str
    at: float
    k_candidate: int
    k: int
    n_candidate: int
    n_control: int
    base_rate: float | None = None
    centre: float | None = None
    scores: tuple[tuple[bool, float], ...] = ()
    networks: tuple[bytes, ...] = ()


class Log(Protocol):
    """What was counted, in order. Read only when a decision is due."""

    def add(self, entries: Sequence[Label | Scored]) -> None: ...
    def labels(self, epoch: int, metric: str) -> Sequence[Label]: ...
    def scored(self, epoch: int, metric: str) -> Sequence[Scored]: ...


class MemoryLog:
    """A log in memory, for rehearsals and tests."""

    def __init__(self) -> None:
        self._entries: list[Label | Scored] = []

    def add(self, entries: Sequence[Label | Scored]) -> None:
        """Append *entries*."""
        self._entries.extend(entries)

    def labels(self, epoch: int, metric: str) -> Sequence[Label]:
        """Return the labels of one metric in one epoch."""
        return [
            e
            for e in self._entries
            if isinstance(e, Label) and e.epoch == epoch and e.metric == metric
        ]

    def scored(self, epoch: int, metric: str) -> Sequence[Scored]:
        """Return the scored cohorts of one metric in one epoch."""
        return [
            e
            for e in self._entries
            if isinstance(e, Scored) and e.epoch == epoch and e.metric == metric
        ]
