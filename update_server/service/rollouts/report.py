"""How rollouts stand, and what they roll out: what operators and dashboards look at. Reads only.

However many releases, rollouts and installs there are, each answer takes the same few statements.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from packaging.version import Version

from rollout.compose import Shape, shape_at
from rollout.documents import parse_policy
from rollout.model import Policy, Rollout, RolloutId, RolloutState
from update_server.service.crashes.in_rollout import CrashInRollout, crashes_in, newest_counts
from update_server.service.crashes.known_before import KnownBefore, Titles
from update_server.service.crashes.outcomes import outcomes_of
from update_server.service.errors import NotRegisteredError, UnknownChannelError
from update_server.service.ports import (
    Clock,
    Database,
    FunnelCell,
    NotFoundError,
    StoredHold,
    Stores,
)
from update_server.service.ports.crashes import CrashCount, Tally
from update_server.service.ports.pending import PendingVerb
from update_server.service.ports.pulls import PullPlan
from update_server.service.ports.reach import Reach
from update_server.service.ports.recounts import Recount
from update_server.service.ports.studies import StoredDecision
from update_server.service.repository.contents import POLICY
from update_server.service.repository.desired import releases_of
from update_server.service.rollouts.asks import waiting
from update_server.service.rollouts.channels import Channel, ChannelBook, Place
from update_server.service.rollouts.control import legal_verbs
from update_server.service.rollouts.needs import Needs, needs_of
from update_server.service.rollouts.released import ReleaseView, released, views_of
from update_server.service.rollouts.replacement import default_replacement, ways_back_of

# An install is silent once it has missed three check-ins, and at least a day: machines are
# switched off at night.
_MISSED_CHECK_INS: Final = 3
_SILENT_AFTER_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout, how far it reaches, and how far its installs came.

    ``published`` is true when what is wanted of its channel is signed and in storage.
    ``counted_at`` is when its installs were looked at for silence; until then no cell is of it.
    ``decision`` is the newest one about it; None before the first. ``crashes`` are the worst first,
    or of each of several rollouts the newest alone. ``pending`` waits for more people.
    ``last_offer_at`` is when a process may have offered it last, where it is stopped and that is in
    force.
    """

    rollout: Rollout
    shape: Shape
    published: bool
    cells: tuple[FunnelCell, ...]
    legal: tuple[str, ...]
    counted_at: datetime | None
    decision: StoredDecision | None
    reach: Reach
    crashes: tuple[CrashInRollout, ...]
    pending: tuple[PendingVerb, ...]
    last_offer_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDetail:
    """What is told of a single rollout.

    ``way_back`` is where a pull sends the release's installs, or would send them now; None: they
    stay on it. ``pull_plan`` is what becomes of those of a pulled one. ``outcomes`` are what its
    installs and sessions came to. ``needs`` says of each legal verb what it would take now.
    ``recount`` is what was counted of its installs last, ``holds`` are those of its channel.
    """

    view: RolloutView
    way_back: Version | None
    pull_plan: PullPlan | None
    needs: Mapping[str, Needs]
    recount: Recount | None
    holds: tuple[StoredHold, ...]
    outcomes: tuple[Tally, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The policy of a channel that is in force."""

    policy: Policy
    version: int
    expires_at: datetime


class Report:
    """Answers questions about the present state."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        next_check_in_seconds: int,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)
        self._book = ChannelBook(next_check_in_seconds=next_check_in_seconds)
        self._known_before = KnownBefore()
        self._titles = Titles()

    def rollout(self, app: str, rollout_id: RolloutId) -> RolloutView:
        """Return one rollout. Raises NotFoundError."""
        with self._database.reading() as stores:
            rollout, channels = self._find(stores, app, rollout_id)
            return self._read_one(stores, rollout, channels).view(rollout)

    def detail(self, app: str, rollout_id: RolloutId) -> RolloutDetail:
        """Return all that is told of one rollout. Raises NotFoundError, NotRegisteredError."""
        with self._database.reading() as stores:
            detail = self.detail_in(stores, app, rollout_id)
            return replace(detail, outcomes=tuple(outcomes_of(stores, rollout_id)))

    def detail_in(self, stores: Stores, app: str, rollout_id: RolloutId) -> RolloutDetail:
        """Return the same in a transaction of the caller's, without the outcomes."""
        rollout, channels = self._find(stores, app, rollout_id)
        known = self._read_one(stores, rollout, channels)
        channel, recount = known.channel(rollout), known.recounts.get(rollout_id)
        view = known.view(rollout, self._known_before.release(stores, rollout))
        return RolloutDetail(
            view=view,
            way_back=_way_back(stores, rollout, channel),
            pull_plan=_pull_plan(rollout, recount),
            needs=self._needs(view, channel),
            recount=recount,
            holds=channel.desired.holds if channel.desired is not None else (),
        )

    def ways_back(self, app: str, rollout_id: RolloutId) -> Sequence[Version]:
        """Return all versions that a pull may send installs to, newest first.

        Raises NotFoundError, NotRegisteredError.
        """
        with self._database.reading() as stores:
            return ways_back_of(stores, rollout_in(stores, app, rollout_id))

    def rollouts(
        self, app: str, *, start: int = 0, limit: int | None = None
    ) -> Sequence[RolloutView]:
        """Return rollouts of *app*, newest first; *start* is how many to leave out."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return self._views(stores, stores.rollouts.of_app(app, start=start, limit=limit))

    def listed(self, app: str, *, start: int = 0, limit: int | None = None) -> Sequence[Rollout]:
        """Return the same rollouts as ``rollouts``, without what their installs came to."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            return stores.rollouts.of_app(app, start=start, limit=limit)

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
        """Return (channel, platform, version, installs) of what runs, the most installs first."""
        with self._database.reading() as stores:
            stores.apps.get(app)
            found = stores.telemetry.versions(app)
        return sorted(found, key=lambda one: (-one[3], one))

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

    def _find(
        self, stores: Stores, app: str, rollout_id: RolloutId
    ) -> tuple[Rollout, Mapping[Place, Channel]]:
        """Return a rollout among those that its channel is known with, and all channels."""
        channels = self._book.all(stores, app, self._clock.now())
        for channel in channels.values():
            for rollout in channel.rollouts:
                if rollout.id == rollout_id:
                    return rollout, channels
        return rollout_in(stores, app, rollout_id), channels

    def _views(self, stores: Stores, rollouts: Sequence[Rollout]) -> list[RolloutView]:
        places = {(rollout.app, rollout.channel) for rollout in rollouts}
        channels = self._book.look(stores, places, self._clock.now())
        counts = newest_counts(stores, [rollout.id for rollout in rollouts])
        known = self._read(stores, rollouts, channels, counts)
        return [known.view(rollout) for rollout in rollouts]

    def _read_one(
        self, stores: Stores, rollout: Rollout, channels: Mapping[Place, Channel]
    ) -> _Known:
        return self._read(stores, [rollout], channels, stores.crashes.counts_of([rollout.id]))

    def _read(
        self,
        stores: Stores,
        rollouts: Sequence[Rollout],
        channels: Mapping[Place, Channel],
        counts: Mapping[RolloutId, Sequence[CrashCount]],
    ) -> _Known:
        ids = [rollout.id for rollout in rollouts]
        apps, now = {rollout.app for rollout in rollouts}, self._clock.now()
        named = {(each.app, one.signature) for each in rollouts for one in counts[each.id]}
        return _Known(
            lease=self._lease,
            channels=channels,
            funnels=stores.telemetry.funnels(ids),
            recounts=stores.recounts.of(ids),
            decisions=stores.decisions.newest(ids),
            reach=stores.rollouts.reach(ids),
            counts=counts,
            titles=self._titles.of(stores, named),
            pending=waiting(stores, next(iter(apps)) if len(apps) == 1 else None, now),
        )

    def _needs(self, view: RolloutView, channel: Channel) -> Mapping[str, Needs]:
        if channel.desired is None:
            return {}
        return needs_of(view.rollout, view.legal, channel.desired, self._clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of some rollouts, each kind of it read at once."""

    lease: timedelta
    channels: Mapping[Place, Channel]
    funnels: Mapping[RolloutId, Sequence[FunnelCell]]
    recounts: Mapping[RolloutId, Recount]
    decisions: Mapping[RolloutId, StoredDecision]
    reach: Mapping[RolloutId, Reach]
    counts: Mapping[RolloutId, Sequence[CrashCount]]
    titles: Mapping[tuple[str, str], str]
    pending: Sequence[PendingVerb]

    def view(self, rollout: Rollout, known: Collection[str] | None = None) -> RolloutView:
        """Return one of them; *known* are the signatures that are not new to its release."""
        recount = self.recounts.get(rollout.id)
        decision = self.decisions.get(rollout.id)
        titles = {name: title for (app, name), title in self.titles.items() if app == rollout.app}
        is_published = self.channel(rollout).published
        is_stopped = rollout.state in {RolloutState.PAUSED, RolloutState.PULLED}
        return RolloutView(
            rollout=rollout,
            shape=shape_of(rollout),
            published=is_published,
            cells=(*self.funnels[rollout.id], *(recount.silent if recount else ())),
            legal=tuple(legal_verbs(rollout)),
            counted_at=None if recount is None else recount.counted_at,
            decision=decision,
            reach=self.reach[rollout.id],
            crashes=tuple(
                crashes_in(
                    self.counts[rollout.id], titles, decision.record if decision else None, known
                )
            ),
            pending=tuple(each for each in self.pending if each.rollout == rollout.id),
            last_offer_at=rollout.changed_at + self.lease if is_published and is_stopped else None,
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
    desired = channel.desired
    releases = desired.releases if desired is not None else {}
    if not any(rollout.version in by_version for by_version in releases.values()):
        # It is no longer spoken of: nobody has to look at it often.
        releases = releases_of(stores, rollout.app, rollout.channel, [rollout.version])
    return default_replacement(rollout, channel.rollouts, channel.policy, releases)


def _pull_plan(rollout: Rollout, recount: Recount | None) -> PullPlan | None:
    if rollout.state is not RolloutState.PULLED:
        return None
    counts = recount.pull if recount is not None else None  # it may have been pulled just now
    return PullPlan(
        replacement=rollout.replacement,
        counts=counts,
        counted_at=recount.counted_at if recount is not None and counts is not None else None,
    )
