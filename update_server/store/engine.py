"""Engines: how a connection to each kind of database is made, and how a transaction begins.

On both databases writers take turns, so what a transaction has read stays true until it
commits. On SQLite that is ``BEGIN IMMEDIATE``; on PostgreSQL it is an advisory lock. Readers
see one snapshot and never wait for a writer.
"""

from __future__ import annotations

from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

READING = "reading"
"""The execution option that marks a connection as one that only reads."""

# Longer than any transaction of ours takes, shorter than people and probes wait.
TURN_SECONDS = 30
# A database that is cut off answers nothing at all; nobody should wait for it for minutes.
_CONNECT_SECONDS = 5
# A writer that was stopped in the middle of its turn must not stop everybody else.
_IDLE_SECONDS = 60
# The name of the writers' lock among PostgreSQL's advisory locks: "serinus" as a number.
_TURN_LOCK = int.from_bytes(b"serinus")


def make_engine(url: str) -> Engine:
    """Return an engine for *url*: ``sqlite:///PATH`` or ``postgresql://…``. Opens nothing.

    Raises:
        ValueError: The URL names another kind of database, or SQLite without a file.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        engine = create_engine(url, connect_args={"timeout": TURN_SECONDS})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif backend == "postgresql":
        # The idle timeout goes by SQL, not by start-up options, which poolers refuse.
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
        )
        event.listen(engine, "begin", _begin_postgresql)
    else:
        raise ValueError(f"not a database for Serinus: {parsed.render_as_string()}")
    return engine


def _set_up_sqlite(connection: SqliteConnection, record: Any) -> None:
    del record
    # We begin transactions ourselves; the driver's own BEGIN would be a deferred one.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # In WAL mode only FULL makes a commit durable against power loss.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(READING):
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        # A deferred BEGIN that writes after it has read fails at once when another process
        # wrote in between, whatever the time-out is; an immediate one waits for its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(READING):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    # Each statement sees what the writer before us committed.
    connection.exec_driver_sql(
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;"
        f"SET LOCAL lock_timeout = '{TURN_SECONDS}s';"
        f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s';"
        f"SELECT pg_advisory_xact_lock({_TURN_LOCK})"
    )
