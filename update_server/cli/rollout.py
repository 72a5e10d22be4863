"""``serinus rollout``: start, look at and steer the exposure of a release."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from update_server.cli.api import app_path
from update_server.cli.command import Session, option, remote
from update_server.cli.errors import NOTHING_TO_DO, CliError, UsageError
from update_server.cli.watch import watch

_LIVE = ("active", "paused")


@click.group()
def rollout() -> None:
    """Start, watch and steer rollouts."""


@rollout.command("start")
@click.argument("version")
@option("--channel", help="The channel; else the workspace's.")
@option("--ladder", type=click.Path(path_type=Path, exists=True), help="TOML file with steps.")
@option("--ring", help="Open this ring at once instead of the first.")
@option("--reason", default="", help="Why; goes to the audit log.")
@remote
def start(
    session: Session,
    version: str,
    *,
    channel: str | None,
    ladder: Path | None,
    ring: str | None,
    reason: str,
) -> int:
    """Open a rollout of VERSION at the first ring of its ladder.

    Example: serinus rollout start 2.1.0 --app notes
    """
    request: dict[str, Any] = {"version": version, "channel": session.channel(channel)}
    if ladder is not None:
        request["ladder"] = _read_ladder(ladder)
    if ring is not None:
        request["start_ring"] = ring
    if reason:
        request["reason"] = reason
    started = session.api.post(app_path(session.app, "rollouts"), request)
    return _tell(session, started)


@rollout.command("list")
@remote
def list_rollouts(session: Session) -> int:
    """List the app's rollouts, newest first."""
    items = list(session.api.items(app_path(session.app, "rollouts")))
    session.console.document({"items": items})
    session.console.table(
        ("rollout", "version", "channel", "state", "ring", "exposure", "started"),
        [_row(item) for item in items],
    )
    return 0


@rollout.command("show")
@click.argument("which", metavar="VERSION|ID", required=False)
@remote
def show(session: Session, which: str | None) -> int:
    """Show one rollout with its funnel; the newest when none is named."""
    found = session.api.get(app_path(session.app, "rollouts", find(session, which)["id"]))
    return _tell(session, found)


@rollout.command("watch")
@click.argument("which", metavar="VERSION|ID", required=False)
@option("--seconds", type=float, default=None, help="Stop after so many seconds.")
@remote
def watch_rollouts(session: Session, which: str | None, *, seconds: float | None) -> int:
    """Print a line whenever something changes: a start, a ring, a verb, a count."""
    return watch(session, which, seconds)


def _verb(name: str, help_text: str) -> None:
    @rollout.command(name, help=help_text)
    @click.argument("which", metavar="VERSION|ID", required=False)
    @option("--reason", default="", help="Why; goes to the audit log.")
    @option("--ring", help="Promote up to this ring instead of the next.")
    @option("--replacement", help="Where a pulled release's installs are sent.")
    @option("--override", is_flag=True, help="Go outside the signed ramp.")
    @option("--confirm", metavar="VERSION", help="Stands for typing the version.")
    @remote
    def run(
        session: Session,
        which: str | None,
        *,
        reason: str,
        ring: str | None,
        replacement: str | None,
        override: bool,
        confirm: str | None,
    ) -> int:
        found = find(session, which)
        _confirm(session, name, found, replacement, confirm)
        request: dict[str, Any] = {"reason": reason or _default_reason(name)}
        optional = {"ring": ring, "replacement": replacement, "override": override or None}
        request |= {key: value for key, value in optional.items() if value is not None}
        path = app_path(session.app, "rollouts", found["id"], name)
        changed = session.api.post(path, request)
        if changed["revision"] == found["revision"]:
            session.console.say(f"{found['version']} was {changed['state']} already")
            session.console.document(changed)
            return NOTHING_TO_DO
        return _tell(session, changed)


