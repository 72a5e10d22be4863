"""Channels as they are signed and as they are wanted, parsed once for as long as nothing changes.

A channel with a thousand rollouts takes long to read, and most looks at it find it as it was.
So whoever looks reads its mark first, in the transaction of all the rest; only where that is
another one is the channel read anew. Threads may share a book: what it holds is immutable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rollout.documents import parse_policy, parse_rollout
from rollout.model import Policy, Rollout
from update_server.service.errors import InexpressibleError
from update_server.service.ports import StoredDocument, StoredHold, Stores
from update_server.service.ports.rollouts import ChannelMark
from update_server.service.repository.contents import POLICY, ROLLOUT
from update_server.service.repository.desired import Desired, parsed, versions_named, wanted_of

Place = tuple[str, str]
"""An app and one of its channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel, with its rollouts newest first.

    ``desired`` is None as long as there is no policy, or where what is wanted cannot be said within
    it. ``stored``: what was signed is in storage.
    """

    policy: Policy | None = None
    rollouts: tuple[Rollout, ...] = ()
    desired: Desired | None = None
    stored: bool = False

    @property
    def published(self) -> bool:
        """Whether what is wanted is signed and in storage."""
        return self.desired is not None and self.desired.in_force and self.stored


NO_CHANNEL = Channel()


class ChannelBook:
    """Remembers channels by their marks."""

    def __init__(self, *, next_check_in_seconds: int) -> None:
        self._next_check_in_seconds = next_check_in_seconds
        self._known: dict[Place, tuple[ChannelMark, Channel]] = {}

    def look(
        self, stores: Stores, places: Iterable[Place], now: datetime
    ) -> Mapping[Place, Channel]:
        """Return each of *places* as it is in the transaction of *stores*."""
        wanted = set(places)
        marks = stores.rollouts.marks({app for app, _ in wanted})
        found = self._marked(stores, {each: marks[each] for each in wanted & marks.keys()}, now)
        return {place: found.get(place, NO_CHANNEL) for place in wanted}

    def all(self, stores: Stores, app: str, now: datetime) -> Mapping[Place, Channel]:
        """Return all channels of *app* of which anything is stored."""
        return self._marked(stores, stores.rollouts.marks({app}), now)

    def _marked(
        self, stores: Stores, marks: Mapping[Place, ChannelMark], now: datetime
    ) -> Mapping[Place, Channel]:
        # Another thread may remember a channel as it is in another snapshot, at any time: so what
        # is returned is what was found by its mark, and never what is remembered meanwhile.
        known = {place: self._known.get(place) for place in marks}
        found = {
            place: known_as[1]
            for place, known_as in known.items()
            if known_as is not None and known_as[0] == marks[place]
        }
        fresh = marks.keys() - found.keys()
        for app in {app for app, _ in fresh}:
            channels = {channel for of, channel in fresh if of == app}
            for channel, read in self._read(stores, app, channels, marks, now).items():
                found[app, channel] = read
                self._known[app, channel] = marks[app, channel], read
        return found

    def _read(
        self,
        stores: Stores,
        app: str,
        channels: Collection[str],
        marks: Mapping[Place, ChannelMark],
        now: datetime,
    ) -> Mapping[str, Channel]:
        documents = {(each.channel, each.kind): each for each in stores.releases.documents(app)}
        rollouts, holds = stores.rollouts.of_app(app), stores.rollouts.holds(app)
        found = {}
        for channel in channels:
            mine = tuple(each for each in rollouts if each.channel == channel)
            policy, desired = self._desired(
                stores,
                (app, channel),
                documents,
                mine,
                tuple(each for each in holds if each.channel == channel),
                now,
            )
            found[channel] = Channel(
                policy=policy, rollouts=mine, desired=desired, stored=marks[app, channel].stored
            )
        return found

    def _desired(
        self,
        stores: Stores,
        place: Place,
        documents: Mapping[tuple[str, str], StoredDocument],
        rollouts: tuple[Rollout, ...],
        holds: tuple[StoredHold, ...],
        now: datetime,
    ) -> tuple[Policy | None, Desired | None]:
        app, channel = place
        told = documents.get((channel, POLICY))
        if told is None:
            return None, None
        policy = parse_policy(told.document)
        known = documents.get((channel, ROLLOUT))
        signed = None if known is None else parse_rollout(known.document)
        try:
            # When it was issued is compared nowhere, so it may be as old as the mark.
            wanted = wanted_of(policy, rollouts, holds, now, self._next_check_in_seconds)
        except InexpressibleError:
            return policy, None
        named = versions_named(wanted, signed)
        return policy, Desired(
            app=app,
            channel=channel,
            policy=policy,
            signed=signed,
            wanted=wanted,
            rollouts=rollouts,
            holds=holds,
            releases=parsed(stores.releases.of_versions(app, named), channel),
        )
