"""``serinus quarantine``: reports that cannot be true, and what becomes of them."""

from __future__ import annotations

from typing import Final

import click

from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote

RULES: Final = (
    "version_not_in_token",
    "unknown_version",
    "implausible",
    "expired_token",
    "bad_token",
)
_COUNTS: Final = ("rule", "arm", "reports", "kept", "installs")
_REPORTS: Final = ("rule", "arm", "kind", "version", "platform", "received_at")


@click.group(cls=Group)
def quarantine() -> None:
    """Reports that are set aside: they cannot be true, and are evidence of nothing.

    Example: serinus quarantine list
    """


@quarantine.command("list")
@option("--each", is_flag=True, help="List each report that waits, newest first.")
@option("--rule", type=click.Choice(RULES), help="Only what this rule set aside.")
@remote
def list_quarantine(session: Session, *, each: bool, rule: str | None) -> int:
    """Count what is set aside by rule and arm; kept are those that wait for a decision.

    Example: serinus quarantine list --each --rule unknown_version
    """
    path = app_path(session.app, "quarantine")
    counts = [
        one for one in session.api.get(path, limit=1)["counts"] if rule in {None, one["rule"]}
    ]
    items = list(session.api.items(path, rule=rule)) if each else []
    session.console.document({"counts": counts, "items": items})
    heads, found = (_REPORTS, items) if each else (_COUNTS, counts)
    session.console.listing(
        heads, [tuple(_shown(one.get(head)) for head in heads) for one in found]
    )
    return 0


@quarantine.command("accept")
@click.argument("rule", type=click.Choice(RULES))
@option("--version", "told", metavar="VERSION", help="Only reports on this version.")
@option("--reason", required=True, help="Why; goes to the audit log.")
@remote
def accept(session: Session, rule: str, *, told: str | None, reason: str) -> int:
    """Let in what RULE set aside, of both arms alike, as if it had just arrived.

    Example: serinus quarantine accept unknown_version --version 2.0.1 --reason "test builds"
    """
    return _decide(session, "accept", rule, told, reason)


@quarantine.command("drop")
@click.argument("rule", type=click.Choice(RULES))
@option("--version", "told", metavar="VERSION", help="Only reports on this version.")
@option("--reason", required=True, help="Why; goes to the audit log.")
@remote
def drop(session: Session, rule: str, *, told: str | None, reason: str) -> int:
    """Delete what RULE set aside, of both arms alike.

    Example: serinus quarantine drop implausible --reason "a test lab"
    """
    return _decide(session, "drop", rule, told, reason)


def _decide(session: Session, action: str, rule: str, version: str | None, reason: str) -> int:
    request = {"action": action, "rule": rule, "version": version, "reason": reason}
    done = session.api.post(app_path(session.app, "quarantine"), request)
    session.console.document(done)
    word = "accepted" if action == "accept" else "dropped"
    session.console.print(f"{word} {done['reports']} reports that {rule} set aside")
    return 0


def _shown(value: object) -> object:
    return "-" if value is None else value
