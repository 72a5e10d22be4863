"""Minidumps: whose they are, that they arrive as crash handlers send them, and when they go."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.version import Version

from client_agent.config import AppSettings, CrashSettings, NetworkSettings, Telemetry
from client_agent.errors import DiskError, NetworkError
from client_agent.network.transport import Transport
from client_agent.reports.minidumps import MAX_DUMP_BYTES, Minidumps
from client_agent.values import Marker, MarkerStatus, State
from tests.agent.agent_fakes import START, FakeClock, Machine
from tests.agent.agent_world import TOKEN, AgentWorld, a_world
from tests.agent.reports.test_report import a_marker
from tests.agent.running.test_agent_loop import begun, wait
from tests.agent.signed_world import zulu
from tests.agent.web_server import Asked, Reply, WebServer

DUMP = b"MDMP" + bytes(60)
MINUTE = timedelta(minutes=1)
ROUTE = "/api/7/minidump/?sentry_key=MARKED"


class Desk:
    """A folder of dumps, a ROOT, and a server that takes dumps."""

    def __init__(self, folder: Path, server: WebServer) -> None:
        self.source = folder / "dumps"
        self.root = folder / "root"
        self.source.mkdir()
        self.root.mkdir()
        self.clock = FakeClock()
        self.machine = Machine()
        self.server = server
        self.app = AppSettings(
            app="notes", channel="stable", platform="linux-x86_64", server=server.url,
            root_metadata=b"",
        )  # fmt: skip
        self.dumps = self.again()

    def again(self) -> Minidumps:
        """Return what the next process sees."""
        return Minidumps(self.root, [self.source, self.source / "none"], self.machine, self.clock)

    def leave(self, name: str, at: datetime = START, data: bytes = DUMP) -> Path:
        path = self.source / name
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    def send(self, project: int | None = 7) -> None:
        transport = Transport(self.server.url, NetworkSettings(), self.clock)
        self.dumps.send(self.app, State(project=project), transport)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: WebServer) -> Desk:
    return Desk(tmp_path, server)


def a_start(name: str, started: datetime, **fields: object) -> Marker:
    marker = a_marker(launch_id=name, started=started, ended=None, status=MarkerStatus.OPEN)
    return replace(marker, **fields)  # type: ignore[arg-type]


EARLIER = a_start("one", START - 60 * MINUTE)
LATER = a_start("two", START - 10 * MINUTE, version=Version("2.1.0"), token="OTHER")


def parts_of(asked: Asked) -> dict[str, EmailMessage]:
    """Return the fields of a form, read by somebody else's parser."""
    assert asked.headers["content-encoding"] == "gzip"
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    body = head + gzip.decompress(asked.body)
    form = email.message_from_bytes(body, policy=email.policy.HTTP)
    assert isinstance(form, EmailMessage)
    found = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        assert isinstance(name, str)
        assert isinstance(part, EmailMessage)
        found[name] = part
    return found


# --- whose -------------------------------------------------------------------------------


def test_a_dump_belongs_to_the_newest_start_before_it(desk: Desk) -> None:
    desk.leave("early.dmp", START - 30 * MINUTE)
    desk.leave("late.dmp", START - 5 * MINUTE)

    died = desk.dumps.collect([LATER, EARLIER])

    assert died == {"one", "two"}
    kept = [(str(kept.version), kept.token) for kept in desk.again().kept()]
    assert kept == [("2.0.0", "MARKED"), ("2.1.0", "OTHER")]
    assert list(desk.source.iterdir()) == []


def test_a_dump_from_before_any_start_is_left_alone(desk: Desk) -> None:
    path = desk.leave("old.dmp", START - 61 * MINUTE)

    assert desk.dumps.collect([EARLIER]) == frozenset()
    assert path.exists()


@pytest.mark.parametrize(
    "data", [b"", b"MDM", b"PMDM" + bytes(60), b"MDMP" + bytes(MAX_DUMP_BYTES)]
)
def test_what_is_no_dump_or_too_large_is_left_alone(desk: Desk, data: bytes) -> None:
    path = desk.leave("file", data=data)

    assert desk.dumps.collect([EARLIER]) == frozenset()
    assert path.exists()


def test_a_link_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(DUMP)
    (desk.source / "link.dmp").symlink_to(tmp_path / "elsewhere")

    assert desk.dumps.collect([EARLIER]) == frozenset()


def test_a_living_process_may_still_write_to_its_dump(desk: Desk) -> None:
    alive = replace(EARLIER, alive=True)
    desk.leave("child.dmp")

    assert desk.dumps.collect([alive]) == frozenset()
    desk.clock.advance(61)
    assert desk.dumps.collect([alive], only_living=True) == {"one"}


