"""What is known of telemetry itself, in one view: arrivals, losses, clocks, opt-outs, set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.model import Rollout, RolloutId
from update_server.evidence.asides import LOG_UNEQUAL
from update_server.evidence.facts import Rule
from update_server.evidence.srm import log_e_srm
from update_server.service.ports import Clock, Database, NotFoundError, Stores
from update_server.service.ports.arrivals import Arrived, LevelCount
from update_server.service.ports.quarantine import RuleCount
from update_server.service.ports.recounts import Recount
from update_server.service.ports.studies import StoredStudy
from update_server.service.studies.codec import decode_settings, decode_state
from update_server.service.telemetry.arrivals import KEPT
from update_server.service.telemetry.counting import DISCARDS_KIND
from update_server.service.telemetry.levels import ArmLevels, by_arm
from update_server.service.telemetry.notes import CLOCK_KIND, REJECTED_KIND

MOST_HOURS: Final = int(KEPT.total_seconds()) // 3_600

# A chart has some 200 points at most.
_BY_MINUTE_HOURS: Final = 3
_COARSE: Final = timedelta(minutes=15)
_FINE: Final = timedelta(minutes=1)
_RULES: Final = frozenset(rule.value for rule in Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """What of one kind was received in the step that began ``at``.

    ``events`` are those that were taken in, ``set_aside`` and ``rejected`` those that were not;
    ``late_seconds`` is how late at most they were digested.
    """

    at: datetime
    kind: str
    events: int = 0
    set_aside: int = 0
    rejected: int = 0
    late_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unequal:
    """How one rule hits the arms of a rollout, in installs; see ``evidence.asides``."""

    rule: str
    candidate: int
    control: int
    candidates_due: float
    log_e: float
    needed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutTelemetry:
    """Levels of telemetry, and what is set aside, by arm of a live rollout.

    Installs were counted by level at ``counted_at``; None: not yet, and then nothing is said.
    ``age_gate``: only installs that were known before the release are evidence. None: there is
    no study yet.
    """

    rollout: Rollout
    counted_at: datetime | None
    levels: Sequence[LevelCount]
    arms: Sequence[ArmLevels]
    age_gate: bool | None
    set_aside: Sequence[Unequal]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryView:
    """The last ``hours`` of arrivals in steps, and sums of them.

    ``newest_at`` is when the last of it arrived, None if nothing did.
    ``rejected`` is by code, ``discards`` by the reason that SDKs gave. ``clocks`` counts requests
    by how far their sender's clock was off (``drifts.drift_class``); ``median_drift_seconds`` is
    the class of the middle one, None where none told. ``quarantine`` goes back 35 days.
    """

    hours: int
    step_seconds: int
    newest_at: datetime | None
    arrivals: Sequence[Arrivals]
    rejected: Mapping[str, int]
    discards: Mapping[str, int]
    clocks: Mapping[str, int]
    median_drift_seconds: int | None
    quarantine: Sequence[RuleCount]
    rollouts: Sequence[RolloutTelemetry]


class TelemetryReport:
    """Looks at the telemetry of an app."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def of_rollout(self, app: str, rollout_id: RolloutId) -> RolloutTelemetry:
        """Return how far to trust what one rollout's installs tell. Raises NotFoundError."""
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            recount = stores.recounts.of([rollout_id]).get(rollout_id)
            return trust_of(rollout, recount, _study(stores, rollout))

    def look(self, app: str, hours: int = MOST_HOURS) -> TelemetryView:
        """Return the last *hours*, at most ``MOST_HOURS``. Raises NotFoundError."""
        hours = min(hours, MOST_HOURS)
        step = _FINE if hours <= _BY_MINUTE_HOURS else _COARSE
        since = self._clock.now() - timedelta(hours=hours)
        with self._database.reading() as stores:
            stores.apps.get(app)
            arrived = stores.arrivals.since(app, since, step)
            quarantine = stores.quarantine.counts(app)
            live = [each for each in stores.rollouts.live() if each.app == app]
            recounts = stores.recounts.of([each.id for each in live])
            studies = stores.studies.of([each.id for each in live])
            rollouts = [
                trust_of(each, recounts.get(each.id), studies.get(each.id)) for each in live
            ]
        clocks = _sum(arrived, CLOCK_KIND)
        return TelemetryView(
            hours=hours,
            step_seconds=int(step.total_seconds()),
            newest_at=max((one.last_at or one.minute for one in arrived), default=None),
            arrivals=_steps(arrived, step),
            rejected=_sum(arrived, REJECTED_KIND),
            discards=_sum(arrived, DISCARDS_KIND),
            clocks=clocks,
            median_drift_seconds=_median(clocks),
            quarantine=quarantine,
            rollouts=rollouts,
        )


def _steps(arrived: Iterable[Arrived], step: timedelta) -> list[Arrivals]:
    found: dict[tuple[datetime, str], Counter[str]] = {}
    late: dict[tuple[datetime, str], float] = {}
    for one in arrived:
        if one.kind in {CLOCK_KIND, DISCARDS_KIND}:  # no events, but what was told in them
            continue
        key = _begin(one.minute, step), one.kind
        counts = found.setdefault(key, Counter())
        counts[_column(one)] += one.events
        late[key] = max(one.late_seconds, late.get(key, 0.0))
    return [
        Arrivals(
            at=at,
            kind=kind,
            events=counts["events"],
            set_aside=counts["set_aside"],
            rejected=counts["rejected"],
            late_seconds=late[at, kind],
        )
        for (at, kind), counts in sorted(found.items())
    ]


def _column(one: Arrived) -> str:
    if one.kind == REJECTED_KIND:
        return "rejected"
    return "set_aside" if one.code in _RULES else "events"


def _begin(at: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % step


def _sum(arrived: Iterable[Arrived], kind: str) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for one in arrived:
        if one.kind == kind:
            counts[one.code] += one.events
    return dict(sorted(counts.items()))


def _median(clocks: Mapping[str, int]) -> int | None:
    """Return the class of the middle request; of two the lower one."""
    left = (sum(clocks.values()) + 1) // 2
    for drift in sorted(map(int, clocks)):
        left -= clocks[str(drift)]
        if left <= 0:
            return drift
    return None


def trust_of(
    rollout: Rollout, recount: Recount | None, study: StoredStudy | None
) -> RolloutTelemetry:
    """Return how far to trust what the installs of *rollout* tell."""
    levels = recount.levels if recount else ()
    return RolloutTelemetry(
        rollout=rollout,
        counted_at=recount.counted_at if recount else None,
        levels=levels,
        arms=by_arm(levels),
        age_gate=None if study is None else _has_age_gate(study),
        set_aside=[] if study is None else _unequal(study),
    )


def _study(stores: Stores, rollout: Rollout) -> StoredStudy | None:
    try:
        return stores.studies.get(rollout.id)
    except NotFoundError:
        return None


def _has_age_gate(study: StoredStudy) -> bool:
    settings = decode_settings(study.settings)
    return settings.minimum_age_seconds > 0 or settings.minimum_check_ins > 0


def _unequal(study: StoredStudy) -> list[Unequal]:
    state = decode_state(study.state)
    return [
        Unequal(
            rule=rule,
            candidate=aside.installs.candidate,
            control=aside.installs.control,
            candidates_due=aside.due,
            log_e=log_e_srm(aside.vector),
            needed=LOG_UNEQUAL,
        )
        for rule, aside in sorted(state.asides.items())
    ]
