"""``serinus operator``: people who sign in to the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from update_server.cli.command import Group, Session, option, remote
from update_server.cli.errors import UsageError

_OPERATORS = "/v1/admin/operators"
_ROLES = click.Choice(["viewer", "publisher", "operator", "admin"])
_COLUMNS = ("id", "name", "role", "app", "identity", "has_password")


@click.group(cls=Group)
def operator() -> None:
    """People who sign in to the pages.

    Example: serinus operator list
    """


@operator.command("add")
@click.argument("name")
@option("--role", type=_ROLES, required=True, help="Each may do what those before it may.")
@option("--all-apps", is_flag=True, help="Not only for the app.")
@option("--identity", help="What the OpenID Connect provider calls them, such as an e-mail.")
@option(
    "--first-password-file",
    type=click.Path(path_type=Path),
    help="File with a password that must be changed at the first sign-in; else there is a link.",
)
@remote
def add_operator(
    session: Session,
    name: str,
    *,
    role: str,
    all_apps: bool,
    identity: str | None,
    first_password_file: Path | None,
) -> int:
    """Let NAME sign in, and print a link that sets their password, once.

    Call people as their tokens are called: whoever has both is one person, where two are needed.

    Example: serinus operator add ana --role operator
    """
    request: dict[str, Any] = {"name": name, "role": role, "app": None if all_apps else session.app}
    if identity is not None:
        request["identity"] = identity
    if first_password_file is not None:
        request["password"] = _password_in(first_password_file)
    return _told(session, session.api.post(_OPERATORS, request))


@operator.command("list")
@remote
def list_operators(session: Session) -> int:
    """List who may sign in.

    Example: serinus operator list
    """
    items = list(session.api.items(_OPERATORS))
    session.console.document({"items": items})
    session.console.listing(_COLUMNS, [tuple(item.get(key) for key in _COLUMNS) for item in items])
    return 0


@operator.command("reset")
@click.argument("name")
@remote
def reset_operator(session: Session, name: str) -> int:
    """Take NAME's password and sessions away, and print a link that sets another password.

    Example: serinus operator reset ana --yes
    """
    found = _named(session, name)
    session.console.confirm(f"take the password and all sessions of {found['name']} away?")
    return _told(session, session.api.post(f"{_OPERATORS}/{found['id']}/link", {}))


@operator.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@remote
def change_role(session: Session, name: str, role: str) -> int:
    """Give NAME another ROLE, which ends their sessions.

    Example: serinus operator role ana admin
    """
    found = _named(session, name)
    changed = session.api.patch(f"{_OPERATORS}/{found['id']}", {"role": role})
    session.console.document(changed)
    session.console.print(f"{changed['name']} is now {changed['role']}")
    return 0


@operator.command("remove")
@click.argument("name")
@remote
def remove_operator(session: Session, name: str) -> int:
    """Let NAME sign in no more, and end their sessions.

    Example: serinus operator remove ana --yes
    """
    found = _named(session, name)
    session.console.confirm(f"let {found['name']} sign in no more?")
    session.api.delete(f"{_OPERATORS}/{found['id']}")
    session.console.document({"removed": found["id"]})
    return 0


def _named(session: Session, name: str) -> dict[str, Any]:
    """Return the operator called *name*, or whose ID it is; raises UsageError if none is."""
    items = list(session.api.items(_OPERATORS))
    for item in items:
        if name == item["id"] or name.casefold() == str(item["name"]).casefold():
            return item
    raise UsageError(
        "unknown_operator", f"there is no operator {name!r}", hint="serinus operator list"
    )


def _told(session: Session, made: dict[str, Any]) -> int:
    link = made.get("link")
    if isinstance(link, str) and link.startswith("/"):
        made = {**made, "link": session.server.rstrip("/") + link}
    session.console.document(made)
    if made.get("link") is None:
        session.console.print(f"{made['name']} may sign in, and must change the password then")
        return 0
    session.console.print(made["link"])
    session.console.say("the link is shown only once, works once, and for 24 hours")
    return 0


def _password_in(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise UsageError("no_password", f"no password can be read from {path}: {why}") from error
    except UnicodeDecodeError as error:
        text = f"no password can be read from {path}: it is no text"
        raise UsageError("no_password", text) from error
    return text.rstrip("\r\n")
