"""A real PostgreSQL for tests: a server of our own, in a temporary folder, on a Unix socket.

A ``conftest.py`` that needs it imports the fixtures: ``postgres`` is one server for each
pytest process, ``postgres_url`` a new, empty database for each test.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[1]
_PR_SET_PDEATHSIG = 1
_USER = "serinus"
# Durability costs time and is not what these tests are about; killing the server is no part
# of them either.
_SERVER_FLAGS = (
    "-cfsync=off",
    "-cfull_page_writes=off",
    "-csynchronous_commit=off",
    "-cmax_connections=100",
    "-clisten_addresses=",
)
_INITDB_FLAGS = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--no-instructions",
)


class PostgresServer:
    """A PostgreSQL server that runs until ``stop``, or until this process dies."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="serinus-postgres-"))
        self._databases = 0
        self._uid: int | None = None
        self._gid: int | None = None
        self._groups: list[int] | None = None
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            account = _unprivileged_account()
            self._uid, self._gid, self._groups = account.pw_uid, account.pw_gid, []
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        data = self.folder / "data"
        make = [f"{programs}/initdb", f"--pgdata={data}", f"--username={_USER}", *_INITDB_FLAGS]
        done = subprocess.run(
            make,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )
        if done.returncode != 0:
            raise RuntimeError(f"PostgreSQL makes no data folder:\n{done.stderr}")
        self._process = subprocess.Popen(
            [f"{programs}/postgres", f"-D{data}", f"-k{self.folder}", *_SERVER_FLAGS],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - a test run has no threads yet
            cwd="/",
            user=self._uid,
            group=self._gid,
            extra_groups=self._groups,
        )
        self._log: list[str] = []
        self._ready = threading.Event()
        self._drainer = threading.Thread(target=self._drain, daemon=True)
        self._drainer.start()
        self._ready.wait(60)
        if self._process.poll() is not None:
            raise RuntimeError("PostgreSQL does not start:\n" + "".join(self._log))

    def new_database(self, template: str = "template1") -> str:
        """Return the URL of a new database, like the one called *template*."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove the database at *url*, whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {self.name_of(url)} WITH (FORCE)")

    def name_of(self, url: str) -> str:
        """Return the name of the database at *url*."""
        return url.partition("?")[0].rpartition("/")[2]

    def url(self, database: str) -> str:
        """Return the URL of the database called *database*."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}"

    def stop(self) -> None:
        """End the server and remove its folder."""
        self._process.send_signal(signal.SIGQUIT)  # at once: nobody needs the data
        self._process.wait(30)
        self._drainer.join()
        shutil.rmtree(self.folder)

    def _drain(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                self._log.append(line)
                if "ready to accept connections" in line:
                    self._ready.set()
        self._ready.set()


def _unprivileged_account() -> pwd.struct_passwd:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, newest version first."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _install() -> str:
    """Install PostgreSQL, one pytest process at a time; return what went wrong."""
    with (Path(tempfile.gettempdir()) / "serinus-postgres-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _programs() is not None:
            return ""
        script = ROOT / "scripts" / "postgres"
        return subprocess.run([script], capture_output=True, text=True, check=False).stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for this pytest process; PostgreSQL is installed if it is not here."""
    problem = "" if _programs() is not None else _install()
    programs = _programs()
    if programs is None:
        pytest.skip(f"PostgreSQL cannot be installed here: {problem.strip()}")
    server = PostgresServer(programs)
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a new, empty database."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)
