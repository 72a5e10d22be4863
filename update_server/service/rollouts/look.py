"""One release at one instant: all that its page shows, read in one transaction.

Each part is what the questions about it answer by themselves (``report``, ``studies.decisions``,
``studies.series``, ``telemetry.health``, ``access.audit``); together they read nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.model import RolloutId
from update_server.service.ports import AuditRecord, Clock, Database, NotFoundError, StoredHold
from update_server.service.rollouts.report import Report, RolloutDetail
from update_server.service.studies.series import SeriesView, read_series
from update_server.service.studies.standings import StudyView, study_view
from update_server.service.telemetry.health import RolloutTelemetry, trust_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A release. ``detail`` is without outcomes; ``study`` is None where it is not judged.

    ``holds`` keep installs from it; ``history`` is newest first, and goes on before ``next_seq``.
    """

    detail: RolloutDetail
    study: StudyView | None
    series: SeriesView
    trust: RolloutTelemetry
    holds: tuple[StoredHold, ...]
    history: Sequence[AuditRecord]
    next_seq: int | None


class Looks:
    """Looks at releases one at a time."""

    def __init__(self, database: Database, clock: Clock, report: Report) -> None:
        self._database = database
        self._clock = clock
        self._report = report

    def at(self, app: str, rollout_id: RolloutId, *, before_seq: int | None, limit: int) -> Look:
        """Return all about a rollout, and so many lines of its history. Raises NotFoundError."""
        now = self._clock.now()
        with self._database.reading() as stores:
            detail = self._report.detail_in(stores, app, rollout_id)
            rollout = detail.view.rollout
            try:
                study = stores.studies.get(rollout_id)
            except NotFoundError:
                study = None
            lines = stores.audit.page(
                app=app, subject=rollout_id, before_seq=before_seq, limit=limit + 1
            )
            return Look(
                detail=detail,
                study=None if study is None else study_view(rollout, study),
                series=read_series(stores, rollout, study, now),
                trust=trust_of(rollout, detail.recount, study),
                holds=tuple(each for each in detail.holds if each.rollout in {None, rollout_id}),
                history=lines[:limit],
                next_seq=lines[limit - 1].seq if len(lines) > limit else None,
            )
