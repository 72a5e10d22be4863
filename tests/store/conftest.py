"""The database of a contract test: the fake, SQLite, and PostgreSQL in turn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.fakes import FakeDatabase
from tests.postgres import PostgresServer, postgres, postgres_url
from tests.store.values import an_app
from update_server.service.ports import Database
from update_server.store import SqlDatabase
from update_server.store.migration import migrate
from update_server.store.tables import metadata

__all__ = ["postgres", "postgres_url"]

SQL = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with empty tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "serinus.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with empty tables, to be copied."""
    url = postgres.new_database()
    migrate(url)
    return postgres.name_of(url)


@pytest.fixture(scope="session")
def shared_postgres(postgres: PostgresServer, migrated_postgres: str) -> str:
    """The URL of the one PostgreSQL database that tests use in turn.

    Copying one for each test costs twenty times as much as emptying it. A test that changes
    the tables themselves takes a database of its own.
    """
    return postgres.new_database(migrated_postgres)


def empty_postgres(url: str) -> None:
    """Remove all rows from the database at *url*, and whoever is connected to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # As a replica, so that neither foreign keys nor the audit log's trigger are in the way.
        tables = (f'DELETE FROM "{table.name}"' for table in metadata.sorted_tables)
        connection.execute(f"SET session_replication_role = replica; {';'.join(tables)}")
        connection.execute(
            "SELECT setval(oid::regclass, 1, false) FROM pg_class"
            " WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
        )


@contextmanager
def migrated(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database of this kind, with empty tables."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "serinus.db")
        yield f"sqlite:///{tmp_path}/serinus.db"
    else:
        url = request.getfixturevalue("shared_postgres")
        empty_postgres(url)
        yield url


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with empty tables."""
    with migrated(request.param, request, tmp_path) as url:
        yield url


@pytest.fixture
def sql(url: str) -> Iterator[SqlDatabase]:
    """A real database with empty tables."""
    database = SqlDatabase(url)
    yield database
    database.close()


@pytest.fixture(params=["fake", *SQL])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without an app, real or not."""
    if request.param == "fake":
        yield FakeDatabase()
        return
    with migrated(request.param, request, tmp_path) as url:
        database = SqlDatabase(url)
        yield database
        database.close()


@pytest.fixture
def database(empty: Database) -> Database:
    """A database with the app ``demo``."""
    with empty.transaction() as stores:
        stores.apps.add(an_app())
    return empty
