"""``serinus group``, ``enrolment``, ``hold`` and ``token``: who is in, who waits, who may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote
from update_server.cli.errors import UsageError
from update_server.cli.pending import told_to_wait

_TOKENS = "/v1/admin/tokens"
_DAY_SECONDS = 86_400


def _list(session: Session, path: str, keys: Sequence[str]) -> int:
    items = list(session.api.items(path))
    session.console.document({"items": items})
    session.console.listing(keys, [tuple(item.get(key) for key in keys) for item in items])
    return 0


# --- groups and enrolments ---------------------------------------------------------------


@click.group(cls=Group)
def group() -> None:
    """Named sets of installs, for rings such as internal.

    Example: serinus group add staff
    """


@group.command("add")
@click.argument("name")
@remote
def add_group(session: Session, name: str) -> int:
    """Make the group NAME.

    Example: serinus group add staff
    """
    session.console.document(session.api.post(app_path(session.app, "groups"), {"name": name}))
    session.console.print(f"group {name} is there")
    return 0


@group.command("list")
@remote
def list_groups(session: Session) -> int:
    """List the app's groups.

    Example: serinus group list
    """
    return _list(session, app_path(session.app, "groups"), ("name", "members", "created_at"))


@group.command("remove")
@click.argument("name")
@remote
def remove_group(session: Session, name: str) -> int:
    """Remove the group NAME and end its enrolments.

    Example: serinus group remove staff --yes
    """
    session.console.confirm(f"remove the group {name} and all its enrolments?")
    session.api.delete(app_path(session.app, "groups", name))
    session.console.document({"removed": name})
    return 0


@click.group(cls=Group)
def enrolment() -> None:
    """Codes that let installs join a group.

    Example: serinus enrolment new staff
    """


@enrolment.command("new")
@click.argument("group_name", metavar="GROUP")
@option("--uses", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Installs.")
@option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="Its life.")
@remote
def new_enrolment(session: Session, group_name: str, *, uses: int, days: int) -> int:
    """Make a code that USES installs can trade for membership of GROUP.

    On the install it is traded by `serinus-agent enrol CODE --config agent.toml`.

    Example: serinus enrolment new staff --uses 20 --days 30
    """
    request = {"group": group_name, "uses": uses, "expires_in_seconds": days * _DAY_SECONDS}
    made = session.api.post(app_path(session.app, "enrolments"), request)
    session.console.document(made)
    session.console.print(made["code"])
    session.console.say("the code is shown only once")
    return 0


@enrolment.command("list")
@remote
def list_enrolments(session: Session) -> int:
    """List the codes that were made.

    Example: serinus enrolment list
    """
    keys = ("id", "group", "uses_left", "expires_at", "revoked_at")
    return _list(session, app_path(session.app, "enrolments"), keys)


@enrolment.command("revoke")
@click.argument("identifier", metavar="ID")
@remote
def revoke_enrolment(session: Session, identifier: str) -> int:
    """End the code ID; installs that used it keep their membership.

    Example: serinus enrolment revoke en_1f2e3d4c5b6a7988
    """
    session.api.delete(app_path(session.app, "enrolments", identifier))
    session.console.document({"revoked": identifier})
    return 0


# --- holds -------------------------------------------------------------------------------


@click.group(cls=Group)
def hold() -> None:
    """Known risks that keep a slice of installs where they are.

    Example: serinus hold list
    """


@hold.command("add")
@option("--title", required=True, help="Plain text that installs may show.")
@option("--link", required=True, help="https address with the story.")
@option("--audience", required=True, help='JSON such as {"os_version": ["<13"]}.')
@option("--channel", help="The channel; else the workspace's.")
@option("--reason", default="", help="Why; goes to the audit log.")
@remote
def add_hold(
    session: Session, *, title: str, link: str, audience: str, channel: str | None, reason: str
) -> int:
    """Hold a slice of installs back.

    The link's host must be one of the policy's link_hosts.

    Example: serinus hold add --title "Crashes with old drivers"
      --link https://status.example.org/h1 --audience '{"os_version": ["<13"]}'
    """
    try:
        selectors: Any = json.loads(audience)
    except json.JSONDecodeError as error:
        raise UsageError("bad_audience", f"--audience is no JSON: {error}") from error
    request = {
        "channel": session.channel(channel),
        "title": title,
        "link": link,
        "audience": selectors,
        "reason": reason,
    }
    made = session.api.post(app_path(session.app, "holds"), request)
    session.console.document(made)
    session.console.print(f"hold {made['id']} is in force")
    return 0


@hold.command("list")
@remote
def list_holds(session: Session) -> int:
    """List the holds in force.

    Example: serinus hold list
    """
    return _list(session, app_path(session.app, "holds"), ("id", "channel", "title", "created_at"))


@hold.command("lift")
@click.argument("identifier", metavar="ID")
@remote
def lift_hold(session: Session, identifier: str) -> int:
    """End the hold ID. Where the signed policy wants more people, it waits for them.

    Example: serinus hold lift h_1f2e3d4c5b6a7988 --yes
    """
    session.console.confirm(f"lift the hold {identifier}?")
    answer = session.api.delete(app_path(session.app, "holds", identifier))
    if told_to_wait(session, answer, "hold", "lift", identifier, "--app", session.app):
        return 0
    session.console.document({"lifted": identifier})
    return 0


# --- tokens ------------------------------------------------------------------------------


@click.group(cls=Group)
def token() -> None:
    """Tokens of the admin API.

    Example: serinus token list
    """


@token.command("new")
@click.argument("name")
@option(
    "--role",
    type=click.Choice(["viewer", "publisher", "operator", "admin"]),
    required=True,
    help="What it may do; each role may do what those before it may.",
)
@option("--all-apps", is_flag=True, help="Not only for the app.")
@option("--days", type=click.IntRange(1, 3650), help="How long it lives; for ever without.")
@remote
def new_token(session: Session, name: str, *, role: str, all_apps: bool, days: int | None) -> int:
    """Make a token called NAME and print it once.

    Example: serinus token new build --role publisher --days 365
    """
    request: dict[str, Any] = {
        "name": name,
        "role": role,
        "app": None if all_apps else session.app,
    }
    if days is not None:
        request["expires_in_seconds"] = days * _DAY_SECONDS
    made = session.api.post(_TOKENS, request)
    session.console.document(made)
    session.console.print(made["token"])
    session.console.say("the token is shown only once; keep it in a file of mode 0600")
    return 0


@token.command("list")
@remote
def list_tokens(session: Session) -> int:
    """List the tokens, without their secrets.

    Example: serinus token list
    """
    return _list(session, _TOKENS, ("id", "name", "role", "app", "expires_at", "revoked_at"))


@token.command("revoke")
@click.argument("identifier", metavar="ID")
@remote
def revoke_token(session: Session, identifier: str) -> int:
    """End the token ID.

    Example: serinus token revoke tok_1f2e3d4c5b6a7988 --yes
    """
    session.console.confirm(f"revoke the token {identifier}?")
    session.api.delete(f"{_TOKENS}/{identifier}")
    session.console.document({"revoked": identifier})
    return 0
