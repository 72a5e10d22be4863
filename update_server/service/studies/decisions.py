"""What was decided, and what it rests on: for people who want to see for themselves. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rollout.model import RolloutId
from update_server.evidence.recomputing import Recomputed, recompute
from update_server.evidence.replay import CANDIDATE, CONTROL
from update_server.evidence.settings import Settings
from update_server.evidence.state import Arms, Label, Scored, State
from update_server.evidence.weighing import (
    Kind,
    Weighted,
    counts,
    estimate_of,
    interval_of,
    log_e_of,
    platforms_of,
    total,
    weighted_metrics,
)
from update_server.service.errors import BadValueError
from update_server.service.ports import Database, NotFoundError
from update_server.service.ports.studies import LogKind, StoredDecision
from update_server.service.repository.desired import documents_of
from update_server.service.studies.codec import decode_entry, decode_settings, decode_state
from update_server.service.studies.past_rollouts import PastRollout, past_rollouts
from update_server.service.studies.standings import StudyView, study_view
from update_server.service.studies.stretch import Stretch

MOST_RECOMPUTED: Final = 20_000
"""Entries of a log that a request recomputes: each is weighed against 118 ratios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a study's log, and when it was counted by our clock."""

    at: datetime
    counted: Label | Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """What speaks for and against a release by one metric, in the present epoch.

    ``log_e`` and ``needed`` are in nats. ``ratio`` and ``interval`` (95 %) are None where the
    metric has none. ``entries`` are those behind it, in the order in which they were counted.
    ``replay`` is the document that ``evidence.replay`` takes; None where there is nothing to
    replay: it is about metrics of first events.
    """

    rollout: RolloutId
    metric: str
    epoch: int
    ring: str
    weight: float
    advisory: bool
    alpha: float
    log_e: float
    needed: float
    ratio: float | None
    interval: tuple[float, float] | None
    bad: Arms
    of: Arms
    entries: tuple[Entry, ...]
    replay: Mapping[str, Any] | None


class DecisionLog:
    """Answers questions about verdicts, and about the evidence behind them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, app: str, rollout_id: RolloutId, *, before: int | None, limit: int
    ) -> tuple[Sequence[StoredDecision], int | None]:
        """Return decisions about a rollout, newest first, and the number to go on before.

        Raises NotFoundError.
        """
        with self._database.reading() as stores:
            found = stores.decisions.page(app, rollout=rollout_id, before=before, limit=limit + 1)
            if not found:
                stores.rollouts.get(app, rollout_id)
        more = len(found) > limit
        return found[:limit], found[limit - 1].number if more else None

    def past(self, app: str, channel: str, limit: int) -> Sequence[PastRollout]:
        """Return what became of the last rollouts of a channel, newest first.

        Raises:
            NotFoundError, NotRegisteredError: There is no such app, or no policy of it.
        """
        with self._database.reading() as stores:
            stores.apps.get(app)
            policy, _ = documents_of(stores, app, channel)
            return past_rollouts(stores, app, channel, policy, limit)

    def recomputed(
        self, app: str, rollout_id: RolloutId, number: int | None = None
    ) -> tuple[StoredDecision, Recomputed]:
        """Return decision *number* about a rollout, or the newest, recomputed from its log.

        Raises:
            NotFoundError: There is no such rollout or decision.
            BadValueError: It was made from more entries than ``MOST_RECOMPUTED``.
        """
        with self._database.reading() as stores:
            stores.rollouts.get(app, rollout_id)
            before = None if number is None else number + 1
            found = stores.decisions.page(app, rollout=rollout_id, before=before, limit=1)
            if not found or number not in {None, found[0].number}:
                raise NotFoundError("decision", "newest" if number is None else str(number))
            [decision] = found
            if decision.log_size > MOST_RECOMPUTED:
                raise BadValueError("number", f"made from at most {MOST_RECOMPUTED:,} reports")
            log = stores.studies.whole_log(rollout_id, first=decision.log_size)
        entries = [decode_entry(each) for each in log]
        labels = [each for each in entries if isinstance(each, Label)]
        scored = [each for each in entries if isinstance(each, Scored)]
        return decision, recompute(decision.record, labels, scored)

    def study(self, app: str, rollout_id: RolloutId) -> StudyView:
        """Return how the study of a rollout stands, all metrics at once.

        Raises:
            NotFoundError: There is no such rollout, or it is not judged.
        """
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            return study_view(rollout, stores.studies.get(rollout_id))

    def evidence(self, app: str, rollout_id: RolloutId, metric: str) -> EvidenceView:
        """Return the evidence of one metric with the log that it follows from.

        Raises:
            NotFoundError: There is no such rollout, or it is not judged.
            BadValueError: The rollout is not judged by this metric.
        """
        with self._database.reading() as stores:
            stores.rollouts.get(app, rollout_id)
            study = stores.studies.get(rollout_id)
            state, settings = decode_state(study.state), decode_settings(study.settings)
            weighted = _weighted(state, settings, metric)
            kind = LogKind.LABEL if weighted.kind is Kind.EVENTS else LogKind.SCORED
            stored = [
                entry
                for name in weighted.processes
                for entry in stores.studies.log(rollout_id, state.epoch.number, name, kind)
            ]
        stretch = Stretch(origin=study.opened_at.timestamp(), speed=settings.speed)
        counted = [entry for entry in map(decode_entry, stored) if entry.platform not in state.held]
        entries = tuple(Entry(at=stretch.back(each.at), counted=each) for each in counted)
        return _view(rollout_id, state, settings, weighted, entries)


def _weighted(state: State, settings: Settings, metric: str) -> Weighted:
    known = {str(each.metric): each for each in weighted_metrics(state, settings)}
    if metric not in known:
        raise BadValueError("metric", f"one of {', '.join(known)}")
    return known[metric]


def _view(
    rollout_id: RolloutId,
    state: State,
    settings: Settings,
    weighted: Weighted,
    entries: tuple[Entry, ...],
) -> EvidenceView:
    epoch = state.epoch
    platforms = platforms_of(epoch, weighted, state.held)
    vectors = total(epoch, weighted, platforms)
    bad, known = counts(epoch, weighted.processes[0], platforms)
    compares = weighted.kind in {Kind.EVENTS, Kind.OUTCOMES}
    is_first_events = weighted.kind is Kind.EVENTS
    return EvidenceView(
        rollout=rollout_id,
        metric=str(weighted.metric),
        epoch=epoch.number,
        ring=state.stage.ring,
        weight=weighted.weight,
        advisory=weighted.advisory,
        alpha=settings.alpha,
        log_e=log_e_of(weighted.kind, vectors),
        needed=weighted.needed(settings.alpha),
        ratio=estimate_of(weighted.kind, vectors[0]) if compares else None,
        interval=interval_of(weighted.kind, vectors[0]) if compares else None,
        bad=bad,
        of=epoch.most if is_first_events else known,
        entries=entries,
        replay=_replay(state, settings, weighted, entries) if is_first_events else None,
    )


def _replay(
    state: State, settings: Settings, weighted: Weighted, entries: Sequence[Entry]
) -> Mapping[str, Any]:
    return {
        "metric": str(weighted.metric),
        "alpha": settings.alpha,
        "weight": weighted.weight,
        "margin": settings.gate_for(state.stage.exposure_bp or 0).margin,
        "n_candidate": state.epoch.most.candidate,
        "n_control": state.epoch.most.control,
        "events": [
            [
                CANDIDATE if each.counted.candidate else CONTROL,
                each.counted.n_candidate,
                each.counted.n_control,
            ]
            for each in entries
            if isinstance(each.counted, Label)
        ],
    }