def test_a_visit_leaves_the_dumps_of_starts_that_ended_to_their_report(desk: Desk) -> None:
    desk.leave("dead.dmp")

    assert desk.dumps.collect([EARLIER], only_living=True) == frozenset()
    assert desk.dumps.collect([EARLIER]) == {"one"}


def test_the_three_newest_are_kept(desk: Desk) -> None:
    for minutes in range(5):
        desk.leave(f"{minutes}.dmp", START - minutes * MINUTE)

    desk.dumps.collect([EARLIER])

    kept = [kept.at for kept in desk.dumps.kept()]
    assert kept == [START - 2 * MINUTE, START - MINUTE, START]


def test_dumps_take_40_mib_at_most(desk: Desk) -> None:
    for minutes in range(3):
        data = DUMP + bytes(MAX_DUMP_BYTES - len(DUMP))
        desk.leave(f"{minutes}.dmp", START - minutes * MINUTE, data)

    desk.dumps.collect([EARLIER])

    assert [kept.at for kept in desk.dumps.kept()] == [START - MINUTE, START]


def test_a_dump_that_cannot_be_moved_yet_is_taken_the_next_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_open(_source: Path, _target: Path) -> None:
        raise PermissionError

    path = desk.leave("a.dmp")
    with monkeypatch.context() as busy:
        busy.setattr(shutil, "move", is_open)
        assert desk.dumps.collect([EARLIER]) == frozenset()

    assert path.exists()
    assert list((desk.root / "minidumps").iterdir()) == []
    assert desk.dumps.collect([EARLIER]) == {"one"}


def test_a_disk_that_takes_no_dump_is_a_disk_error(desk: Desk) -> None:
    desk.leave("a.dmp")
    desk.root.rmdir()

    with pytest.raises(DiskError):
        desk.dumps.collect([EARLIER])


# --- sending -----------------------------------------------------------------------------


def test_a_dump_arrives_as_crash_handlers_send_it(desk: Desk) -> None:
    desk.server.on(ROUTE, Reply(body=b"0b0e4d3c"))
    desk.leave("a.dmp", data=DUMP + b"\r\n--fake\r\n" + bytes(range(256)))
    desk.dumps.collect([EARLIER])

    desk.send()

    form = parts_of(desk.server.asked[0])
    assert desk.server.asked[0].method == "POST"
    assert form["upload_file_minidump"].get_payload(
        decode=True
    ) == DUMP + b"\r\n--fake\r\n" + bytes(range(256))
    assert form["upload_file_minidump"].get_filename() == "minidump.dmp"
    texts = {name: str(part.get_payload()) for name, part in form.items()}
    assert texts["_version"] == "2.0.0"
    assert texts["_productName"] == "notes"
    assert desk.again().kept() == []
    assert list((desk.root / "minidumps").iterdir()) == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_cannot_take_a_dump_now_gets_it_later(desk: Desk, status: int) -> None:
    desk.server.on(ROUTE, Reply(status=status))
    desk.leave("a.dmp")
    desk.dumps.collect([EARLIER])

    with pytest.raises(NetworkError):
        desk.send()

    assert len(desk.dumps.kept()) == 1


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_dump_that_is_refused_for_good_is_deleted(desk: Desk, status: int) -> None:
    desk.server.on(ROUTE, Reply(status=status))
    desk.leave("a.dmp")
    desk.dumps.collect([EARLIER])

    desk.send()

    assert desk.dumps.kept() == []


def test_a_server_without_the_route_is_asked_again_after_a_day(desk: Desk) -> None:
    desk.leave("a.dmp")
    desk.leave("b.dmp")
    desk.dumps.collect([EARLIER])

    desk.send()
    desk.send()
    assert len(desk.server.asked) == 1

    desk.clock.advance(86_400)
    desk.send()
    assert len(desk.server.asked) == 2
    assert len(desk.dumps.kept()) == 2


def test_a_dump_waits_for_the_apps_number_and_14_days_at_most(desk: Desk) -> None:
    desk.leave("a.dmp")
    desk.dumps.collect([EARLIER])

    desk.send(project=None)
    assert len(desk.dumps.kept()) == 1
    desk.clock.advance(14 * 86_400 + 1)
    desk.send(project=None)

    assert desk.dumps.kept() == []
    assert desk.server.asked == []


