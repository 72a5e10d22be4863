"""``serinus app settings``: what is kept of an app's crash reports, and who may read of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote
from update_server.cli.errors import UsageError


@click.group(cls=Group)
def settings() -> None:
    """Look at and change what is kept of an app's crash reports.

    Example: serinus app settings show
    """


@settings.command("show")
@remote
def show(session: Session) -> int:
    """Show which messages and tags are kept, the keys of SDKs, and whether there is a feed.

    Example: serinus app settings show
    """
    _tell(session, session.api.get(app_path(session.app, "settings")))
    return 0


@settings.command("set")
@option("--crash-messages/--no-crash-messages", default=None, help="Keep messages, scrubbed.")
@option("--tag", "tags", multiple=True, help="A tag to keep; all of them, once per tag.")
@option("--no-tags", is_flag=True, help="Keep no tag.")
@option("--new-app-key", is_flag=True, help="Have the server make another key.")
@option("--remove-app-key", metavar="KEY", help="Refuse reports with this key from now on.")
@option("--atom/--no-atom", default=None, help="Let everybody read of its rollouts, as a feed.")
@option("--reason", default="", help="Why; goes to the audit log.")
@remote
def set_settings(
    session: Session,
    *,
    crash_messages: bool | None,
    tags: tuple[str, ...],
    no_tags: bool,
    new_app_key: bool,
    remove_app_key: str | None,
    atom: bool | None,
    reason: str,
) -> int:
    """Change what is named; all else stays as it is.

    Example: serinus app settings set --crash-messages --tag gpu --tag driver
    """
    change: dict[str, Any] = {"new_app_key": new_app_key, "reason": reason}
    if crash_messages is not None:
        change["crash_messages"] = crash_messages
    if atom is not None:
        change["atom"] = atom
    if tags or no_tags:
        change["tags"] = list(tags)
    if remove_app_key is not None:
        change["remove_app_key"] = remove_app_key
    if change.keys() == {"new_app_key", "reason"} and not new_app_key:
        raise UsageError("usage", "name what is to be set", hint="serinus app settings set --help")
    path = app_path(session.app, "settings")
    kind = {"Content-Type": "application/json"}
    answer = session.api.send("PATCH", path, kind, json.dumps(change).encode())
    _tell(session, answer.json())
    return 0


def _tell(session: Session, found: Mapping[str, Any]) -> None:
    session.console.document(found)
    session.console.print(f"messages  {'kept, scrubbed' if found['crash_messages'] else 'dropped'}")
    session.console.print(f"tags      {' '.join(found['tags']) or '-'}")
    session.console.print(f"app keys  {' '.join(found['app_keys']) or '-'}")
    for key in found["app_keys"]:
        session.console.print(f"DSN       https://{key}@YOUR-PUBLIC-HOST/{found['project']}")
    session.console.print(f"feed      {'for everybody' if found['atom'] else 'off'}")
