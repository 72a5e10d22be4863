"""What the server wants: rollouts and holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from packaging.version import Version

from rollout.model import Hold, Rollout, RolloutId
from update_server.service.ports.reach import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHold:
    """A hold of one channel. Lifted holds stay on record."""

    app: str
    channel: str
    hold: Hold
    created_at: datetime
    created_by: str
    reason: str
    rollout: RolloutId | None = None  # None: every rollout of the channel
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMark:
    """What a channel's signed documents, releases, rollouts and holds are known by, in short.

    Two marks of a channel have the same ``text`` only if nothing of these differs. ``stored``:
    all that was signed for the app is in storage.
    """

    text: str
    stored: bool


class Rollouts(Protocol):
    """What the server wants: each rollout's state."""

    def add(self, rollout: Rollout) -> None: ...
    def get(self, app: str, rollout_id: RolloutId) -> Rollout: ...
    # newest first; *start* is how many to leave out
    def of_app(
        self, app: str, *, start: int = 0, limit: int | None = None
    ) -> Sequence[Rollout]: ...
    def of_versions(
        self, app: str, versions: Collection[Version]
    ) -> Sequence[Rollout]: ...  # newest first
    def newest(self, app: str, limit: int) -> Sequence[Rollout]: ...  # the first of these
    def live(self) -> Sequence[Rollout]: ...  # active or paused, all apps
    def pulled(self) -> Sequence[Rollout]: ...  # all apps
    # unknown ones are not in it
    def revisions(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, int]: ...
    def reach(self, rollouts: Collection[RolloutId]) -> Mapping[RolloutId, Reach]: ...
    # by app and channel; a channel of which nothing is stored is not in it
    def marks(self, apps: Collection[str]) -> Mapping[tuple[str, str], ChannelMark]: ...
    def replace(self, old: Rollout, new: Rollout) -> None: ...  # ChangedError
    def add_hold(self, hold: StoredHold) -> None: ...
    def lift_hold(self, app: str, hold_id: str, at: datetime) -> StoredHold: ...
    def restore_hold(self, app: str, hold_id: str) -> None: ...  # undo a lift that was not signed
    def holds(self, app: str, *, lifted: bool = False) -> Sequence[StoredHold]: ...
