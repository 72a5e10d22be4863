"""What installs tell, and what is counted of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rollout.model import Arm, RolloutId


class Phase(StrEnum):
    """Steps of an update, as agents report them; the order is that of the funnel."""

    OFFERED = "offered"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    STAGED = "staged"
    APPLIED = "applied"
    LAUNCHED = "launched"
    HEALTHY = "healthy"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One check-in, as evidence remembers it. Keys are pseudonyms of the install.

    ``rollout``, ``ring`` and ``arm`` are of the newest live rollout that concerns the
    install; None when there is none or the install is under a hold, which ``held`` says.
    ``bucket`` is the install's in that rollout. ``network`` is a keyed hash of the network that
    it came from, empty where the address says nothing.
    """

    app: str
    install_key: bytes
    at: datetime
    channel: str
    platform: str
    version: str
    action: str
    reason: str
    offered: str | None = None
    rollout: RolloutId | None = None
    ring: str | None = None
    arm: Arm | None = None
    self_selected: bool = False
    telemetry: str = "crash"
    timestamp_version: int = 0
    snapshot_sha256: str = ""
    network: bytes = b""
    bucket: int | None = None
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One accepted event. ``body`` keeps the allow-listed fields of its kind.

    ``install_key`` is the whole key; or its first 8 bytes, where only a token names the install;
    or empty, where nothing does. ``quarantine`` says why the event is set aside, if it is.
    """

    app: str
    install_key: bytes
    id: str
    at: datetime
    received_at: datetime
    kind: str
    version: str
    source: str = "agent"
    phase: Phase | None = None
    channel: str | None = None
    platform: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    quarantine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInstall:
    """An install by its whole key, with what it told of itself when it last checked in."""

    install_key: bytes
    channel: str
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelCell:
    """How many distinct installs of one ring and arm reached a step."""

    ring: str
    arm: Arm
    step: str  # a Phase, or "contacts" or "silent"
    installs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a spool file has been digested."""

    spool: str
    offset_bytes: int


class Telemetry(Protocol):
    """Counts of installs, fed by the digest alone. Everything is counted once.

    ``absorb`` takes contacts and events in order, drops event ids already seen, keeps one
    progress row per (rollout, install) with the steps reached, and the last contact of every
    install. Ring and arm of an install in a rollout are those of its first contact; but a
    control install that a wider ring takes in counts there from then on. An update event is
    about the newest rollout of its version, and counts also when no contact was seen: then
    as a candidate of ring ``""``.
    """

    # returns the events that are new
    def absorb(self, contacts: Sequence[Contact], events: Sequence[Event]) -> Sequence[Event]: ...
    def checkpoint(self, spool: str) -> int: ...  # 0 when unknown
    def put_checkpoint(self, checkpoint: Checkpoint) -> None: ...
    def forget_checkpoint(self, spool: str) -> None: ...
    # cells of the steps that were reached, for every rollout that is asked for; no cell is 0, and
    # none is of "silent": see Recounts
    def funnels(
        self, rollouts: Collection[RolloutId]
    ) -> Mapping[RolloutId, Sequence[FunnelCell]]: ...
    # versions are told by channel, platform, version and number of installs
    def versions(self, app: str) -> Sequence[tuple[str, str, str, int]]: ...
    def event_ids(self, app: str, install_key: bytes) -> Sequence[str]: ...  # sorted
    def seen_ids(self, names: Iterable[tuple[str, bytes, str]]) -> set[tuple[str, bytes, str]]: ...
    # installs that were seen, by the key, or by the beginning of one, that was asked for
    def find(self, app: str, keys: Collection[bytes]) -> Mapping[bytes, SeenInstall]: ...
    def forget_install(self, app: str, install_key: bytes) -> None: ...
    def expire(self, *, contacts_before: datetime, events_before: datetime) -> None: ...
