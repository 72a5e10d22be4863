"""How releases and rollouts stand: what operators and dashboards look at. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from packaging.version import Version

from rollout.compose import Shape, shape_at
from rollout.documents import parse_policy, parse_release
from rollout.model import Policy, Release, Rollout, RolloutId, RolloutState
from update_server.service.crashes.outcomes import outcomes_of
from update_server.service.errors import (
    InexpressibleError,
    NotRegisteredError,
    UnknownChannelError,
)
from update_server.service.ports import (
    Clock,
    Database,
    FunnelCell,
    NotFoundError,
    StoredRelease,
    StoredTarget,
    Stores,
)
from update_server.service.ports.crashes import Tally
from update_server.service.ports.pulls import PullPlan
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.contents import POLICY
from update_server.service.repository.desired import desired_for
from update_server.service.rollouts.control import legal_verbs
from update_server.service.rollouts.replacement import default_replacement_of

# An install is silent once it has missed three check-ins, and at least a day: machines are
# switched off at night.
_MISSED_CHECK_INS: Final = 3
_SILENT_AFTER_SECONDS: Final = 86_400

_FilesByRelease = Mapping[tuple[str, str, str], Mapping[str, StoredTarget]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout, how far it reaches, and how far its installs came.

    ``published`` is true when what is wanted of its channel is signed and in storage.
    ``decision`` is the newest one about it; None before the first.
    """

    rollout: Rollout
    shape: Shape
    published: bool
    cells: tuple[FunnelCell, ...]
    legal: tuple[str, ...]
    decision: StoredDecision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformView:
    """One platform's part of a release, and the files that its artifact, deltas and others are."""

    release: Release
    number: int
    admitted_at: datetime
    submitted_by: str
    files: Mapping[str, StoredTarget]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """A version on a channel. ``state`` is its newest rollout's, or ``admitted`` before one."""

    app: str
    channel: str
    version: Version
    state: str
    platforms: tuple[PlatformView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The policy of a channel that is in force."""

    policy: Policy
    version: int
    expires_at: datetime


class Report:
    """Answers questions about the present state."""

    def __init__(self, database: Database, clock: Clock, *, next_check_in_seconds: int) -> None:
        self._database = database
        self._clock = clock
        self._next_check_in_seconds = next_check_in_seconds

    def rollout(self, app: str, rollout_id: RolloutId) -> RolloutView:
        """Return one rollout. Raises NotFoundError."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return self._view(stores, stores.rollouts.get(app, rollout_id), {})

    def rollouts(self, app: str) -> Sequence[RolloutView]:
        """Return the rollouts of *app*, newest first."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            known: dict[tuple[str, str], bool] = {}
            return [self._view(stores, each, known) for each in stores.rollouts.of_app(app)]

    def way_back(self, app: str, rollout_id: RolloutId) -> Version | None:
        """Return where a pull sends the release's installs, or would send them now.

        None: they stay on it. Raises NotFoundError, NotRegisteredError.
        """
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            if rollout.state is RolloutState.PULLED:
                return rollout.replacement
            return default_replacement_of(stores, rollout)

    def outcomes(self, app: str, rollout_id: RolloutId) -> Sequence[Tally]:
        """Return what the installs and sessions of a rollout came to. Raises NotFoundError."""
        with self._database.reading() as stores:
            return outcomes_of(stores, stores.rollouts.get(app, rollout_id).id)

    def pull_plan(self, app: str, rollout_id: RolloutId) -> PullPlan | None:
        """Return what becomes of a pulled release's installs; None if it was not pulled.

        Raises NotFoundError.
        """
        with self._database.reading() as stores:
            rollout = stores.rollouts.get(app, rollout_id)
            if rollout.state is not RolloutState.PULLED:
                return None
            counts = stores.telemetry.pull_counts(rollout)
            return PullPlan(replacement=rollout.replacement, counts=counts)

    def live(self, app: str | None = None) -> Sequence[RolloutView]:
        """Return the rollouts that are active or paused, of all apps or of *app*."""
        with self._database.reading() as stores:
            known: dict[tuple[str, str], bool] = {}
            return [
                self._view(stores, each, known)
                for each in stores.rollouts.live()
                if app is None or each.app == app
            ]

    def releases(self, app: str) -> Sequence[ReleaseView]:
        """Return the releases of *app*, newest version first within each channel."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            files = _by_release(stores.releases.targets(app))
            rollouts = stores.rollouts.of_app(app)
            by_version: dict[tuple[str, Version], list[StoredRelease]] = {}
            for stored in stores.releases.all(app):
                by_version.setdefault((stored.channel, stored.version), []).append(stored)
        views = [
            _release_view(app, channel, version, parts, files, rollouts)
            for (channel, version), parts in by_version.items()
        ]
        by_channel = sorted(views, key=lambda view: view.version, reverse=True)
        return sorted(by_channel, key=lambda view: view.channel)

    def release(self, app: str, version: Version, channel: str | None = None) -> ReleaseView:
        """Return one version, on *channel* or on whichever has it. Raises NotFoundError."""
        for view in self.releases(app):
            if view.version == version and channel in {None, view.channel}:
                return view
        raise NotFoundError("release", str(version))

    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]:
        """Return (channel, platform, version, installs) of what runs."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return stores.telemetry.versions(app)

    def policy(self, app: str, channel: str) -> PolicyView:
        """Return the policy in force on *channel*.

        Raises:
            UnknownChannelError, NotRegisteredError: As named.
        """
        with self._database.reading() as stores:
            if channel not in stores.apps.get(app).channels:
                raise UnknownChannelError(app, channel)
            for stored in stores.releases.documents(app):
                if (stored.channel, stored.kind) == (channel, POLICY):
                    return PolicyView(
                        policy=parse_policy(stored.document),
                        version=stored.version,
                        expires_at=stored.expires_at,
                    )
        raise NotRegisteredError(app, f"policy for channel {channel!r}")

    def _view(
        self, stores: Stores, rollout: Rollout, known: dict[tuple[str, str], bool]
    ) -> RolloutView:
        """*known* remembers which channels are in force, for lists."""
        now = self._clock.now()
        key = (rollout.app, rollout.channel)
        if key not in known:
            known[key] = self._is_published(stores, rollout, now)
        cells = stores.telemetry.funnel(
            rollout, silent_before=silent_before(now, self._next_check_in_seconds)
        )
        decisions = stores.decisions.page(rollout.app, rollout=rollout.id, limit=1)
        return RolloutView(
            rollout=rollout,
            shape=shape_of(rollout),
            published=known[key],
            cells=tuple(cells),
            legal=tuple(legal_verbs(rollout)),
            decision=decisions[0] if decisions else None,
        )

    def _is_published(self, stores: Stores, rollout: Rollout, now: datetime) -> bool:
        if any(row.app == rollout.app for row in stores.journal.unpublished()):
            return False
        try:
            wanted = desired_for(
                stores, rollout.app, rollout.channel, now, self._next_check_in_seconds
            )
        except (NotRegisteredError, InexpressibleError):
            return False
        return wanted.in_force


def silent_before(now: datetime, next_check_in_seconds: int) -> datetime:
    """Return since when an install must not have checked in, to be called silent."""
    seconds = max(_SILENT_AFTER_SECONDS, _MISSED_CHECK_INS * next_check_in_seconds)
    return now - timedelta(seconds=seconds)


def shape_of(rollout: Rollout) -> Shape:
    """Return how far *rollout* reaches."""
    # Only whether a ring is general matters here, so any group stands for the internal ones.
    return shape_at(rollout.ladder, rollout.position, ("internal",))


def _by_release(targets: Iterable[StoredTarget]) -> _FilesByRelease:
    files: dict[tuple[str, str, str], dict[str, StoredTarget]] = {}
    for target in targets:
        if target.release is not None:
            files.setdefault(target.release, {})[target.path] = target
    return files


def _release_view(
    app: str,
    channel: str,
    version: Version,
    parts: Iterable[StoredRelease],
    files: _FilesByRelease,
    rollouts: Iterable[Rollout],
) -> ReleaseView:
    states = [r.state for r in rollouts if (r.channel, r.version) == (channel, version)]
    return ReleaseView(
        app=app,
        channel=channel,
        version=version,
        state=_state(states),
        platforms=tuple(
            PlatformView(
                release=parse_release(stored.document),
                number=stored.number,
                admitted_at=stored.admitted_at,
                submitted_by=stored.submitted_by,
                files=files.get((channel, stored.platform, str(version)), {}),
            )
            for stored in sorted(parts, key=lambda stored: stored.platform)
        ),
    )


def _state(states: Sequence[RolloutState]) -> str:
    """Return the word for a version with these rollouts, newest first; pulled is for good."""
    if RolloutState.PULLED in states:
        return RolloutState.PULLED.value
    return states[0].value if states else "admitted"
