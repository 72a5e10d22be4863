"""Making the tables: the same on both databases, by any number of processes at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.store.values import an_app
from update_server.service.ports import UnavailableError
from update_server.store import SqlDatabase
from update_server.store.engine import make_engine
from update_server.store.migration import migrate
from update_server.store.tables import metadata

MIGRATE = "import sys; from update_server.store.migration import migrate; migrate(sys.argv[1])"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/not yet/100%/serinus.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_the_migrations_make_the_tables_that_the_program_knows(new_url: str) -> None:
    migrate(new_url)

    engine = make_engine(new_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def test_a_second_migration_changes_nothing(new_url: str) -> None:
    migrate(new_url)
    database = SqlDatabase(new_url)
    with database.transaction() as stores:
        app = stores.apps.add(an_app())

    migrate(new_url)

    with database.reading() as stores:
        assert stores.apps.all() == [app]
    database.close()


def test_several_processes_may_migrate_at_once(new_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, new_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]

    problems = [process.communicate()[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 3, problems


def test_sqlite_is_durable_and_lets_readers_read(migrated_sqlite: Path) -> None:
    engine = make_engine(f"sqlite:///{migrated_sqlite}")
    with engine.begin() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()

    full = 2
    assert settings == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://somewhere/x"])
def test_a_database_that_would_not_do_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a database for Serinus"):
        migrate(url)


def test_a_password_is_not_told_with_the_refusal() -> None:
    with pytest.raises(ValueError, match="not a database") as caught:
        SqlDatabase("mysql://ada:secret@somewhere/x")

    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()

    for url in (
        f"postgresql://serinus@/none?host={tmp_path}",
        f"sqlite:///{tmp_path}/folder.db",
    ):
        with pytest.raises(UnavailableError):
            migrate(url)
        with pytest.raises(UnavailableError), SqlDatabase(url).reading():
            pass
