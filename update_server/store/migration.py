"""Bringing a database to the present tables, with Alembic, from inside the program."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from update_server.service.ports import UnavailableError
from update_server.store.engine import TURN_SECONDS, make_engine
from update_server.store.errors import translated

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Create the tables in the database at *url*, or bring them up to date.

    All of it is one transaction, and processes that call this at once take turns.

    Raises:
        UnavailableError: The database does not answer.
        ValueError: The URL is of no database that Serinus knows.
    """
    engine = make_engine(url)
    try:
        with translated():
            if engine.dialect.name == "sqlite":
                _prepare_sqlite(url)
            with engine.begin() as connection:
                config = Config()
                config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()


def _prepare_sqlite(url: str) -> None:
    """Make the file and set WAL, which is remembered in it."""
    path = Path(make_url(url).database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=TURN_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"the database cannot be opened: {error}") from error
