"""How a rollout stands: in words for people, and as the server's document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.watch import LIVE, no_rollout
from update_server.clock import SystemClock

_ARMS: Final = ("candidate", "control", "internal")
_NOT_COUNTED: Final = "?"


def next_step(found: Mapping[str, Any], ring: str | None) -> str:
    """Return in words what a promotion would open."""
    later = found["ladder"][found["position"] + 1 :]
    steps = [step for step in later if ring in {None, step["ring"]}]
    if not steps:
        return f"promote {found['version']}" + (f" to {ring}" if ring else "")
    share = f"{steps[0]['exposure_bp'] / 100:g} %"
    return f"open ring {steps[0]['ring']} ({share}) of {found['version']}, after {found['ring']}"


def where_to(found: Mapping[str, Any]) -> str:
    """Return in words where a pull sends installs."""
    if back := found["way_back"]:
        return f"installs go back to {back}"
    return f"nobody is sent back: {found['no_replacement']}"


def plan_lines(found: Mapping[str, Any]) -> list[str]:
    """Return in words what becomes of a pulled release's installs."""
    plan = found["pull_plan"]
    back = plan["replacement"]
    sends = f"replacement: {back}" if back else "no replacement: installs stay on it"
    if plan["counted_at"] is None:
        return [sends, "what becomes of its installs is not counted yet"]
    gone = f"{plan['replaced']} replaced" + (f" ({plan['rolled_back']} by {back})" if back else "")
    return [
        sends,
        " ".join(f"{plan[step]} {step}," for step in ("offered", "downloaded", "installed"))
        + f" of which {gone}, {plan['still_on']} still on it"
        + f" and {plan['unreachable']} not heard from since the pull",
    ]


def soaking_until(found: Mapping[str, Any]) -> str | None:
    """Return in words until when the open step is to soak; None when it has."""
    soak_seconds = found["ladder"][found["position"]]["soak_seconds"]
    at = datetime.fromisoformat(found["position_reached_at"]) + timedelta(seconds=soak_seconds)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if SystemClock().now() < at else None


def tell_next(session: Session, found: Mapping[str, Any]) -> int:
    """Show a rollout that was changed, and what to do next."""
    tell(session, found)
    say, version = session.console.say, found["version"]
    if found["state"] == "pulled":
        session.console.print(where_to(found))
    elif found["state"] == "paused":
        say(f"next: serinus rollout resume {version}, or serinus rollout pull {version}")
    elif "promote" in found["legal"]:
        until = soaking_until(found)
        say(f"next: serinus rollout promote {version}" + (f", from {until} on" if until else ""))
    return 0


def tell(session: Session, found: Mapping[str, Any]) -> None:
    """Show a rollout with its funnel."""
    session.console.document(found)
    session.console.print(headline(found))
    if found["sentence"] not in {None, found["reason"]}:
        session.console.print(found["sentence"])
    session.console.table(
        ("step", *_ARMS),
        [
            (step, *(_NOT_COUNTED if (n := arms.get(arm, 0)) is None else n for arm in _ARMS))
            for step, arms in found["funnel"].items()
        ],
    )


def headline(found: Mapping[str, Any]) -> str:
    """Return one line that says where a rollout stands."""
    line = (
        f"{found['app']} {found['version']} on {found['channel']}: {found['state']},"
        f" ring {found['ring']}, exposure {found['exposure_bp'] / 100:g} %"
    )
    return f"{line} ({found['reason']})" if found.get("reason") else line


def find(session: Session, which: str | None) -> dict[str, Any]:
    """Return the rollout with this ID or version, else the newest that is live.

    Raises:
        CliError: There is none.
    """
    items = list(session.api.items(app_path(session.app, "rollouts")))
    if which is None:
        items = [item for item in items if item["state"] in LIVE] or items[:1]
    else:
        items = [item for item in items if which in {item["id"], item["version"]}]
    if not items:
        raise no_rollout(session, which)
    return items[0]