def test_a_dump_whose_note_is_torn_is_nobodys(desk: Desk) -> None:
    desk.leave("a.dmp")
    desk.dumps.collect([EARLIER])
    dump = desk.dumps.kept()[0].path
    dump.with_suffix(".json").write_bytes(b"{")

    desk.send()
    assert desk.server.asked == []
    assert dump.exists()
    desk.clock.advance(14 * 86_400 + 1)
    desk.send()

    assert list((desk.root / "minidumps").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_took_a_dumps_place_while_it_was_moved_never_leaves_the_machine(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    secret = tmp_path / "shadow"
    secret.write_bytes(b"secret")
    moved = shutil.move

    def swapped(path: Path, taken: Path) -> None:
        path.unlink()
        if kind == "link":
            path.symlink_to(secret)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
            (path / "more").touch()
        moved(path, taken)

    monkeypatch.setattr(shutil, "move", swapped)
    desk.leave("a.dmp")
    desk.dumps.collect([EARLIER])
    assert len(desk.dumps.kept()) == 1

    desk.send()

    assert desk.server.asked == []
    assert list((desk.root / "minidumps").iterdir()) == []
    assert secret.read_bytes() == b"secret"


def test_a_dump_of_a_year_that_no_calendar_has_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.leave("a.dmp")
    fstat = os.fstat

    def far_off(descriptor: int) -> object:  # some file systems keep such times, others none
        found = fstat(descriptor)
        return SimpleNamespace(st_mode=found.st_mode, st_size=found.st_size, st_mtime=1e15)

    monkeypatch.setattr(os, "fstat", far_off)

    assert desk.dumps.collect([EARLIER]) == frozenset()


# --- in the agent ------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path) as world:
        world.say("stay", None, "up_to_date", project=7)
        yield world


NAME = "0b0e4d3c-7b0e-4d3c-9a61-0c5f6f2b8e11"


def mark(world: AgentWorld) -> None:
    """Write the marker of a start of 2.0.0 that nobody saw end."""
    world.put_in("2.0.0")
    installed = world.loop().parts.installation.current()
    assert installed is not None
    said = {
        "launch_id": NAME,
        "version": "2.0.0",
        "digest": installed.manifest_sha256,
        "dir": installed.directory,
        "rollout": None,
        "token": None,
        "started": zulu(START - MINUTE),
        "boot_id": world.machine.boot_id(),
        "trial": False,
    }
    (world.root / "launches" / f"{NAME}.json").write_text(json.dumps(said) + "\n")


def crashed_before(world: AgentWorld, level: Telemetry) -> list[Asked]:
    """Let an agent start after a start that left a dump; return the dumps that were sent."""
    sent: list[Asked] = []

    def take(asked: Asked) -> Reply:
        sent.append(asked)
        return Reply()

    world.server.on(f"/api/7/minidump/?sentry_key={TOKEN}", take)
    mark(world)
    (world.folder / "dumps").mkdir()
    dump = world.folder / "dumps" / "a.dmp"
    dump.write_bytes(DUMP)
    os.utime(dump, (START.timestamp(), START.timestamp()))
    crash = CrashSettings(minidump_dirs=(world.folder / "dumps",))
    loop = begun(world, crash=crash, telemetry=level)
    wait(world, loop, 61)
    return sent


def test_a_dump_makes_the_start_a_crash_and_is_sent_with_its_version(world: AgentWorld) -> None:
    sent = crashed_before(world, Telemetry.CRASH)

    assert len(sent) == 1
    sessions = [event for event in world.events if event["kind"] == "session"]
    assert [session["status"] for session in sessions] == ["crashed"]


def test_what_killed_the_interpreter_is_a_crash_of_that_start(world: AgentWorld) -> None:
    mark(world)
    fault = world.root / "launches" / f"{NAME}.fault"
    fault.write_text("Fatal Python error: Segmentation fault\n")

    wait(world, begun(world), 61)

    crashes = [event for event in world.events if event["kind"] == "crash"]
    assert [crash["exception"]["type"] for crash in crashes] == ["Segmentation fault"]
    assert [crash["sid"] for crash in crashes] == [NAME]
    sessions = [event["status"] for event in world.events if event["kind"] == "session"]
    assert sessions == ["crashed"]
    assert not fault.exists()


def test_an_empty_fault_file_is_no_crash(world: AgentWorld) -> None:
    mark(world)
    (world.root / "launches" / f"{NAME}.fault").touch()

    wait(world, begun(world), 61)

    assert [event["status"] for event in world.events if event["kind"] == "session"] == ["abnormal"]


@pytest.mark.parametrize("level", [Telemetry.HEALTH, Telemetry.OFF])
def test_below_level_crash_no_dump_is_even_touched(world: AgentWorld, level: Telemetry) -> None:
    assert crashed_before(world, level) == []
    assert (world.folder / "dumps" / "a.dmp").exists()


@pytest.mark.parametrize("level", [Telemetry.HEALTH, Telemetry.OFF])
def test_who_wants_less_to_be_told_has_no_dump_left(
    world: AgentWorld, desk: Desk, level: Telemetry
) -> None:
    loop = begun(world)
    desk.leave("a.dmp")
    Minidumps(world.root, [desk.source], desk.machine, desk.clock).collect([EARLIER])
    assert len(loop.parts.minidumps.kept()) == 1

    loop.wishes.allow_telemetry(level)
    wait(world, loop, 61)

    assert loop.parts.minidumps.kept() == []
