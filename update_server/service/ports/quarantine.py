"""Reports that were set aside, and how they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from rollout.model import Arm, RolloutId

if TYPE_CHECKING:  # ports itself names the store below
    from update_server.service.ports import Event

MOST_KEPT: Final = 10_000
"""Reports kept of one app and rule. Further ones are counted, and gone."""

TAG_BYTES: Final = 8
"""So much of an install's key is in its tokens, and hence in reports that come by token alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A report that ``event.quarantine`` set aside. ``arm`` is empty when it is not known."""

    event: Event
    arm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A report that waits to be accepted or dropped."""

    id: int
    rule: str
    arm: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """How many reports a rule set aside of installs in one arm. ``kept``: those that wait.

    ``installs`` sent those that wait; reports that name no install are of none.
    """

    rule: str
    arm: str
    events: int
    kept: int
    installs: int = 0


class QuarantineStore(Protocol):
    """Reports that were set aside: some are kept until somebody decides, all are counted.

    An accepted report waits until the digest takes it, which is the last that is known of it
    here: its ID counts as not seen then.
    """

    # the arm of each install in the first of these rollouts in which it is in one
    def arms(
        self, rollouts: Sequence[RolloutId], installs: Collection[bytes]
    ) -> Mapping[bytes, Arm]: ...
    def add(self, asides: Sequence[Aside]) -> None: ...  # no two of one ID
    def counts(self, app: str) -> Sequence[RuleCount]: ...  # by rule and arm
    # newest first, without those that were accepted
    def page(
        self, app: str, *, rule: str | None, before_id: int | None, limit: int
    ) -> Sequence[Kept]: ...
    # reports that wait of one install, of which a token may tell the first 8 bytes only: rule
    # and number, by rule
    def of_install(self, app: str, install_key: bytes) -> Sequence[tuple[str, int]]: ...
    # both return how many; of one version or, with None, of all
    def accept(self, app: str, rule: str, version: str | None) -> int: ...
    def drop(self, app: str, rule: str, version: str | None) -> int: ...
    def has_accepted(self) -> bool: ...
    def take_accepted(self, limit: int) -> Sequence[Event]: ...  # oldest first, no more set aside
    def forget_install(self, app: str, install_key: bytes) -> None: ...
    def expire(self, before: datetime) -> None: ...  # what was received before
