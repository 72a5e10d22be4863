"""``serinus rollout watch``: one line per change, readable on a terminal and in a log."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.clock import SystemClock

_POLL_SECONDS = 0.5  # what happens is to be seen within two seconds
_SHOWN = ("state", "ring", "exposure_bp", "holdback_bp", "paused_by", "replacement", "published")


def watch(session: Session, which: str | None, seconds: float | None) -> int:
    """Print every change of the app's releases and rollouts until interrupted.

    *which* (a version or rollout ID) keeps to one; *seconds* ends by itself.
    """
    clock = SystemClock()
    until = None if seconds is None else clock.monotonic() + seconds
    pause = threading.Event()
    known: dict[str, dict[str, Any]] = {}
    while until is None or clock.monotonic() < until:
        now = clock.now()
        seen = dict(_things(session, which))
        for name, thing in seen.items():
            for change in _changes(known.get(name), thing):
                stamp = now.strftime("%H:%M:%S")
                document = {"at": now.isoformat(timespec="milliseconds"), "what": name, **change}
                words = " ".join(f"{key}={value}" for key, value in change.items())
                session.console.line(document, f"{stamp} {name}: {words}")
        known = seen
        pause.wait(_POLL_SECONDS)
    return 0


def _things(session: Session, which: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for release in session.api.items(app_path(session.app, "releases")):
        if which in {None, release["version"]}:
            name = f"release {release['version']} {release['channel']}"
            yield name, {"platforms": [item["platform"] for item in release["platforms"]]}
    for item in session.api.items(app_path(session.app, "rollouts")):
        if which in {None, item["version"], item["id"]}:
            counts = {
                step: sum(arms.values())
                for step, arms in item["funnel"].items()
                if any(arms.values())
            }
            shown = {key: item[key] for key in _SHOWN if item.get(key) is not None}
            yield f"rollout {item['version']} {item['channel']}", shown | counts


def _changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    changed = {key: value for key, value in after.items() if (before or {}).get(key) != value}
    if changed:
        yield changed
