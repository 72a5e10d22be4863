"""``serinus notify``: what people are told, whether it arrives, and what waits for them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from update_server import config as configs
from update_server import wiring
from update_server.cli.command import Group, Session, local, option, remote
from update_server.cli.errors import CliError, UsageError

_MOST_SHOWN: Final = 50
_CHARACTERS_OF_ERROR: Final = 60


@click.group(cls=Group)
def notify() -> None:
    """Messages to people: try a target, see what was delivered, and which alerts are open.

    Targets are the [[notify]] tables of serinus.toml: docs/notifications.md.

    Example: serinus notify log
    """


@notify.command("test")
@click.argument("name", metavar="NAME")
@option("--config", type=click.Path(path_type=Path), help="serinus.toml; else the workspace's.")
@local
def try_target(session: Session, name: str, *, config: Path | None) -> int:
    """Send one message to the target NAME, now, from this machine.

    It is not stored, nor tried again. Exit code 1: it did not arrive, and why not is told.

    Example: serinus notify test ops
    """
    settings = _settings(session, config)
    names = [each.name for each in settings.notify]
    if name not in names:
        known = f"there are {', '.join(names)}" if names else "there is no [[notify]] table yet"
        raise UsageError("no_target", f"there is no target {name}: {known}")
    if (fault := wiring.notify_fault(settings, name)) is not None:
        raise CliError("undelivered", f"{name} did not get it: {fault}")
    session.console.document({"target": name, "delivered": True})
    session.console.print(f"{name} took it")
    return 0


@notify.command("log")
@option("--failed", is_flag=True, help="Only what did not arrive.")
@remote
def log(session: Session, *, failed: bool) -> int:
    """Print which messages went where, newest first, and how often they were tried.

    Example: serinus notify log --failed
    """
    items = list(islice(_items(session, failed=failed), _MOST_SHOWN))
    session.console.document({"items": items})
    session.console.listing(
        ("at", "target", "state", "tries", "message", "last error"),
        [
            (
                item["message"]["at"],
                item["target"],
                item["state"],
                len(item["attempts"]),
                item["message"]["subject"],
                _last_error(item)[:_CHARACTERS_OF_ERROR],
            )
            for item in items
        ],
    )
    return 0


@notify.command("alerts")
@remote
def alerts(session: Session) -> int:
    """Print the alerts that are open, oldest first, and who knows of them.

    Whoever gives a command about a rollout acknowledges its alerts; `serinus rollout pause` of what
    is paused does nothing else.

    Example: serinus notify alerts
    """
    items = list(session.api.items("/v1/admin/alerts"))
    session.console.document({"items": items})
    session.console.listing(
        ("since", "alert", "known to"),
        [
            (item["opened_at"], item["subject"], item["acknowledged_by"] or "nobody")
            for item in items
        ],
    )
    return 0


def _items(session: Session, *, failed: bool) -> Any:
    for item in session.api.items("/v1/admin/notifications"):
        if not failed or item["state"] == "dead" or _last_error(item):
            yield item


def _last_error(item: dict[str, Any]) -> str:
    return (item["attempts"][-1]["error"] or "") if item["attempts"] else ""


def _settings(session: Session, path: Path | None) -> configs.Config:
    try:
        return configs.load(path or session.need_workspace().config_file)
    except configs.ConfigError as error:
        raise UsageError("bad_config", str(error)) from error
