"""The parts of a server that are measured: its public app over real spools, its digest over SQLite.

Apps, releases and keys are those of the tests' public world; files and the database are real.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.documents import render_release
from rollout.model import Arm, InstallId
from rollout.versions import render_version
from tests.fakes import FakeDumpFiles
from tests.public_world import (
    APP,
    CHANNEL,
    NOW,
    PLATFORM,
    V1,
    V2,
    World,
    a_release,
    a_rollout,
    a_world,
)
from update_server.service.agents.pseudonyms import install_key
from update_server.service.agents.tokens import InstallToken, issue
from update_server.service.ports import App, Contact, Event, StoredRelease
from update_server.service.studies.memory import begin
from update_server.spool import FileSpool
from update_server.store import SqlDatabase
from update_server.store.migration import migrate
from update_server.web.public.app import create_app
from update_server.web.public.services import public_services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BATCH = 50
"""Events in one request."""

_PEPPER = b"s" * 32  # that of the world


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The public app of one web process, and its spool."""

    world: World
    spool: FileSpool
    app: WSGIApplication

    def post(self, body: bytes) -> None:
        """Send a request; raise RuntimeError unless all of it is durable."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": f"/v1/apps/{APP}/events",
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "192.0.2.7",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
        }
        statuses: list[str] = []
        answer = b"".join(self.app(environ, lambda status, *_: statuses.append(status)))  # type: ignore[arg-type]
        if not statuses[0].startswith("202") or b'"rejected":[]' not in answer:
            raise RuntimeError(f"{statuses[0]}: {answer[:200]!r}")


@contextmanager
def an_intake(folder: Path, name: str) -> Iterator[Intake]:
    """Give a web process whose spool is in *folder*."""
    world = a_world()
    spool = FileSpool(folder, name)
    services = public_services(
        tables=world.tables,
        database=world.database,
        blobs=world.blobs,
        spool=spool,
        dumps=FakeDumpFiles(),
        clock=world.clock,
        ids=world.ids,
        next_check_in_seconds=14_400,
    )
    yield Intake(world=world, spool=spool, app=create_app(services))
    spool.close()


def bodies(world: World, count: int, *, first: int = 0) -> Sequence[bytes]:
    """Return *count* requests of as many installs: a day's events of each."""
    return [_body(world, number) for number in range(first, first + count)]


def _body(world: World, number: int) -> bytes:
    install = InstallId(str(uuid.UUID(int=(1 << 127) + number, version=4)))
    key = install_key(_PEPPER, APP, install)
    table = world.tables.of(APP).table
    numbers = {render_version(known.version): n for n, known in table.by_number.items()}
    token = issue(
        world.tables.secrets.tokens,
        app=APP,
        install_key=key,
        token=InstallToken(running=numbers["2.0.0"], assigned=numbers["2.1.0"], rollout=0),
        now=NOW,
    )
    events = [_event(number * BATCH + place) for place in range(BATCH)]
    told = {"install_id": install, "token": token, "events": events}
    return json.dumps(told, separators=(",", ":")).encode()


def _event(number: int) -> dict[str, Any]:
    at = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    known: dict[str, Any] = {"id": str(uuid.UUID(int=number + 1, version=4)), "at": at}
    told: dict[str, Any]
    match number % 10:
        case 0:
            frames = [
                {"module": "notes.store", "function": f"step_{n}", "file": "store.py", "line": n}
                for n in range(12)
            ]
            told = {"kind": "crash", "exception": {"type": "ValueError"}, "frames": frames}
            return known | told | {"version": "2.1.0", "sid": f"s{number}"}
        case 1:
            told = {"kind": "update", "from": "2.0.0", "to": "2.1.0", "phase": "applied"}
            return known | told
        case 2 | 3 | 4:
            told = {"kind": "metric", "name": "startup_ms", "value": 100.0 + number % 97}
            return known | told | {"version": "2.1.0"}
        case _:
            told = {"kind": "session", "sid": f"s{number}", "status": "exited", "started": at}
            return known | told | {"version": "2.1.0", "duration_seconds": 900}


# --- the digest's side -----------------------------------------------------------------------


@contextmanager
def a_database(folder: Path) -> Iterator[SqlDatabase]:
    """Give a database in which 2.1.0 is being rolled out, and judged."""
    url = f"sqlite:///{folder}/serinus.db"
    migrate(url)
    database = SqlDatabase(url)
    with database.transaction() as stores:
        stores.apps.add(
            App(
                name=APP,
                number=0,
                created_at=NOW,
                channels=(CHANNEL,),
                platforms=(PLATFORM,),
                registered=True,
            )
        )
        for name in ("pepper", "token_key"):
            stores.access.add_secret(name, _PEPPER)
        for version in (V1, V2):
            stores.releases.add(
                StoredRelease(
                    app=APP,
                    channel=CHANNEL,
                    platform=PLATFORM,
                    version=version,
                    number=0,
                    document=render_release(a_release(version)),
                    admitted_at=NOW,
                    submitted_by="ci",
                )
            )
        rollout = a_rollout()
        stores.rollouts.add(rollout)
        begin(stores, rollout)
    yield database
    database.close()


def contacts(count: int, *, installs: int) -> Sequence[Contact]:
    """Return *count* check-ins, of *installs* in turn."""
    first = Contact(
        app=APP,
        install_key=b"",
        at=NOW,
        channel=CHANNEL,
        platform=PLATFORM,
        version="2.0.0",
        action="stay",
        reason="outside_ring",
        rollout=a_rollout().id,
        ring="1%",
        arm=Arm.CONTROL,
        bucket=5_000,
    )
    return [replace(first, install_key=key_of(number % installs)) for number in range(count)]


def events(count: int, *, installs: int, first: int = 0) -> Sequence[Event]:
    """Return *count* events of *installs* in turn: sessions and, one in ten, a crash."""
    return [_told(number, key_of(number % installs)) for number in range(first, first + count)]


def key_of(number: int) -> bytes:
    """Return the key of an install."""
    return install_key(_PEPPER, APP, InstallId(str(uuid.UUID(int=number, version=4))))


def _told(number: int, key: bytes) -> Event:
    session = Event(
        app=APP,
        install_key=key,
        id=str(uuid.UUID(int=number + 1, version=4)),
        at=NOW,
        received_at=NOW,
        kind="session",
        version="2.1.0",
        source="launch",
        channel=CHANNEL,
        platform=PLATFORM,
        body={"sid": f"s{number}", "status": "exited", "duration_seconds": 900},
    )
    if number % 10:
        return session
    frames = [
        {"module": "notes.store", "function": f"step_{number % 70}_{n}", "line": n}
        for n in range(12)
    ]
    body = {"exception": {"type": "ValueError"}, "frames": frames}
    return replace(session, kind="crash", source="agent", body=body)
