"""What Prometheus is told of the present state. Reads only.

Whatever has a version is of a live rollout, and counts since that rollout started: so the size
of it all depends on what is being rolled out, and not on what ever was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp, log
from typing import Final

from rollout.model import Actor, Rollout
from update_server.evidence.settings import Settings
from update_server.evidence.state import State
from update_server.evidence.weighing import log_e_total, platforms_of, weighted_metrics
from update_server.service.ports import (
    Clock,
    Database,
    FunnelCell,
    NotFoundError,
    SpoolReader,
    Stores,
)
from update_server.service.ports.counters import Counted
from update_server.service.ports.crashes import Tally
from update_server.service.ports.dumps import DumpFiles
from update_server.service.rollouts.report import shape_of
from update_server.service.studies.codec import decode_settings, decode_state
from update_server.service.studies.stretch import Stretch
from update_server.service.telemetry.backlog import Backlog, backlog_of
from update_server.service.telemetry.counting import (
    PAUSED_SECONDS,
    seconds_paused,
    without_signature,
)

# Far above every limit, and far below what a float cannot hold.
_LARGEST_LOG_E: Final = log(1e100)

UNDELIVERED_AFTER: Final = timedelta(minutes=5)
"""How long a message may have been tried in vain before it counts as undelivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks against a release by one metric, as an e-value, and at which it pauses."""

    metric: str
    ratio: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRollout:
    """A rollout that is active or paused. ``judged_at`` is when the judge last looked at it.

    ``verdict`` is the newest one on it, empty where there is none.

    All signatures together are one metric here: the one that is nearest to its limit.
    ``crashed`` counts installs that crashed, ``sessions`` what became of sessions, both by the
    version that ran.
    """

    rollout: Rollout
    exposure_bp: int
    cells: tuple[FunnelCell, ...]
    verdict: str
    crashed: tuple[Tally, ...]
    sessions: tuple[Tally, ...]
    evidence: tuple[Evidence, ...] = ()
    judged_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """An app. Instants are by (channel, kind) of a document; ``signed_at`` None: never."""

    name: str
    document_expires_at: Mapping[tuple[str, str], datetime]
    signed_at: datetime | None
    paused_seconds: Mapping[tuple[str, Actor], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What belongs to no app. See ``UNDELIVERED_AFTER`` for what counts as undelivered."""

    backlog: Backlog
    unpublished_states: int
    undelivered_messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """All there is to tell. ``server`` is None for those who may look at one app only."""

    rollouts: Sequence[LiveRollout]
    apps: Sequence[AppState]
    counters: Sequence[Counted]
    server: ServerState | None


class Exports:
    """Answers a scrape."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        spools: SpoolReader,
        dumps: DumpFiles,
    ) -> None:
        self._database = database
        self._clock = clock
        self._spools = spools
        self._dumps = dumps

    def read(self, app: str | None) -> Exported:
        """Return what there is to tell of *app*, or of everything."""
        with self._database.reading() as stores:
            now = self._clock.now()
            counters = stores.counters.all(app)
            names = [each.name for each in stores.apps.all() if app in {None, each.name}]
            live = [each for each in stores.rollouts.live() if app in {None, each.app}]
            rollouts = _live(stores, live)
            apps = [_app(stores, name, counters, live, now) for name in names]
            server = self._server(stores, now) if app is None else None
        return Exported(rollouts=rollouts, apps=apps, counters=counters, server=server)

    def _server(self, stores: Stores, now: datetime) -> ServerState:
        return ServerState(
            backlog=backlog_of(stores, self._spools, self._dumps, now),
            unpublished_states=len(stores.journal.unpublished()),
            undelivered_messages=sum(
                each.messages for each in stores.outbox.undelivered(now - UNDELIVERED_AFTER)
            ),
        )


def _live(stores: Stores, rollouts: Sequence[Rollout]) -> list[LiveRollout]:
    names = [each.id for each in rollouts]
    funnels, recounts = stores.telemetry.funnels(names), stores.recounts.of(names)
    crashed, sessions = stores.crashes.tallies(names), stores.sessions.tallies(names)
    found = []
    for each in rollouts:
        newest = stores.decisions.page(each.app, rollout=each.id, limit=1)
        recount = recounts.get(each.id)
        told = LiveRollout(
            rollout=each,
            exposure_bp=shape_of(each).exposure_bp,
            cells=(*funnels[each.id], *(recount.silent if recount else ())),
            verdict=newest[0].verdict if newest else "",
            crashed=tuple(crashed[each.id]),
            sessions=tuple(sessions[each.id]),
        )
        found.append(_with_evidence(stores, told))
    return found


def _with_evidence(stores: Stores, told: LiveRollout) -> LiveRollout:
    try:
        study = stores.studies.get(told.rollout.id)
    except NotFoundError:
        return told
    state, settings = decode_state(study.state), decode_settings(study.settings)
    stretch = Stretch(origin=study.opened_at.timestamp(), speed=settings.speed)
    return replace(
        told,
        evidence=_evidence(state, settings),
        judged_at=max(study.opened_at, stretch.back(state.now)),  # no tick yet: 0
    )


def _evidence(state: State, settings: Settings) -> tuple[Evidence, ...]:
    nearest: dict[str, tuple[float, float]] = {}
    for weighted in weighted_metrics(state, settings):
        name = without_signature(weighted.metric)
        platforms = platforms_of(state.epoch, weighted, state.held)
        log_e = log_e_total(state.epoch, weighted, platforms)
        needed = weighted.needed(settings.alpha)
        if name not in nearest or log_e - needed > nearest[name][0] - nearest[name][1]:
            nearest[name] = log_e, needed
    return tuple(
        Evidence(metric=name, ratio=exp(min(log_e, _LARGEST_LOG_E)), limit=exp(needed))
        for name, (log_e, needed) in nearest.items()
    )


def _app(
    stores: Stores, name: str, counters: Sequence[Counted], live: Iterable[Rollout], now: datetime
) -> AppState:
    app = stores.apps.get(name)
    paused = Counter({(channel, by): 0 for channel in app.channels for by in Actor})
    for one in counters:
        if (one.app, one.name) == (name, PAUSED_SECONDS):
            labels = dict(one.labels)
            paused[labels["channel"], Actor(labels["by"])] += one.by
    for rollout in live:
        # As if it were resumed at this instant, so that what is told never shrinks.
        if rollout.app == name and rollout.paused_by is not None:
            paused[rollout.channel, rollout.paused_by] += seconds_paused(rollout, now)
    try:
        signed_at = stores.journal.newest(name).created_at
    except NotFoundError:
        signed_at = None
    return AppState(
        name=name,
        document_expires_at={
            (each.channel, each.kind): each.expires_at for each in stores.releases.documents(name)
        },
        signed_at=signed_at,
        paused_seconds=paused,
    )