_verb("promote", "Open the next step of the ladder.")
_verb("pause", "Offer the release to no further install. Those on it keep it.")
_verb("resume", "End a pause.")
_verb("pull", "Withdraw the release for good. Installs on it get the replacement.")


@rollout.command("explain")
@click.argument("install_id")
@option("--channel", help="The channel; else the workspace's.")
@option("--platform", required=True, help="Such as linux-x86_64.")
@option("--version", "installed", help="The version that runs there.")
@remote
def explain(
    session: Session, install_id: str, *, channel: str | None, platform: str, installed: str | None
) -> int:
    """Say what an install would get, and why, rule by rule."""
    found = session.api.get(
        app_path(session.app, "explain"),
        install_id=install_id,
        channel=session.channel(channel),
        platform=platform,
        version=installed,
    )
    session.console.document(found)
    session.console.table(
        ("rule", "entry", "outcome", "detail"),
        [
            tuple(step.get(key) for key in ("rule", "entry", "outcome", "detail"))
            for step in found["steps"]
        ],
    )
    assignment = found["assignment"]
    told = " ".join(str(part) for part in (assignment["action"], assignment["version"]) if part)
    session.console.print(f"{told}: {assignment['reason']}")
    return 0


def find(session: Session, which: str | None) -> dict[str, Any]:
    """Return the rollout with this ID or version, else the newest that is live.

    Raises:
        CliError: There is none.
    """
    items = list(session.api.items(app_path(session.app, "rollouts")))
    if which is None:
        items = [item for item in items if item["state"] in _LIVE] or items[:1]
    else:
        items = [item for item in items if which in {item["id"], item["version"]}]
    if not items:
        what = f"no rollout {which}" if which else "no rollout"
        raise CliError("not_found", f"{session.app} has {what}", hint="serinus rollout list")
    return items[0]


def _confirm(
    session: Session,
    verb: str,
    found: Mapping[str, Any],
    replacement: str | None,
    confirm: str | None,
) -> None:
    # Pausing is always safe and must be quick; the others are shown first (docs/runbook.md).
    version = found["version"]
    reached = _total(found, "applied")
    match verb:
        case "pull":
            to = f" and sends them to {replacement}" if replacement else ""
            question = f"pull withdraws {version} for good from {reached} installs{to}"
            session.console.confirm(question, expected=version, given=confirm)
        case "promote":
            session.console.confirm(f"promote {version} beyond ring {found['ring']}?")
        case "resume":
            session.console.confirm(f"resume {version} in ring {found['ring']}?")


def _default_reason(verb: str) -> str:
    return f"{verb} from the command line"


def _tell(session: Session, found: Mapping[str, Any]) -> int:
    session.console.document(found)
    session.console.print(headline(found))
    session.console.table(
        ("step", "candidate", "control", "internal"),
        [
            (step, *(arms.get(arm, 0) for arm in ("candidate", "control", "internal")))
            for step, arms in found["funnel"].items()
        ],
    )
    return 0


def headline(found: Mapping[str, Any]) -> str:
    """Return one line that says where a rollout stands."""
    line = (
        f"{found['app']} {found['version']} on {found['channel']}: {found['state']},"
        f" ring {found['ring']}, exposure {found['exposure_bp'] / 100:g} %"
    )
    return f"{line} ({found['reason']})" if found.get("reason") else line


def _total(found: Mapping[str, Any], step: str) -> int:
    return sum(found.get("funnel", {}).get(step, {}).values())


def _row(item: Mapping[str, Any]) -> Sequence[object]:
    return (
        item["id"],
        item["version"],
        item["channel"],
        item["state"],
        item["ring"],
        f"{item['exposure_bp'] / 100:g} %",
        item["started_at"],
    )


def _read_ladder(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    try:
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("bad_ladder", f"{path}: {error}") from error
    steps = document.get("step") if isinstance(document, dict) else document
    if not isinstance(steps, list) or not steps:
        raise UsageError("bad_ladder", f"{path} has no [[step]]")
    return steps
