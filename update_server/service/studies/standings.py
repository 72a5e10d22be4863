"""How a study stands, all metrics at once: what it counted, what that weighs, and by which terms.

Read from the study's state alone: no entry of its log is looked at, however long it is. What was
decided is in the records (``decisions``); here is what would be put into the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rollout.model import Rollout
from update_server.evidence.design import cohort_of, platform_of
from update_server.evidence.gates import Shown, noninferiority
from update_server.evidence.guards import Reached, all_lines
from update_server.evidence.settings import Settings
from update_server.evidence.srm import LOG_SUSPEND, log_e_srm
from update_server.evidence.state import Arms, Epoch, Stage, State
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
from update_server.service.ports.studies import StoredStudy
from update_server.service.studies.codec import decode_settings, decode_state
from update_server.service.studies.stretch import Stretch

STRATA = ("0", "1", "2 to 4", "5 to 9", "10 and more")
"""Crashes of an install in the 14 days before the stage, by stratum."""

_STRATUM_BITS = 0b111


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPlatform:
    """One metric on one platform. ``held``: it is kept back, and counts no more."""

    platform: str
    held: bool
    log_e: float
    bad: Arms
    known: Arms


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One metric in one epoch, over the platforms that are not held.

    ``of`` counts those among whom ``bad`` were. ``ratio`` and ``interval`` are None where the
    metric has none, or where nothing was counted yet.
    """

    metric: Weighted
    log_e: float
    needed: float
    ratio: float | None
    interval: tuple[float, float] | None
    bad: Arms
    of: Arms
    platforms: tuple[OnPlatform, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochView:
    """The evidence since the start, or since a resume. ``waived`` says until when, by signature."""

    number: int
    opened_at: datetime | None
    entered: Arms
    struck: int
    waived: Mapping[str, datetime]
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """Installs that are compared with one another; ``stratum`` None: those with nobody to be."""

    platform: str
    stratum: str | None
    installs: Arms


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """The step that is open, and who has entered since it opened."""

    ring: str
    next_ring: str | None
    exposure_bp: int | None
    opened_at: datetime | None
    soaked_seconds: float
    soak_seconds: int
    approvals: int
    entered: Arms
    internal: int
    capped_networks: int
    at_risk: tuple[AtRisk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """How a study stands. Log e-values and limits are in nats.

    ``epochs`` are in order, the present one last. ``gates`` are None in a ring of groups, where
    nothing is compared. ``srm_log_e`` is None before anybody entered.
    """

    rollout: Rollout
    opened_at: datetime
    ended_at: datetime | None
    counted_at: datetime | None
    paused: bool
    suspended: bool
    not_aged: int
    held: tuple[str, ...]
    stage: StageView
    epochs: tuple[EpochView, ...]
    gates: tuple[Shown, ...]
    lines: tuple[Reached, ...]
    srm_log_e: float | None
    srm_needed: float
    settings: Settings


def study_view(rollout: Rollout, study: StoredStudy) -> StudyView:
    """Return how the *study* of *rollout* stands."""
    state, settings = decode_state(study.state), decode_settings(study.settings)
    stretch = Stretch(origin=study.opened_at.timestamp(), speed=settings.speed)
    entered = state.stage.entered.total > 0
    return StudyView(
        rollout=rollout,
        opened_at=study.opened_at,
        ended_at=study.ended_at,
        counted_at=_instant(state.now, stretch),
        paused=state.paused,
        suspended=state.suspended,
        not_aged=state.not_aged,
        held=tuple(sorted(state.held)),
        stage=_stage(state, stretch),
        epochs=tuple(_epoch(each, state, settings, stretch) for each in state.epochs),
        gates=noninferiority(state, settings),
        lines=tuple(all_lines(state, settings)),
        srm_log_e=log_e_srm(state.stage.srm) if state.stage.srm and entered else None,
        srm_needed=LOG_SUSPEND,
        settings=settings,
    )


def _epoch(epoch: Epoch, state: State, settings: Settings, stretch: Stretch) -> EpochView:
    return EpochView(
        number=epoch.number,
        # The first one begins with the study.
        opened_at=_instant(epoch.opened_at or state.started_at, stretch),
        entered=epoch.most,
        struck=epoch.struck,
        waived={name: stretch.back(until) for name, until in sorted(epoch.waived.items())},
        standings=tuple(
            _standing(epoch, metric, state.held, settings.alpha)
            for metric in weighted_metrics(state, settings)
        ),
    )


def _standing(epoch: Epoch, metric: Weighted, held: Sequence[str], alpha: float) -> Standing:
    counted = platforms_of(epoch, metric, held)
    vectors = total(epoch, metric, counted)
    name = metric.processes[min(1, len(metric.processes) - 1)]  # of quantiles, the second
    bad, known = counts(epoch, name, counted)
    compares = counted and metric.kind in {Kind.EVENTS, Kind.OUTCOMES}
    return Standing(
        metric=metric,
        log_e=log_e_of(metric.kind, vectors),
        needed=metric.needed(alpha),
        ratio=estimate_of(metric.kind, vectors[0]) if compares else None,
        interval=interval_of(metric.kind, vectors[0]) if compares else None,
        bad=bad,
        of=epoch.most if metric.kind is Kind.EVENTS else known,
        platforms=tuple(
            _on_platform(epoch, metric, name, platform, held)
            for platform in platforms_of(epoch, metric)
        ),
    )


def _on_platform(
    epoch: Epoch, metric: Weighted, name: str, platform: str, held: Sequence[str]
) -> OnPlatform:
    bad, known = counts(epoch, name, [platform])
    return OnPlatform(
        platform=platform,
        held=platform in held,
        log_e=log_e_of(metric.kind, total(epoch, metric, [platform])),
        bad=bad,
        known=known,
    )


def _stage(state: State, stretch: Stretch) -> StageView:
    stage = state.stage
    return StageView(
        ring=stage.ring,
        next_ring=stage.next_ring,
        exposure_bp=stage.exposure_bp,
        opened_at=_instant(stage.opened_at, stretch),
        soaked_seconds=stage.soaked_seconds,
        soak_seconds=stage.soak_seconds,
        approvals=stage.approvals,
        entered=stage.entered,
        internal=stage.internal,
        capped_networks=stage.capped_networks,
        at_risk=tuple(_at_risk(stage, state.platforms)),
    )


def _at_risk(stage: Stage, platforms: Sequence[str]) -> list[AtRisk]:
    found: dict[tuple[str, str], Arms] = {}
    for key, arms in stage.risk_sets.items():
        stratum = STRATA[key & _STRATUM_BITS] if cohort_of(key) else ""
        here = found.setdefault((platforms[platform_of(key)], stratum), Arms())
        here.add_all(arms)
    order = {name: n for n, name in enumerate((*STRATA, ""))}
    return [
        AtRisk(platform=platform, stratum=stratum or None, installs=arms)
        for (platform, stratum), arms in sorted(
            found.items(), key=lambda one: (one[0][0], order[one[0][1]])
        )
    ]


def _instant(at: float, stretch: Stretch) -> datetime | None:
    return stretch.back(at) if at else None
