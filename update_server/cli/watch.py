"""``serinus rollout watch``: one line per change, readable on a terminal and in a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.errors import CliError
from update_server.clock import SystemClock

_POLL_SECONDS = 0.5  # what happens is to be seen within two seconds
LIVE = ("active", "paused")
"""States of rollouts in which something is still to happen."""

_PASSING = ("unreachable", "unavailable", "internal")  # a server that is started again
_SHOWN = (
    "state",
    "ring",
    "exposure_bp",
    "holdback_bp",
    "paused_by",
    "replacement",
    "published",
    "verdict",
    "no_verdict",
    "sentence",
)


def watch(session: Session, which: str | None, seconds: float | None) -> int:
    """Print every change of the app's releases and rollouts until interrupted.

    *which* (a version or rollout ID) keeps to one; *seconds* ends by itself.
    """
    clock = SystemClock()
    until = None if seconds is None else clock.monotonic() + seconds
    known: dict[str, dict[str, Any]] = {}
    looked = away = False
    with session.console.shares() as show, contextlib.suppress(KeyboardInterrupt):
        while until is None or clock.monotonic() < until:
            try:
                seen = dict(_things(session, which))
            except CliError as error:
                if error.code not in _PASSING or not looked:
                    raise
                if not away:
                    session.console.say(f"{error.detail}; waiting for it")
                away = True
            else:
                if which and not seen and not looked:
                    raise no_rollout(session, which)
                _tell(session, clock.now(), known, seen)
                for name, thing in seen.items():
                    if thing.get("state") in LIVE:
                        show(name, f"{name}: ring {thing['ring']}", thing["exposure_bp"])
                known, looked, away = seen, True, False
            left = _POLL_SECONDS if until is None else until - clock.monotonic()
            clock.sleep(max(0.0, min(left, _POLL_SECONDS)))
    return 0


def no_rollout(session: Session, which: str | None) -> CliError:
    """Return what to raise when the app has no rollout *which*, or none at all."""
    what = f"no rollout {which}" if which else "no rollout"
    hint = "serinus rollout list" if which else "serinus rollout start VERSION"
    return CliError("not_found", f"{session.app} has {what}", hint=hint)


def _tell(
    session: Session,
    now: datetime,
    known: Mapping[str, dict[str, Any]],
    seen: Mapping[str, dict[str, Any]],
) -> None:
    for name, thing in seen.items():
        before = known.get(name, {})
        change = {key: value for key, value in thing.items() if before.get(key) != value}
        if change:
            document = {"at": now.isoformat(timespec="milliseconds"), "what": name, **change}
            words = " ".join(_words(key, value) for key, value in change.items())
            session.console.line(document, f"{now:%H:%M:%S} {name}: {words}")


def _words(key: str, value: Any) -> str:
    match value:
        case bool():
            value = "yes" if value else "no"
        case list():
            value = ",".join(str(each) for each in value)
        case int() if key.endswith("_bp"):
            key, value = key.removesuffix("_bp"), f"{value / 100:g}%"
    return f"{key}={value}"


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
