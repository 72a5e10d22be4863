"""How rollouts stand, and what they roll out: what operators and dashboards look at. Reads only.

However many releases, rollouts and installs there are, each answer takes the same few statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from packaging.version import Version

from rollout.compose import Shape, shape_at
from rollout.documents import parse_policy
from rollout.model import Policy, Rollout, RolloutId, RolloutState
from update_server.service.crashes.outcomes import outcomes_of
from update_server.service.errors import NotRegisteredError, UnknownChannelError
from update_server.service.ports import Clock, Database, FunnelCell, NotFoundError, Stores
from update_server.service.ports.crashes import Tally
from update_server.service.ports.pulls import PullPlan
from update_server.service.ports.recounts import Recount
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.contents import POLICY
from update_server.service.repository.desired import releases_of
from update_server.service.rollouts.channels import Channel, ChannelBook, Place
from update_server.service.rollouts.control import legal_verbs
from update_server.service.rollouts.released import ReleaseView, released, views_of
from update_server.service.rollouts.replacement import default_replacement

# An install is silent once it has missed three check-ins, and at least a day: machines are
# switched off at night.
_MISSED_CHECK_INS: Final = 3
_SILENT_AFTER_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout, how far it reaches, and how far its installs came.

    ``published`` is true when what is wanted of its channel is signed and in storage.
    ``counted_at`` is when its installs were looked at for silence; until then no cell is of it.
    ``decision`` is the newest one about it; None before the first.
    """

    rollout: Rollout
    shape: Shape
    published: bool
    cells: tuple[FunnelCell, ...]
    legal: tuple[str, ...]
    counted_at: datetime | None = None
    decision: StoredDecision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDetail:
    """What is told of a single rollout.

    ``way_back`` is where a pull sends the release's installs, or would send them now; None: they
    stay on it. ``pull_plan`` is what becomes of those of a pulled one. ``outcomes`` are what its
    installs and sessions came to.
    """

    view: RolloutView
    way_back: Version | None
    pull_plan: PullPlan | None
    outcomes: tuple[Tally, ...]


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
        self._book = ChannelBook(next_check_in_seconds=next_check_in_seconds)

    def rollout(self, app: str, rollout_id: RolloutId) -> RolloutView:
        """Return one rollout. Raises NotFoundError."""
        with self._database.reading() as stores:
            return self._views(stores, [rollout_in(stores, app, rollout_id)])[0]

    def detail(self, app: str, rollout_id: RolloutId) -> RolloutDetail:
        """Return all that is told of one rollout. Raises NotFoundError, NotRegisteredError."""
        with self._database.reading() as stores:
            rollout = rollout_in(stores, app, rollout_id)
            known = self._read(stores, [rollout])
            return RolloutDetail(
                view=known.view(rollout),
                way_back=_way_back(stores, rollout, known.channel(rollout)),
                pull_plan=_pull_plan(stores, rollout, known.recounts.get(rollout_id)),
                outcomes=tuple(outcomes_of(stores, rollout_id)),
            )

    def rollouts(
        self, app: str, *, start: int = 0, limit: int | None = None
    ) -> Sequence[RolloutView]:
        """Return rollouts of *app*, newest first; *start* is how many to leave out."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return self._views(stores, stores.rollouts.of_app(app, start=start, limit=limit))

    def live(self, app: str | None = None) -> Sequence[RolloutView]:
        """Return the rollouts that are active or paused, of all apps or of *app*."""
        with self._database.reading() as stores:
            return self._views(
                stores, [each for each in stores.rollouts.live() if app in {None, each.app}]
            )

    def releases(
        self, app: str, *, start: int = 0, limit: int | None = None
    ) -> Sequence[ReleaseView]:
        """Return releases of *app*, newest version first within each channel."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return released(stores, app, start=start, limit=limit)

    def release(self, app: str, version: Version, channel: str | None = None) -> ReleaseView:
        """Return one version, on *channel* or on whichever has it. Raises NotFoundError."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            # As it is spelled there: 2.1 and 2.1.0 are one version.
            wanted = [
                each
                for each in stores.releases.versions(app)
                if each[1] == version and channel in {None, each[0]}
            ]
            for view in views_of(stores, app, wanted[:1]):
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

    def _views(self, stores: Stores, rollouts: Sequence[Rollout]) -> list[RolloutView]:
        known = self._read(stores, rollouts)
        return [known.view(rollout) for rollout in rollouts]

    def _read(self, stores: Stores, rollouts: Sequence[Rollout]) -> _Known:
        ids = [rollout.id for rollout in rollouts]
        places = {(rollout.app, rollout.channel) for rollout in rollouts}
        return _Known(
            channels=self._book.look(stores, places, self._clock.now()),
            funnels=stores.telemetry.funnels(ids),
            recounts=stores.recounts.of(ids),
            decisions=stores.decisions.newest(ids),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of some rollouts, each kind of it read at once."""

    channels: Mapping[Place, Channel]
    funnels: Mapping[RolloutId, Sequence[FunnelCell]]
    recounts: Mapping[RolloutId, Recount]
    decisions: Mapping[RolloutId, StoredDecision]

    def view(self, rollout: Rollout) -> RolloutView:
        recount = self.recounts.get(rollout.id)
        return RolloutView(
            rollout=rollout,
            shape=shape_of(rollout),
            published=self.channel(rollout).published,
            cells=(*self.funnels[rollout.id], *(recount.silent if recount else ())),
            legal=tuple(legal_verbs(rollout)),
            counted_at=None if recount is None else recount.counted_at,
            decision=self.decisions.get(rollout.id),
        )

    def channel(self, rollout: Rollout) -> Channel:
        return self.channels[rollout.app, rollout.channel]


def rollout_in(stores: Stores, app: str, rollout_id: RolloutId) -> Rollout:
    """Return a rollout of *app*. Raises NotFoundError: of the app, where that is what is not."""
    try:
        return stores.rollouts.get(app, rollout_id)
    except NotFoundError:
        stores.apps.get(app)
        raise


def silent_before(now: datetime, next_check_in_seconds: int) -> datetime:
    """Return since when an install must not have checked in, to be called silent."""
    seconds = max(_SILENT_AFTER_SECONDS, _MISSED_CHECK_INS * next_check_in_seconds)
    return now - timedelta(seconds=seconds)


def shape_of(rollout: Rollout) -> Shape:
    """Return how far *rollout* reaches."""
    # Only whether a ring is general matters here, so any group stands for the internal ones.
    return shape_at(rollout.ladder, rollout.position, ("internal",))


def _way_back(stores: Stores, rollout: Rollout, channel: Channel) -> Version | None:
    if rollout.state is RolloutState.PULLED:
        return rollout.replacement
    if channel.policy is None:
        raise NotRegisteredError(rollout.app, f"policy for channel {rollout.channel!r}")
    releases = releases_of(stores, rollout.app, rollout.channel, [rollout.version])
    return default_replacement(rollout, channel.rollouts, channel.policy, releases)


def _pull_plan(stores: Stores, rollout: Rollout, recount: Recount | None) -> PullPlan | None:
    if rollout.state is not RolloutState.PULLED:
        return None
    counts = recount.pull if recount is not None else None
    if counts is None:  # it was pulled a moment ago
        counts = stores.telemetry.pull_counts(rollout)
    return PullPlan(replacement=rollout.replacement, counts=counts)
