"""Minidumps on their way through the digest: read once, counted once, and their files let go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.dump_files import FakeDumpFiles, FakeDumpReader
from tests.fakes.spool import FakeSpool, FakeSpoolReader
from tests.public_world import APP, NOW, World, a_rollout, a_world
from tests.service.test_digest import KEY, a_contact
from tests.service.test_dumps import DATA, REPORT
from update_server.service.crashes.dumps import Dumps
from update_server.service.ports import Database, Event, Stores, UnavailableError
from update_server.service.ports.dumps import DumpReport
from update_server.service.telemetry.counting import REJECTED
from update_server.service.telemetry.digest import Digest


class Scene:
    """A server's digest, and the process that takes dumps in."""

    def __init__(self) -> None:
        self.world: World = a_world()
        self.world.put_db_rollout(a_rollout())
        self.spools = FakeSpoolReader()
        self.spool: FakeSpool = self.spools.writer("web")
        self.files = FakeDumpFiles()
        self.reader = FakeDumpReader()
        self.reader.reports[DATA] = REPORT
        self.spool.contact(a_contact())  # only who was seen sends reports of its own

    def take_in(
        self,
        data: bytes = DATA,
        event_id: str = "d1",
        *,
        of_report: str = "",
        received_at: datetime = NOW,
    ) -> None:
        told = {"event_id": of_report} if of_report else {}
        body = {"file": self.files.keep(data), **told}
        self._spool(event_id, "minidump", body, received_at)

    def take_in_report(self, event_id: str) -> None:
        self._spool(event_id, "crash", {"exception": {"type": "SIGSEGV"}})

    def _spool(
        self, event_id: str, kind: str, body: Mapping[str, Any], received_at: datetime = NOW
    ) -> None:
        event = Event(
            app=APP,
            install_key=KEY,
            id=event_id,
            at=NOW,
            received_at=received_at,
            kind=kind,
            version="2.1.0",
            source="sdk",
            body=body,
        )
        self.spool.events([event])

    def digest(self, database: Database | None = None) -> Digest:
        dumps = Dumps(self.files, self.reader, FakeClock())
        return Digest(database or self.world.database, self.spools, dumps=dumps)

    def event_ids(self) -> list[str]:
        with self.world.database.reading() as stores:
            return list(stores.telemetry.event_ids(APP, KEY))

    def count(self, name: str, **labels: str) -> int:
        with self.world.database.reading() as stores:
            found = stores.counters.all(APP)
        return sum(
            one.by
            for one in found
            if one.name == name and dict(one.labels).items() >= labels.items()
        )


class FailingDatabase:
    """A database that fails to commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def transaction(self) -> Iterator[Stores]:
        with self._database.transaction() as stores:
            yield stores
            raise UnavailableError("killed")

    def reading(self) -> AbstractContextManager[Stores]:
        return self._database.reading()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_dump_is_digested_as_a_crash_and_its_file_is_let_go(scene: Scene) -> None:
    scene.take_in()

    scene.digest().run()

    assert scene.event_ids() == ["d1"]
    assert scene.count("events", kind="crash") == 1
    assert scene.files.kept == {}


def test_what_was_not_committed_is_read_again(scene: Scene) -> None:
    scene.take_in()
    with pytest.raises(UnavailableError):
        scene.digest(FailingDatabase(scene.world.database)).run()
    assert scene.event_ids() == []
    assert len(scene.files.kept) == 1

    scene.digest().run()

    assert scene.event_ids() == ["d1"]
    assert scene.count("events", kind="crash") == 1
    assert scene.files.kept == {}


def test_a_dump_that_was_sent_twice_is_one_crash(scene: Scene) -> None:
    scene.take_in()
    scene.take_in()

    scene.digest().run()

    assert scene.event_ids() == ["d1"]
    assert scene.count("events", kind="crash") == 1


@pytest.mark.parametrize("first", ["report", "dump"])
def test_a_dump_and_its_report_are_one_crash_however_far_apart_they_are_read(
    scene: Scene, first: str
) -> None:
    if first == "report":
        scene.take_in_report("sdk1")
    scene.take_in(of_report="sdk1")
    if first == "dump":
        scene.take_in_report("sdk1")

    dumps = Dumps(scene.files, scene.reader, FakeClock())
    Digest(scene.world.database, scene.spools, 1, dumps=dumps).run()

    assert scene.event_ids() == ["sdk1"]


def test_what_is_no_dump_is_counted_and_is_no_crash(scene: Scene) -> None:
    scene.take_in(b"<html>")

    scene.digest().run()

    assert scene.event_ids() == []
    assert scene.count(REJECTED, reason="not_a_minidump") == 1
    assert scene.files.kept == {}


def test_a_dump_that_nobody_can_read_stops_nothing(scene: Scene) -> None:
    scene.take_in(b"MDMP broken", "d1")
    scene.take_in(DATA, "d2")

    scene.digest().run()

    assert scene.event_ids() == ["d1", "d2"]
    assert scene.count(REJECTED, reason="unparsed_minidump") == 1


def test_orphans_are_swept_each_hour_whatever_there_is_to_digest(scene: Scene) -> None:
    clock = FakeClock(NOW)
    dumps = Dumps(scene.files, scene.reader, clock)
    digest = Digest(scene.world.database, scene.spools, clock=clock, dumps=dumps)
    left: list[int] = []
    for minutes in (0, 0, 59, 1):
        clock.advance(timedelta(minutes=minutes))
        scene.files.old = {scene.files.keep(b"MDMP orphan")}
        scene.take_in(event_id=f"d{len(left)}", received_at=clock.now())
        digest.round()
        left.append(len(scene.files.kept))

    assert left == [0, 1, 1, 0]


def test_nothing_is_swept_while_old_events_wait(scene: Scene) -> None:
    clock = FakeClock(NOW + timedelta(days=2))
    dumps = Dumps(scene.files, scene.reader, clock)
    scene.take_in()
    scene.take_in(b"MDMP later", "d2")
    scene.files.old = {*scene.files.kept}
    digest = Digest(scene.world.database, scene.spools, 2, clock=clock, dumps=dumps)

    digest.round()

    assert list(scene.files.kept.values()) == [b"MDMP later"]


def test_without_a_reader_of_dumps_other_events_are_digested(scene: Scene) -> None:
    scene.take_in()

    done = Digest(scene.world.database, scene.spools).run()

    assert done.events == 1
    assert len(scene.files.kept) == 1


def test_a_digest_that_takes_long_lets_others_have_their_turn(scene: Scene) -> None:
    clock = FakeClock()

    class SlowReader(FakeDumpReader):
        def read(self, data: bytes) -> DumpReport | None:
            clock.advance(timedelta(seconds=0.9))
            return super().read(data)

    for n in range(6):
        scene.take_in(b"MDMP broken %d" % n, f"d{n}")
    dumps = Dumps(scene.files, SlowReader(), clock)
    digest = Digest(scene.world.database, scene.spools, 1, clock=clock, dumps=dumps)

    first, second = digest.run(), digest.run()

    assert (first.events, first.more) == (4, True)
    assert (second.events, second.more) == (2, False)
