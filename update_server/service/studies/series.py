"""What speaks for and against a release over time, and when its crashes came. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollout.model import Arm, Rollout, RolloutId
from update_server.evidence.guards import FUNNEL_STEPS, Line, all_lines
from update_server.evidence.settings import Metric, Settings
from update_server.evidence.state import State
from update_server.evidence.weighing import SIGNATURE_PREFIX, weighted_metrics
from update_server.service.ports import Clock, Database, NotFoundError, Stores
from update_server.service.ports.crashes import UNATTRIBUTED
from update_server.service.ports.series import FirstCrashes, StudyPoint
from update_server.service.ports.studies import StoredStudy
from update_server.service.studies.codec import decode_settings, decode_state
from update_server.service.studies.stretch import Stretch

CRASH_HOURS: Final = timedelta(hours=168)
"""How far back crashes are told hour by hour: no more hours than can be drawn."""


ARMS: Final = (*(arm.value for arm in Arm), UNATTRIBUTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A metric whose e-values are among the points, and at which log e-value it pauses."""

    metric: str
    weight: float
    needed: float
    advisory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Installs by arm that first had a crash in an hour; hours without any are left out."""

    signature: str
    hours: Mapping[datetime, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesView:
    """A study over time; empty, and ``alpha`` None, where the rollout is not judged.

    ``gaps`` are from when to when nothing was received from anybody, in the present stage.
    ``crashes`` are of the signatures that speak most against the release, ``since`` an instant.
    """

    rollout: Rollout
    alpha: float | None
    limits: Sequence[Limit]
    points: Sequence[StudyPoint]
    gaps: Sequence[tuple[datetime, datetime]]
    since: datetime
    crashes: Sequence[Hours]


class EvidenceSeries:
    """Answers what there is to draw."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def of_rollout(self, app: str, rollout_id: RolloutId) -> SeriesView:
        """Return the study of a rollout over time, with the same number of statements always.

        Raises NotFoundError.
        """
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            try:
                study = stores.studies.get(rollout_id)
            except NotFoundError:
                study = None
            return read_series(stores, rollout, study, self._clock.now())

    def of_crash(
        self, app: str, signatures: Sequence[str], rollout: RolloutId | None = None
    ) -> tuple[datetime, Sequence[Hours]]:
        """Return since when, and in which hours installs first had these crashes.

        In one *rollout*, or in any. Of an app that there is not, nothing is known.
        """
        since = self._clock.now() - CRASH_HOURS
        with self._database.reading() as stores:
            first = stores.series.first_crashes(app, signatures, since, rollout)
        return since, _by_hour(signatures, first)


def read_series(
    stores: Stores, rollout: Rollout, study: StoredStudy | None, now: datetime
) -> SeriesView:
    """Return *study* over time; None: the rollout is not judged."""
    since = now - CRASH_HOURS
    if study is None:
        return _unjudged(rollout, since)
    points = stores.series.points(rollout.id)
    names = _signatures(points)
    first = stores.series.first_crashes(rollout.app, names, since, rollout.id)
    state, settings = decode_state(study.state), decode_settings(study.settings)
    stretch = Stretch(origin=study.opened_at.timestamp(), speed=settings.speed)
    told = {name for point in points for name in point.body["log_e"]}
    return SeriesView(
        rollout=rollout,
        alpha=settings.alpha,
        limits=[each for each in _limits(state, settings) if each.metric in told],
        points=points,
        gaps=[(stretch.back(a), stretch.back(b)) for a, b in state.stage.outages],
        since=since,
        crashes=_by_hour(names, first),
    )


def _unjudged(rollout: Rollout, since: datetime) -> SeriesView:
    return SeriesView(
        rollout=rollout, alpha=None, limits=(), points=(), gaps=(), since=since, crashes=()
    )


def _signatures(points: Sequence[StudyPoint]) -> list[str]:
    """Return the signatures of the newest point, in a fixed order."""
    if not points:
        return []
    names = points[-1].body["log_e"]
    found = [each for each in names if each.startswith(SIGNATURE_PREFIX)]
    found.sort(key=lambda each: (-names[each], each))
    return [each.removeprefix(SIGNATURE_PREFIX) for each in found]


def _limits(state: State, settings: Settings) -> list[Limit]:
    found = [
        Limit(
            metric=str(each.metric),
            weight=each.weight,
            needed=each.needed(settings.alpha),
            advisory=each.advisory,
        )
        for each in weighted_metrics(state, settings)
    ]
    share = settings.weights.get(Metric.FUNNEL, 0.0) / len(FUNNEL_STEPS)
    found += [
        Limit(metric=line.name, weight=share, needed=line.needed, advisory=False)
        for line in all_lines(state, settings)
        if line.line is Line.FUNNEL
    ]
    return found


def _by_hour(signatures: Sequence[str], first: Sequence[FirstCrashes]) -> list[Hours]:
    found: dict[str, dict[datetime, dict[str, int]]] = {name: {} for name in signatures}
    for one in first:
        arms = found[one.signature].setdefault(one.at, dict.fromkeys(ARMS, 0))
        arms[one.arm if one.arm in arms else UNATTRIBUTED] += one.installs
    return [Hours(signature=name, hours=hours) for name, hours in found.items()]
