"""What SQLite itself takes for the same rows: the same disk, as durable, and nothing else done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Row = tuple[str, bytes, str, str]
"""App, install, ID, body."""


@contextmanager
def a_table(folder: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a table of events, durable at each commit."""
    connection = sqlite3.connect(folder / "rival.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS events (app TEXT, install_key BLOB, id TEXT, body TEXT,"
        " PRIMARY KEY (app, install_key, id)) WITHOUT ROWID"
    )
    yield connection
    connection.close()


def insert(connection: sqlite3.Connection, batches: Iterable[Sequence[Row]]) -> None:
    """Insert each batch in one transaction."""
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)", batch)
        connection.execute("COMMIT")
