"""What several stores do with rows: look for one, insert unless there, count what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, Update, bindparam, delete, select
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Row

from update_server.service.ports import NotFoundError
from update_server.store import tables

_Item = TypeVar("_Item")

# Keys in one look-up: well below the 32,766 parameters that SQLite allows in a statement.
_CHUNK = 5_000


def chunks(items: Iterable[_Item], size: int = _CHUNK) -> Iterator[list[_Item]]:
    """Yield *items* in order, as many at a time as one statement may look up."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def upsert(connection: Connection, table: Table) -> SqliteInsert | PostgresqlInsert:
    """Return an insert into *table* that can say what to do on conflict."""
    if connection.dialect.name == "sqlite":
        return sqlite_insert(table)
    return postgresql_insert(table)


def add_up(connection: Connection, table: Table, sums: Mapping[tuple[Any, ...], int]) -> None:
    """Add *sums*, by whole keys, to the one number in rows of *table*; a row of 0 is no more."""
    key = list(table.primary_key.columns)
    [number] = (column for column in table.c if not column.primary_key)
    names = [column.name for column in key]
    rows = [dict(zip(names, place, strict=True)) | {number.name: by} for place, by in sums.items()]
    rows = [row for row in rows if row[number.name]]
    if not rows:
        return
    statement = upsert(connection, table)
    total = number + statement.excluded[number.name]
    connection.execute(
        statement.on_conflict_do_update(index_elements=key, set_={number.name: total}), rows
    )
    fewer = [row for row in rows if row[number.name] < 0]
    if fewer:
        mine = [column == bindparam(f"its_{column.name}") for column in key]
        connection.execute(
            delete(table).where(number == 0, *mine),
            [{f"its_{name}": row[name] for name in names} for row in fewer],
        )


def insert_new(connection: Connection, table: Table, **values: Any) -> Row[Any] | None:
    """Insert a row and return it; return None when an equal key is there already.

    Unlike an insert that fails, this leaves PostgreSQL's transaction usable.
    """
    statement = upsert(connection, table).values(**values).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.c)).one_or_none()


def one(connection: Connection, statement: Select[Any], kind: str, key: str) -> Row[Any]:
    """Return the row that *statement* finds, or raise NotFoundError."""
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFoundError(kind, key)
    return row


def changed(connection: Connection, statement: Update) -> bool:
    """Run *statement* and return whether it changed a row."""
    return connection.execute(statement).rowcount > 0


def require_app(connection: Connection, name: str) -> None:
    """Raise NotFoundError unless there is an app called *name*."""
    one(connection, select(tables.apps.c.number).where(tables.apps.c.name == name), "app", name)
