"""Channels as they are signed and as they are wanted, parsed once for as long as nothing changes.

A channel with a thousand rollouts takes long to read, and most looks at it find it as it was.
So whoever looks reads its mark first, in the transaction of all the rest; only where that is
another one is the channel read anew. Threads may share a book: what it holds is immutable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rollout.compose import say_the_same
from rollout.documents import parse_policy, parse_rollout
from rollout.model import Policy, Rollout, RolloutDocument
from update_server.service.errors import InexpressibleError
from update_server.service.ports import StoredDocument, StoredHold, Stores
from update_server.service.ports.rollouts import ChannelMark
from update_server.service.repository.contents import POLICY, ROLLOUT
from update_server.service.repository.desired import wanted_of

Place = tuple[str, str]
"""An app and one of its channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel. ``policy`` and ``signed`` are None until there is one; ``rollouts`` newest first.

    ``in_force``: what is signed says what is wanted. ``stored``: what was signed is in storage.
    """

    policy: Policy | None = None
    signed: RolloutDocument | None = None
    rollouts: tuple[Rollout, ...] = ()
    holds: tuple[StoredHold, ...] = ()
    in_force: bool = False
    stored: bool = False

    @property
    def published(self) -> bool:
        """Whether what is wanted is signed and in storage."""
        return self.in_force and self.stored


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
        fresh = {place for place in wanted & marks.keys() if not self._knows(place, marks[place])}
        for app in {app for app, _ in fresh}:
            channels = {channel for known, channel in fresh if known == app}
            for channel, found in self._read(stores, app, channels, marks, now).items():
                self._known[app, channel] = marks[app, channel], found
        return {place: self._known[place][1] if place in marks else NO_CHANNEL for place in wanted}

    def _knows(self, place: Place, mark: ChannelMark) -> bool:
        return place in self._known and self._known[place][0] == mark

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
        return {
            channel: self._channel(
                documents.get((channel, POLICY)),
                documents.get((channel, ROLLOUT)),
                tuple(each for each in rollouts if each.channel == channel),
                tuple(each for each in holds if each.channel == channel),
                stored=marks[app, channel].stored,
                now=now,
            )
            for channel in channels
        }

    def _channel(
        self,
        policy_document: StoredDocument | None,
        rollout_document: StoredDocument | None,
        rollouts: tuple[Rollout, ...],
        holds: tuple[StoredHold, ...],
        *,
        stored: bool,
        now: datetime,
    ) -> Channel:
        policy = None if policy_document is None else parse_policy(policy_document.document)
        signed = None if rollout_document is None else parse_rollout(rollout_document.document)
        in_force = False
        if policy is not None:
            try:
                # When it was issued is not compared, so this stays true until the mark changes.
                wanted = wanted_of(policy, rollouts, holds, now, self._next_check_in_seconds)
                in_force = say_the_same(signed, wanted)
            except InexpressibleError:
                in_force = False
        return Channel(
            policy=policy,
            signed=signed,
            rollouts=rollouts,
            holds=holds,
            in_force=in_force,
            stored=stored,
        )
