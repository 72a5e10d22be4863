"""``serinus fsck``: verify that storage, journal and database agree; rebuild the database."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from update_server import wiring
from update_server.cli.command import Command, Session, local, option
from update_server.cli.errors import DONE, REFUSED
from update_server.cli.serve import load_config, own_data
from update_server.cli.workspace import TOKEN_FILE


@click.command(cls=Command)
@option("--rebuild", is_flag=True, help="Rebuild the database from the signed metadata.")
@option("--config", "config_file", type=click.Path(path_type=Path), help="serinus.toml.")
@local
def fsck(session: Session, *, rebuild: bool, config_file: Path | None) -> int:
    """Check that storage, journal, signed documents and database agree.

    It only reads, and may run beside a server. With --rebuild it writes: stop the server first.
    Tokens cannot be rebuilt; if no admin has one left, a new one is written beside the settings.

    Example: serinus fsck --config /srv/serinus/serinus.toml
    """
    config = load_config(session, config_file)
    if rebuild:
        session.console.confirm(f"rebuild the database {config.database} from signed metadata?")
        with own_data():
            wiring.prepare(config)
            rebuilt = wiring.rebuild(config)
            token_file = config.path.with_name(TOKEN_FILE)
            is_new = wiring.token_if_none(config, partial(_write_down, token_file))
        for app in rebuilt:
            session.console.say(f"{app} was rebuilt from its signed metadata")
        if is_new:
            session.console.say(f"the tokens are lost; a new one for an admin is in {token_file}")
    with own_data():
        findings = wiring.check(config)
    session.console.document(
        {
            "ok": not findings,
            "findings": [{"app": f.app, "code": f.code, "detail": f.detail} for f in findings],
        }
    )
    session.console.table(("app", "code", "detail"), [(f.app, f.code, f.detail) for f in findings])
    session.console.print(f"{len(findings)} findings" if findings else "all agree")
    return REFUSED if findings else DONE


def _write_down(file: Path, token: str) -> None:
    """Put *token* in place of the one in *file*, which nobody else may read."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(token + "\n", encoding="ascii")
    new.replace(file)
