"""What a program in any language says through ``serinus-agent report``.

The launcher's variable in its environment tells of which start it speaks. Each function returns
what to show, and raises ``AgentError``.
"""

from __future__ import annotations

import os
import re
import sys
from math import isfinite, nan
from pathlib import Path
from typing import Any

from client_agent.config import METRIC_NAME, Telemetry
from client_agent.disk.os_errors import disk_errors
from client_agent.errors import Code, ConfigError, StateError
from client_agent.launched import LAUNCH
from client_agent.reports.faults import MAX_BYTES, ToldCrash, parse_crash
from client_agent.reports.minidumps import HEADER
from client_agent.running.loop import Loop
from client_agent.running.parts import Parts
from client_agent.values import Marker, MarkerStatus
from rollout.errors import DocumentError

_STDIN = "-"


def report_healthy(parts: Parts) -> dict[str, Any]:
    """Say that this start is healthy, and confirm its trial if it has been up long enough."""
    marker = _this_start(parts)
    if marker is None:
        raise StateError(Code.LOST, f"{LAUNCH} names no start of this app")
    if marker.status is not MarkerStatus.OPEN:  # what it left behind cannot speak for it
        raise StateError(Code.LOST, "that start has ended")
    parts.installation.mark_healthy(marker.launch_id)
    if not marker.trial:
        return {"confirmed": True}
    up = (parts.clock.now() - marker.started).total_seconds()
    needed = parts.schedule.scaled(parts.settings.health.uptime_seconds)
    pending = parts.installation.state.read().pending
    if pending is None or pending.installed.version != marker.version:
        return {"confirmed": pending is None}
    if up < needed:
        # serinus-agent run sees the mark; others call again.
        return {"confirmed": False, "seconds_left": int(needed - up) + 1}
    parts.installation.state.confirm(parts.clock.now())
    parts.reporter.step("healthy", running=marker.version, to=marker.version)
    parts.spool.seal()
    return {"confirmed": True}


def report_metric(loop: Loop, metric: str) -> dict[str, Any]:
    """Report a number, spelled ``NAME=NUMBER``."""
    name, _, value = metric.partition("=")
    running = loop.performer.running()
    if running is None:
        raise StateError(Code.LOST, "nothing is installed here yet")
    try:
        number = float(value)
    except ValueError:
        number = nan
    if not isfinite(number) or not re.fullmatch(METRIC_NAME, name):
        raise ConfigError("--metric", "is not NAME=NUMBER, such as startup_ms=812")
    loop.parts.reporter.metric(name, number, running)
    loop.parts.spool.seal()
    return {"name": name, "value": number}


def report_crash(loop: Loop, file: str) -> dict[str, Any]:
    """Report the crash in *file*: a minidump, or a document as ``parse_crash`` takes it."""
    parts, marker = loop.parts, _this_start(loop.parts)
    version = loop.performer.running() if marker is None else marker.version
    token = None if marker is None else marker.token
    if version is None:
        raise StateError(Code.LOST, "nothing is installed here yet")
    may_keep = parts.reporter.level is Telemetry.CRASH and file != _STDIN
    if may_keep and parts.minidumps.adopt(Path(file), version, token):
        return {"version": str(version), "minidump": True}
    with disk_errors():
        if file == _STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
    try:
        # Of a dump that may not leave the machine only that there was one.
        crash = ToldCrash("minidump") if data.startswith(HEADER) else parse_crash(data)
    except DocumentError as error:
        raise ConfigError("--crash", f"is no minidump and no crash as JSON: {error}") from error
    sid = None if marker is None else marker.launch_id
    parts.reporter.told(crash, version, sid, token=token)
    parts.spool.seal()
    return {"version": str(version), "type": crash.kind}


def _this_start(parts: Parts) -> Marker | None:
    """Return the marker of the start that the calling program is part of."""
    launch_id = os.environ.get(LAUNCH, "")
    return parts.installation.marker(launch_id) if launch_id else None
