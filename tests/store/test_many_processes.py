"""Writers take turns: threads, processes, and those that die in the middle."""

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from tests.postgres import PostgresServer
from tests.store.values import NOW, an_app
from update_server.service.ports import UnavailableError
from update_server.store import SqlDatabase, engine

PROCESSES, THREADS, ROUNDS = 3, 4, 10

# Reads before it writes, so that a lost update or a failed upgrade of a lock would show.
WRITE_A_LOT = f"""
import sys, threading
from tests.store.values import NOW
from update_server.store import SqlDatabase

database = SqlDatabase(sys.argv[1])

def write():
    for n in range({ROUNDS}):
        with database.transaction() as stores:
            before = stores.apps.get("demo").generation
            assert stores.apps.bump("demo") == before + 1
            stores.audit.append(at=NOW, actor=str(n), action="bump", app="demo", subject="x")
        with database.reading() as stores:
            assert stores.audit.verify() >= before

threads = [threading.Thread(target=write) for _ in range({THREADS})]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""

WRITE_AND_WAIT = """
import sys
from update_server.store import SqlDatabase

with SqlDatabase(sys.argv[1]).transaction() as stores:
    stores.apps.bump("demo")
    print("wrote", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(sql: SqlDatabase) -> SqlDatabase:
    with sql.transaction() as stores:
        stores.apps.add(an_app())
    return sql


def test_processes_and_threads_write_at_once_and_lose_nothing(
    database: SqlDatabase, url: str
) -> None:
    command = [sys.executable, "-c", WRITE_A_LOT, url]
    processes = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    problems = [process.communicate()[1] for process in processes]

    assert problems == [""] * PROCESSES
    with database.reading() as stores:
        assert stores.apps.get("demo").generation == PROCESSES * THREADS * ROUNDS
        assert stores.audit.verify() == PROCESSES * THREADS * ROUNDS


def test_a_process_killed_in_its_turn_leaves_nothing_and_stops_nobody(
    database: SqlDatabase, url: str
) -> None:
    command = [sys.executable, "-c", WRITE_AND_WAIT, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"wrote\n"
        process.kill()

    with database.transaction() as stores:
        assert stores.apps.bump("demo") == 1


def test_a_writer_whose_turn_does_not_come_is_told(
    sql: SqlDatabase, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN_SECONDS", 0.05)
    impatient = SqlDatabase(url)

    with sql.transaction(), pytest.raises(UnavailableError), impatient.transaction():
        pass

    with impatient.transaction() as stores:
        stores.apps.add(an_app())
    impatient.close()


def test_readers_do_not_wait_for_a_writer(database: SqlDatabase) -> None:
    seen: list[int] = []

    def read() -> None:
        with database.reading() as stores:
            seen.append(stores.apps.get("demo").generation)

    with database.transaction() as stores:
        stores.apps.bump("demo")
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)

    assert seen == [0]


@pytest.mark.postgres
def test_a_database_that_was_cut_off_and_came_back_is_used_again(
    postgres: PostgresServer, migrated_postgres: str
) -> None:
    url = postgres.new_database(migrated_postgres)
    database = SqlDatabase(url)

    def use_while_it_is_cut_off() -> None:
        with database.transaction() as stores:
            cut_off(postgres, url)
            stores.apps.add(an_app())

    with pytest.raises(UnavailableError):
        use_while_it_is_cut_off()

    with database.transaction() as stores:
        assert stores.apps.add(an_app()).created_at == NOW
    cut_off(postgres, url)
    with database.reading() as stores:
        assert len(stores.apps.all()) == 1
    database.close()
    postgres.drop_database(url)


def cut_off(server: PostgresServer, url: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [server.name_of(url)],
        )


def test_all_connections_in_use_is_unavailable(
    migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SqlDatabase(f"sqlite:///{migrated_sqlite}")
    monkeypatch.setattr(database._engine.pool, "_timeout", 0.01)
    held = [database.reading() for _ in range(15)]
    for reading in held:
        reading.__enter__()

    with pytest.raises(UnavailableError), database.reading():
        pass

    for reading in held:
        reading.__exit__(None, None, None)
    database.close()
