"""``serinus key``: the workspace's key files."""

from __future__ import annotations

from pathlib import Path

import click

from signing.errors import SigningError
from signing.keys import describe, new_key
from signing.public_keys import render_key
from update_server.cli import passphrase
from update_server.cli.command import Group, Session, local, option
from update_server.cli.errors import CliError
from update_server.clock import SystemClock

_GROUP_OR_OTHERS = 0o077


@click.group(cls=Group)
def key() -> None:
    """Make, list and export signing keys.

    Example: serinus key list
    """


@key.command("list")
@local
def list_keys(session: Session) -> int:
    """List the workspace's key files.

    Example: serinus key list
    """
    rows = []
    for path in sorted((session.need_workspace().folder / "keys").glob("*.key")):
        try:
            found = describe(path)
        except SigningError as error:
            raise CliError(error.code, str(error)) from error
        rows.append(
            {
                "file": str(path),
                "owner": found.owner,
                "encrypted": found.encrypted,
                "created": found.created.isoformat() if found.created else None,
                "keyid": found.public_key.keyid,
                "private": found.mode & _GROUP_OR_OTHERS == 0,
            }
        )
    session.console.document({"items": rows})
    heads = ("file", "owner", "encrypted", "created", "keyid")
    session.console.listing(heads, [tuple(row[head] for head in heads) for row in rows])
    for row in rows:
        if not row["private"]:
            session.console.say(f"{row['file']} can be read by others; try chmod 600")
    return 0


@key.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@option("--owner", required=True, help="Whose key it is; stands in the signed metadata.")
@local
def new(session: Session, file: Path, *, owner: str) -> int:
    """Make a key in FILE, encrypted with a passphrase.

    Example: serinus key new keys/anna.key --owner anna
    """
    try:
        public = new_key(file, passphrase.new(session.console), owner, SystemClock().now())
    except SigningError as error:
        raise CliError(error.code, str(error)) from error
    session.console.document({"file": str(file), "key": render_key(public)})
    session.console.print(f"{file}: {public.keyid}")
    return 0


@key.command("export")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@option("--paper", is_flag=True, help="The encrypted key itself, as a backup to print.")
@local
def export(session: Session, file: Path, *, paper: bool) -> int:
    """Print the public half of the key in FILE; with --paper, the encrypted file to print.

    Example: serinus key export keys/publisher.key
    """
    try:
        found = describe(file)
    except SigningError as error:
        raise CliError(error.code, str(error)) from error
    if paper:
        if not found.encrypted:
            raise CliError("plain_key", f"{file} is not encrypted; it is not to be printed")
        text = file.read_text(encoding="ascii")
        session.console.document({"file": str(file), "paper": text})
        session.console.print(text)
        return 0
    rendered = render_key(found.public_key)
    session.console.document({"file": str(file), "key": rendered})
    session.console.print(str(rendered["keyval"]["public"]))
    return 0
