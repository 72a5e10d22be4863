"""What the agent is to do. Some effects answer with an event; the sentence says which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from client_agent.machine.values import DeltaInfo, Edition, Fault, Goal, Phase, Plan, Trigger, When
from rollout.model import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Refresh, check in, decide; answer Decided, CheckFailed or LockLost."""

    trigger: Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Check in without touching the disk; answer Decided without a goal, or CheckFailed."""

    trigger: Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReason:
    """Remember why, for status and callbacks."""

    assignment: Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Set the time of the next check-in; no later than ``by``, as far as the floor allows."""

    when: When
    by: datetime | None = None
    failures: int = 0
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Queue an ``update`` event; without an edition it is about no version in particular."""

    phase: Phase
    edition: Edition | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMarkers:
    """Queue the sessions of starts that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLastResult:
    """Queue how the last trial ended, as the launcher noted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """Find the cheapest plan; answer AlreadyBuilt, Planned or DownloadFailed."""

    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDownload:
    """May the plan's bytes be fetched? Answer Allowed, Deferred, or DownloadFailed: never."""

    goal: Goal
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Bring the plan's bytes, if there is room; answer Downloaded or DownloadFailed."""

    goal: Goal
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Make the goal's directory, or leave nothing of it; answer Built or BuildFailed."""

    goal: Goal
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class BarDelta:
    """Never take this delta again, and delete its part file."""

    goal: Goal
    delta: DeltaInfo
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class DropParts:
    """Delete the part files of the goal."""

    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberFailure:
    """Bar the edition for a while."""

    edition: Edition
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPolicy:
    """May it be applied? Answer Allowed or Deferred."""

    edition: Edition


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Verify in full, persist the high-water mark, make it pending; ArmFailed if not."""

    goal: Goal
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarm:
    """Make nothing pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyApp:
    """Tell the app or the parent that something is staged (or armed: the next start has it)."""

    edition: Edition
    armed: bool
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Make the trial the current version, for good; answer Confirmed or ConfirmFailed."""

    edition: Edition
    launch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkHealthy:
    """Note in the marker of this start that the app called itself healthy."""

    launch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectGarbage:
    """Remove what nothing needs any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealMarker:
    """Note that this start ended cleanly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushSpool:
    """Bring queued events to the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An event that means nothing in this state: counted, never raised."""

    state: str
    event: str


Effect = (
    Check
    | Look
    | RecordReason
    | Schedule
    | Report
    | ReportMarkers
    | ReportLastResult
    | Choose
    | AskDownload
    | Fetch
    | Build
    | BarDelta
    | DropParts
    | RememberFailure
    | AskPolicy
    | Arm
    | Disarm
    | NotifyApp
    | Confirm
    | MarkHealthy
    | CollectGarbage
    | SealMarker
    | FlushSpool
    | Ignored
)
