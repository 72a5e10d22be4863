"""What happens to the agent. Whatever took time says when it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from client_agent.machine.states import Armed, Trial
from client_agent.machine.values import ConfirmRule, Edition, Fault, Goal, PassiveReason, Plan
from rollout.model import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The agent's process began, or a trial that it followed from outside ended.

    ``trial`` or ``armed`` is what was found on disk, if any; ``empty``: nothing is installed.
    """

    trial: Trial | None = None
    armed: Armed | None = None
    fell_back: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A check-in is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequested:
    """A person or the app wants to know now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke:
    """The machine was asleep, and a check-in was due meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What refresh, check-in and ``decide`` gave. Without a goal: stay.

    ``not_after``: until when an arming on this decision holds.
    """

    assignment: Assignment
    goal: Goal | None
    at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFailed:
    """No decision could be made."""

    fault: Fault
    at: datetime
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyBuilt:
    """The goal's directory is there and verifies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """How the goal's directory is to come about."""

    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """The plan's bytes are there and verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadFailed:
    """They are not, after all mirrors and rounds."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The goal's directory is finished and verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailed:
    """It is not."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Policy, app or person: fetch what was planned, or apply what is staged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Not now, and not before ``until`` if that is known."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A person said "later" or "skip"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFailed:
    """What was staged no longer verifies, or the state could not be written."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmingExpired:
    """``not_after`` passed before a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The launcher started what was armed on trial: for us, or beside us (``serinus-agent run``).

    By then a check-in may have met that very trial and left the machine in another state.
    """

    edition: Edition
    launch_id: str
    confirm: ConfirmRule


@dataclass(frozen=True, slots=True, kw_only=True)
class AppHealthy:
    """The app says that it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UptimeReached:
    """The trial has been up long enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPassed:
    """The health command ended with 0, in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The trial is the current version now, on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmFailed:
    """The state could not be written; the trial goes on."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDeadline:
    """The trial should have been healthy by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBack:
    """The trial's tries are used up: it is banned, and what ran before runs again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quit:
    """The process ends cleanly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLost:
    """Another agent is at work in this ROOT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritable:
    """ROOT cannot be changed."""

    reason: PassiveReason
    fault: Fault


Event = (
    Started
    | TimerFired
    | CheckRequested
    | Woke
    | Decided
    | CheckFailed
    | AlreadyBuilt
    | Planned
    | Downloaded
    | DownloadFailed
    | Built
    | BuildFailed
    | Allowed
    | Deferred
    | Postponed
    | ArmFailed
    | ArmingExpired
    | Launched
    | AppHealthy
    | UptimeReached
    | CommandPassed
    | Confirmed
    | ConfirmFailed
    | HealthDeadline
    | FellBack
    | Quit
    | LockLost
    | NotWritable
)

FAILURES = (
    CheckFailed,
    DownloadFailed,
    BuildFailed,
    ArmFailed,
    ConfirmFailed,
    LockLost,
    NotWritable,
)
"""Answers that end their step: the effects after the one that failed are not performed."""
