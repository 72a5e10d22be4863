"""``serinus waiver``: crashes that are known and accepted for some time."""

from __future__ import annotations

from datetime import timedelta

import click

from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote
from update_server.clock import SystemClock

_COLUMNS = ("id", "channel", "version", "signature", "expires_at", "reason")
_LONGEST_DAYS = 14


@click.group(cls=Group)
def waiver() -> None:
    """Crashes that are known, and no reason to pause a version for some time.

    They act when the version is resumed after an automatic pause.

    Example: serinus waiver list
    """


@waiver.command("add")
@click.argument("signature")
@option("--version", "released", required=True, metavar="VERSION", help="The version that crashes.")
@option("--channel", help="The channel; else the workspace's.")
@option(
    "--days",
    type=click.IntRange(1, _LONGEST_DAYS),
    default=_LONGEST_DAYS,
    show_default=True,
    help="Its life.",
)
@option("--reason", required=True, help="Why; goes to the audit log.")
@remote
def add_waiver(
    session: Session, signature: str, *, released: str, channel: str | None, days: int, reason: str
) -> int:
    """Accept crashes of SIGNATURE, 16 hexadecimal digits, in VERSION.

    Example: serinus waiver add 1f2e3d4c5b6a7988 --version 2.1.0 --reason "mended in 2.1.1"
    """
    expires_at = (SystemClock().now() + timedelta(days=days)).replace(microsecond=0)
    request = {
        "channel": session.channel(channel),
        "version": released,
        "signature": signature,
        "expires_at": expires_at.isoformat(),
        "reason": reason,
    }
    made = session.api.post(app_path(session.app, "waivers"), request)
    session.console.document(made)
    session.console.print(f"waiver {made['id']} holds until {made['expires_at']}")
    session.console.say(f"next: serinus rollout resume {released}")
    return 0


@waiver.command("list")
@remote
def list_waivers(session: Session) -> int:
    """List the waivers that have not expired.

    Example: serinus waiver list
    """
    items = list(session.api.items(app_path(session.app, "waivers")))
    session.console.document({"items": items})
    session.console.listing(
        _COLUMNS, [tuple(item.get(column) for column in _COLUMNS) for item in items]
    )
    return 0


@waiver.command("remove")
@click.argument("identifier", metavar="ID")
@remote
def remove_waiver(session: Session, identifier: str) -> int:
    """End the waiver ID for later resumes; a study that has it keeps it.

    Example: serinus waiver remove wv_1f2e3d4c5b6a7988
    """
    session.api.delete(app_path(session.app, "waivers", identifier))
    session.console.document({"removed": identifier})
    return 0
