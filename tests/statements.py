"""How many statements a database is asked, and what for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import event

from update_server.store import SqlDatabase

# How a transaction begins is no question: see store.engine.
_NO_QUESTION: Final = ("PRAGMA", "BEGIN", "SET ")


@contextmanager
def statements(database: SqlDatabase) -> Iterator[list[str]]:
    """Collect the statements that *database* is asked within the block."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_NO_QUESTION):
            asked.append(statement)

    engine = database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)
