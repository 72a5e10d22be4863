"""What the running agent last found out, for ``serinus-agent status`` and for tests.

Nothing depends on ``ROOT/status.json``: it is written without sync, and a missing or torn one
only says less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from client_agent.consent.policy import Defer
from client_agent.machine.values import Fault
from client_agent.reports.reporter import zulu
from client_agent.reports.spool import Spool
from client_agent.values import InstalledVersion
from client_agent.versions.install import Installation
from rollout.model import Assignment

FILE_NAME = "status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the last update took from the network, and the size of its full payload.

    ``received_bytes`` counts everything, what was thrown away included.
    """

    version: Version
    delta: bool
    received_bytes: int
    full_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the agent stands, and why. Without ``taken``, what was written of it stays."""

    phase: str
    state: str
    version: Version | None
    assignment: Assignment | None
    error: Fault | None
    checked_at: datetime | None
    next_check_in_at: datetime | None
    taken: Taken | None = None
    deferred: Defer | None = None


class StatusFile:
    """The file in ROOT."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE_NAME

    def write(self, status: Status) -> None:
        """Put *status* in the place of the last one; never raises."""
        new = self._path.with_suffix(".new")
        said = _render(status)
        if status.taken is None:  # another process made that update: the one before a restart
            said["last_update"] = self.read().get("last_update")
        try:
            new.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            new.replace(self._path)
        except OSError:
            return

    def read(self) -> dict[str, Any]:
        """Return the last status as it was written; nothing if there is none."""
        try:
            said = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}


def describe(installation: Installation, spool: Spool) -> dict[str, Any]:
    """Return all that a person may want to know of an installation, as JSON."""
    state = installation.state.read()
    pending = state.pending
    return {
        **(StatusFile(installation.root).read() or {"state": None}),
        "root": str(installation.root),
        "current": _installed(state.current),
        "previous": _installed(state.previous),
        "pending": None
        if pending is None
        else {
            **(_installed(pending.installed) or {}),
            "tries_left": pending.tries_left,
            "not_after": zulu(pending.not_after),
        },
        "bans": [
            {
                "version": str(ban.version),
                "rollout": ban.rollout,
                "reason": ban.reason,
                "at": zulu(ban.at),
                "count": ban.count,
            }
            for ban in state.bans
        ],
        "failures": [
            {"version": str(one.version), "code": one.code, "retry_at": zulu(one.retry_at)}
            for one in state.failures
        ],
        "spool_bytes": spool.waiting(),
    }


def tell(said: Mapping[str, Any]) -> str:
    """Return what ``describe`` gave as sentences for people, one a line."""
    current, pending = said["current"], said["pending"]
    runs = f"{current['version']} is installed" if current else "nothing is installed"
    lines = [runs if said["previous"] is None else f"{runs}, {said['previous']['version']} before"]
    if pending:
        starts = f"the next start tries {pending['version']}, {pending['tries_left']} tries left"
        lines.append(f"{starts}, until {pending['not_after']}")
    if said["state"] is None:
        lines.append("no agent has been at work here yet")
    else:
        reason = (said["assignment"] or {}).get("reason")
        lines.append(f"the agent was {said['state']}" + (f" ({reason})" if reason else ""))
        checked = said["checked_at"] or "never"
        lines.append(f"last check-in {checked}, next {said['next_check_in_at'] or 'not planned'}")
    if said.get("error"):
        lines.append(f"last error {said['error']['category']}/{said['error']['code']}")
    lines += [f"{ban['version']} is barred: {ban['reason']} at {ban['at']}" for ban in said["bans"]]
    lines += [
        f"{one['version']} failed: {one['code']}, not before {one['retry_at']}"
        for one in said["failures"]
    ]
    if waits := said.get("waits"):
        lines.append(f"the update waits ({waits['reason']}) until {waits['until']} at the longest")
    if taken := said.get("last_update"):
        how = "by a delta" if taken["delta"] else "in full"
        size = f"{taken['received_bytes']} of {taken['full_bytes']} bytes"
        lines.append(f"{taken['version']} was fetched {how}: {size}")
    return "\n".join(lines)


def _installed(installed: InstalledVersion | None) -> dict[str, Any] | None:
    if installed is None:
        return None
    return {
        "version": str(installed.version),
        "directory": installed.directory,
        "rollout": installed.rollout,
    }


def _render(status: Status) -> dict[str, Any]:
    error = status.error
    return {
        "phase": status.phase,
        "state": status.state,
        "version": None if status.version is None else str(status.version),
        "assignment": render_assignment(status.assignment),
        "error": None if error is None else {"category": error.category, "code": error.code},
        "checked_at": None if status.checked_at is None else zulu(status.checked_at),
        "next_check_in_at": (
            None if status.next_check_in_at is None else zulu(status.next_check_in_at)
        ),
        "waits": (
            None
            if status.deferred is None
            else {"reason": status.deferred.reason, "until": zulu(status.deferred.until)}
        ),
        "last_update": None if status.taken is None else _render_taken(status.taken),
    }


def _render_taken(taken: Taken) -> dict[str, Any]:
    return {
        "version": str(taken.version),
        "delta": taken.delta,
        "received_bytes": taken.received_bytes,
        "full_bytes": taken.full_bytes,
    }


def render_assignment(assignment: Assignment | None) -> dict[str, Any] | None:
    """Return an assignment as JSON, with its reason."""
    if assignment is None:
        return None
    hold = assignment.hold
    return {
        "action": assignment.action.value,
        "version": None if assignment.version is None else str(assignment.version),
        "reason": assignment.reason.value,
        "detail": None if assignment.detail is None else assignment.detail.value,
        "ring": assignment.ring,
        "rollout": assignment.rollout,
        "bucket": assignment.bucket,
        "hold": None if hold is None else {"title": hold.title, "link": hold.link},
    }
