"""What states, events and effects are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from packaging.version import Version

from rollout.model import Action, Delta, Reason, Release, RolloutId


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """A file of the signed repository: its path and what its bytes must be.

    ``pieces`` is the file of its pieces' hashes, where one is signed.
    """

    path: str
    sha256: str
    length_bytes: int
    pieces: TargetInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaInfo:
    """A delta as its release signs it, and the file that it is."""

    signed: Delta
    target: TargetInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version as signed: what is staged, armed or on trial."""

    version: Version
    manifest_sha256: str
    rollout: str | None = None

    def is_same(self, other: Edition) -> bool:
        """Return whether both are the same bytes, whichever rollout gave them."""
        return (self.version, self.manifest_sha256) == (other.version, other.manifest_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The version that the signed documents give this install, and where its bytes are.

    ``action`` is never ``stay``. ``target`` is the full payload; ``deltas`` lead to the same tree
    from others, installed here or not.
    """

    version: Version
    manifest_sha256: str
    rollout: RolloutId | None
    reason: Reason
    action: Action
    release: Release
    target: TargetInfo
    deltas: tuple[DeltaInfo, ...] = ()

    @property
    def edition(self) -> Edition:
        """What of the goal outlives the process."""
        return Edition(
            version=self.version, manifest_sha256=self.manifest_sha256, rollout=self.rollout
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error as the machine needs it: words of the table in ``client_agent.errors``."""

    category: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a goal's directory is made from: *delta*, or without one the full payload.

    ``instead_of``: how the delta failed that was tried before, in the same run.
    """

    delta: DeltaInfo | None = None
    instead_of: Fault | None = None

    def target_of(self, goal: Goal) -> TargetInfo:
        """Return the file to bring."""
        return goal.target if self.delta is None else self.delta.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Failed check-ins in a row, and when people were last told."""

    failures: int = 0
    code: str | None = None
    since: datetime | None = None
    reported_at: datetime | None = None


NO_TROUBLE = Trouble()


class Trigger(StrEnum):
    """What a check-in was made for."""

    START = "start"
    TIMER = "timer"
    MANUAL = "manual"
    WAKE = "wake"
    PRE_APPLY = "pre_apply"


class PassiveReason(StrEnum):
    """Why an agent only looks."""

    BUSY = "busy"
    NOT_WRITABLE = "not_writable"
    UNSUPPORTED_FILESYSTEM = "unsupported_filesystem"


class ConfirmRule(StrEnum):
    """What makes a trial a success."""

    APP = "app"  # the app said that it is healthy, and stayed up
    UPTIME = "uptime"  # it stayed up
    COMMAND = "command"  # its health command ended well


class When(StrEnum):
    """Which line of docs/agent.md, 3 the next check-in follows."""

    NOW = "now"  # nothing is installed yet
    START = "start"
    SOON = "soon"  # on trial, or after a fall-back
    SUCCESS = "success"
    CLOSE = "close"  # something is staged or armed
    FAILURE = "failure"


class Phase(StrEnum):
    """The steps of an update that are reported (docs/protocol.md)."""

    OFFERED = "offered"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    STAGED = "staged"
    APPLIED = "applied"
    LAUNCHED = "launched"
    HEALTHY = "healthy"
    FAILED = "failed"
