"""What is told about this install: steps of updates, sessions, crashes, metrics.

Everything that leaves is named here, field by field, and cut to the level that the person allows
before it is first written. Types and places of errors are told; never locals or absolute paths,
and messages only where the app asks for that, scrubbed.

Not here: keeping events (``client_agent.reports.spool``), sending them
(``client_agent.reports.sender``).
"""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Container, Iterable
from datetime import datetime
from math import isfinite
from typing import Any

from packaging.version import Version

from client_agent.chance import Chance
from client_agent.clock import Clock
from client_agent.config import Telemetry
from client_agent.machine.values import Fault
from client_agent.reports.faults import ToldCrash, file_name
from client_agent.reports.scrub import scrubbed
from client_agent.reports.spool import Spool
from client_agent.values import Marker, MarkerStatus
from rollout.versions import render_version

MAX_FRAMES = 64
MAX_TEXT = 256
OWN_METRICS = "agent_dropped_"
"""What begins so is the agent's own, and told at every level but ``off``."""

TokenFor = Callable[[Version], str | None]


class Reporter:
    """Makes events and puts them in the spool. Never raises; safe across threads.

    *metrics*: the names of numbers that are told at level ``health`` too.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        chance: Chance,
        token_for: TokenFor,
        level: Telemetry = Telemetry.CRASH,
        *,
        messages: bool = False,
        metrics: Container[str] = (),
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._chance = chance
        self._token_for = token_for
        self._messages = messages
        self._metrics = metrics
        self.level = level

    def step(
        self,
        phase: str,
        *,
        running: Version | None,
        to: Version,
        fault: Fault | None = None,
        downloaded_bytes: int | None = None,
        delta: bool | None = None,
        duration_seconds: int | None = None,
    ) -> None:
        """Report a step of an update, from *running* to *to*."""
        event = {
            "from": None if running is None else render_version(running),
            "to": render_version(to),
            "phase": phase,
            "error": None if fault is None else {"category": fault.category, "code": fault.code},
            "downloaded_bytes": downloaded_bytes,
            "delta": delta,
            "duration_seconds": duration_seconds,
        }
        self._append("update", event, running or to, source="agent", required=("from",))

    def session(self, marker: Marker, boot_id: str, *, died: bool = False) -> None:
        """Report a start that ended, with the version and token of its marker.

        *died*: something that it left behind proves a crash.
        """
        status, cause = marker.status, None
        if status is MarkerStatus.OPEN and died:
            status = MarkerStatus.CRASHED
        elif status is MarkerStatus.OPEN:
            # Nobody saw it end. After a reboot that is the power's doing, and no evidence.
            status = MarkerStatus.ABNORMAL
            cause = "reboot" if marker.boot_id != boot_id else None
        ended = marker.ended
        event = {
            "version": render_version(marker.version),
            "sid": marker.launch_id,
            "status": status.value,
            "started": zulu(marker.started),
            "duration_seconds": (
                None if ended is None else max(0, int((ended - marker.started).total_seconds()))
            ),
            "cause": cause,
        }
        self._append("session", event, marker.version, source="launch", token=marker.token)

    def crash(self, error: BaseException, version: Version, sid: str | None) -> None:
        """Report an error that the app did not handle: its type and where it happened."""
        message = _message_of(error) if self._messages else None
        told = ToldCrash(kind=_type_of(error), frames=tuple(_frames(error)), message=message)
        self.told(told, version, sid)

    def told(
        self, crash: ToldCrash, version: Version, sid: str | None, *, token: str | None = None
    ) -> None:
        """Report a crash as somebody else tells it, as far as the level allows."""
        in_full = self.level is Telemetry.CRASH
        exception = {"type": crash.kind}
        if in_full and self._messages and crash.message is not None:
            homes = (os.path.expanduser("~"),)  # noqa: PTH111 - never raises
            exception["message"] = scrubbed(crash.message, homes=homes)
        event = {
            "version": render_version(version),
            "sid": sid,
            "exception": exception,
            "frames": [*crash.frames] if in_full and crash.frames else None,
        }
        self._append("crash", event, version, source="agent", token=token)

    def metric(self, name: str, value: float, version: Version) -> None:
        """Report a number, if the level allows its name; one that is not finite is none."""
        if isfinite(value) and (self.level is not Telemetry.HEALTH or name in self._metrics):
            self._number(name, value, version)

    def dropped(self, version: Version) -> None:
        """Report how many events were given up since the last time, as metrics by kind."""
        counts: dict[str, int] = {}
        for (kind, _), count in self._spool.dropped.items():
            counts[kind] = counts.get(kind, 0) + count
        self._spool.dropped.clear()
        for kind, count in sorted(counts.items()):
            self._number(f"{OWN_METRICS}{kind}", count, version)

    def _number(self, name: str, value: float, version: Version) -> None:
        event = {"version": render_version(version), "name": name, "value": float(value)}
        self._append("metric", event, version, source="agent")

    def _append(
        self,
        kind: str,
        fields: dict[str, Any],
        version: Version,
        *,
        source: str,
        token: str | None = None,
        required: Iterable[str] = (),
    ) -> None:
        if self.level is Telemetry.OFF:
            return
        known = {name: value for name, value in fields.items() if value is not None}
        known |= {name: fields[name] for name in required}
        event = {
            "id": self._chance.new_id(),
            "at": zulu(self._clock.now()),
            "kind": kind,
            "source": source,
            **known,
        }
        token = token or self._token_for(version)
        self._spool.append(event, version=render_version(version), token=token)


def zulu(at: datetime) -> str:
    """Return an instant as the wire spells it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _type_of(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _qualified(kind)
    return name[:MAX_TEXT]


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an app's own error may say anything, or nothing
        return ""


def _frames(error: BaseException) -> list[dict[str, Any]]:
    """Return where *error* came from, innermost first."""
    walked = deque(traceback.walk_tb(error.__traceback__), maxlen=MAX_FRAMES)
    return [
        {
            "module": str(frame.f_globals.get("__name__", ""))[:MAX_TEXT],
            "function": frame.f_code.co_qualname[:MAX_TEXT],
            "file": file_name(frame.f_code.co_filename)[:MAX_TEXT],
            "line": line,
        }
        for frame, line in reversed(walked)
    ]
