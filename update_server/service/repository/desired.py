"""What a channel should say, beside what its newest signed document says.

The database holds what is wanted; the signed document is what is in force. Both are read
here, in one transaction, and compared. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from packaging.version import Version

from rollout.changes import Change, judge_change
from rollout.compose import PlacedHold, document_for, say_the_same
from rollout.documents import (
    check_against_policy,
    parse_policy,
    parse_release,
    parse_rollout,
    render_rollout,
)
from rollout.errors import DocumentError
from rollout.history import history_of
from rollout.model import Actor, Policy, Release, Rollout, RolloutDocument, RolloutState
from update_server.service.errors import InexpressibleError, NotRegisteredError
from update_server.service.ports import StoredHold, StoredRelease, Stores
from update_server.service.repository.contents import POLICY, ROLLOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One channel: what is signed, and what the database wants to be signed.

    ``rollouts`` are newest first. ``releases`` has, by platform, those that either document
    may name.
    """

    app: str
    channel: str
    policy: Policy
    signed: RolloutDocument | None
    wanted: RolloutDocument
    rollouts: tuple[Rollout, ...]
    holds: tuple[StoredHold, ...]
    releases: Mapping[str, Mapping[Version, Release]]

    @property
    def in_force(self) -> bool:
        """Whether what is signed says what is wanted, whenever it was issued."""
        return say_the_same(self.signed, self.wanted)

    def judge(self, before: Desired, now: datetime) -> Change:
        """Return what it means to sign what is wanted here, as the signer will see it.

        ``before`` is the channel before the change: soak and pauses count from there.
        """
        return judge_change(
            before.signed,
            self.wanted,
            self.policy,
            self.releases,
            now,
            history=history_of(before.rollouts, before.policy.internal_groups),
        )

    def only_narrows(self, now: datetime) -> bool:
        """Whether a token shown with what is wanted would approve nothing by the way.

        It must neither widen, nor make an automatic pause look like a person's.
        """
        signed = self.signed.entries if self.signed else ()
        paused = {entry.rollout for entry in signed if entry.state is RolloutState.PAUSED}
        newly_paused = (
            rollout
            for rollout in self.rollouts
            if rollout.state is RolloutState.PAUSED and rollout.id not in paused
        )
        by_itself = any(rollout.paused_by is Actor.AUTOMATIC for rollout in newly_paused)
        return not by_itself and self.judge(self, now).approvals_needed == 0


def desired_for(
    stores: Stores, app: str, channel: str, now: datetime, next_check_in_seconds: int
) -> Desired:
    """Read one channel.

    Raises:
        NotRegisteredError: It has no signed policy yet.
        InexpressibleError: What the database wants cannot be said within this policy.
    """
    policy, signed = documents_of(stores, app, channel)
    rollouts = rollouts_of(stores, app, channel)
    holds = tuple(hold for hold in stores.rollouts.holds(app) if hold.channel == channel)
    wanted = wanted_of(policy, rollouts, holds, now, next_check_in_seconds)
    return Desired(
        app=app,
        channel=channel,
        policy=policy,
        signed=signed,
        wanted=wanted,
        rollouts=rollouts,
        holds=holds,
        releases=releases_of(stores, app, channel, versions_named(wanted, signed)),
    )


def wanted_of(
    policy: Policy,
    rollouts: Iterable[Rollout],
    holds: Iterable[StoredHold],
    now: datetime,
    next_check_in_seconds: int,
) -> RolloutDocument:
    """Return the document that says what is wanted of the policy's channel.

    Raises:
        InexpressibleError: It cannot be said within this policy.
    """
    wanted = document_for(
        policy,
        rollouts,
        [PlacedHold(hold=held.hold, rollout=held.rollout) for held in holds],
        now=now,
        next_check_in_seconds=next_check_in_seconds,
    )
    # What an agent will read is the rendering, so that is what is compared and judged.
    try:
        return check_against_policy(parse_rollout(render_rollout(wanted)), policy)
    except DocumentError as error:
        raise InexpressibleError(error.detail, error.where) from error


def documents_of(stores: Stores, app: str, channel: str) -> tuple[Policy, RolloutDocument | None]:
    """Return the newest signed policy and rollout document of a channel.

    Raises:
        NotRegisteredError: There is no policy yet.
    """
    documents = {
        stored.kind: stored.document
        for stored in stores.releases.documents(app)
        if stored.channel == channel
    }
    if POLICY not in documents:
        raise NotRegisteredError(app, f"policy for channel {channel!r}")
    signed = parse_rollout(documents[ROLLOUT]) if ROLLOUT in documents else None
    return parse_policy(documents[POLICY]), signed


def rollouts_of(stores: Stores, app: str, channel: str) -> tuple[Rollout, ...]:
    """Return the rollouts of a channel, newest first."""
    return tuple(each for each in stores.rollouts.of_app(app) if each.channel == channel)


def releases_of(
    stores: Stores, app: str, channel: str, versions: Iterable[Version]
) -> Mapping[str, Mapping[Version, Release]]:
    """Return the admitted releases of *versions* on a channel, by platform."""
    return parsed(stores.releases.of_versions(app, set(versions)), channel)


def parsed(
    releases: Iterable[StoredRelease], channel: str
) -> Mapping[str, Mapping[Version, Release]]:
    """Return those of *releases* that are on *channel*, by platform."""
    found: dict[str, dict[Version, Release]] = {}
    for stored in releases:
        if stored.channel == channel:
            release = parse_release(stored.document)
            found.setdefault(stored.platform, {})[stored.version] = release
    return found


def versions_named(*documents: RolloutDocument | None) -> set[Version]:
    """Return the versions that *documents* speak of."""
    named: set[Version] = set()
    for document in documents:
        for entry in document.entries if document else ():
            named |= {entry.version, *entry.from_versions}
    return named
