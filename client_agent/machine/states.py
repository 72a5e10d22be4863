"""The states. Each carries its own data, so that nothing about it is kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from client_agent.machine.values import (
    NO_TROUBLE,
    ConfirmRule,
    Edition,
    Goal,
    PassiveReason,
    Plan,
    Trigger,
    Trouble,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Waiting for a check-in. ``offered``: what the policy keeps from being downloaded."""

    trouble: Trouble = NO_TROUBLE
    offered: Edition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """Refreshing, checking in, deciding."""

    trigger: Trigger
    trouble: Trouble = NO_TROUBLE
    offered: Edition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloading:
    """Bringing the goal's bytes to a part file. Without a plan: looking for the cheapest.

    ``allowed``: the policy was asked about the plan.
    """

    goal: Goal
    plan: Plan | None = None
    allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """Turning verified bytes into a finished directory."""

    goal: Goal
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Complete in ``versions/``, not armed. ``checking`` is the check-in under way."""

    edition: Edition
    deferrals: int = 0
    checking: Trigger | None = None
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The next start through the launcher runs it on trial, until ``not_after``."""

    edition: Edition
    not_after: datetime
    decided_at: datetime
    checking: Trigger | None = None
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The new version runs, unconfirmed.

    ``healthy_quits`` counts earlier starts of this trial in which the app was healthy and quit
    cleanly. ``passed_over``: a decision asked for another version meanwhile. ``confirming``:
    the state on disk is being written.
    """

    edition: Edition
    launch_id: str
    confirm: ConfirmRule = ConfirmRule.APP
    healthy_called: bool = False
    uptime_reached: bool = False
    late: bool = False
    healthy_quits: int = 0
    passed_over: bool = False
    confirming: bool = False
    checking: Trigger | None = None
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """Looks and reports, never changes versions."""

    reason: PassiveReason
    trouble: Trouble = NO_TROUBLE


State = Idle | Checking | Downloading | Building | Staged | Armed | Trial | Passive
