"""Minidumps become crash events before they are digested."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.dump_files import FakeDumpFiles, FakeDumpReader
from tests.store.values import a_contact, an_event
from update_server.crashes.own_events import report_of
from update_server.crashes.report import Frame, Kind
from update_server.crashes.signature import signature_of
from update_server.service.crashes.dumps import Dumps, Spent
from update_server.service.ports import Contact, Event
from update_server.service.ports.counters import Counted
from update_server.service.ports.dumps import DumpFrame, DumpReport

DATA = b"MDMP a dump"
REPORT = DumpReport(
    error="SIGSEGV",
    frames=(
        DumpFrame(module="notes", in_app=None, offset=0x123, debug_id="ab" * 20),
        DumpFrame(module="<unmapped>", in_app=None, offset=None, debug_id=""),
        DumpFrame(module="libc.so.6", in_app=False, offset=0, debug_id="cd" * 20),
    ),
    os="linux",
    arch="x86_64",
    is_crash=True,
    main_module="notes",
    main_debug_id="ab" * 20,
    annotations={"ptype": "renderer"},
)


@pytest.fixture
def files() -> FakeDumpFiles:
    return FakeDumpFiles()


@pytest.fixture
def reader() -> FakeDumpReader:
    reader = FakeDumpReader()
    reader.reports[DATA] = REPORT
    return reader


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def dumps(files: FakeDumpFiles, reader: FakeDumpReader, clock: FakeClock) -> Dumps:
    return Dumps(files, reader, clock)


def a_dump(files: FakeDumpFiles, data: bytes = DATA, event_id: str = "d1", **changes: Any) -> Event:
    body = {"file": files.keep(data), **changes.pop("body", {})}
    return an_event(event_id=event_id, kind="minidump", phase=None, body=body, **changes)


def a_report(**changes: Any) -> Event:
    return an_event(event_id="sdk1", kind="crash", phase=None, **changes)


def events_of(dumps: Dumps, *records: Contact | Event) -> list[Event]:
    return [one for one in dumps.read(records)[0] if isinstance(one, Event)]


def reasons(spent: Spent) -> dict[str, int]:
    return {dict(one.labels)["reason"]: one.by for one in spent.counted}


# --- a dump ----------------------------------------------------------------------------------


def test_a_dump_becomes_a_crash_of_the_same_install_time_and_version(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    dump = a_dump(files)

    (crash,) = events_of(dumps, dump)

    assert replace(crash, kind="minidump", body=dump.body) == dump
    assert crash.kind == "crash"
    assert crash.body == {
        "platform": "native",
        "exception": {"type": "SIGSEGV"},
        "crashed_thread": [
            {"module": "notes", "offset": 0x123, "debug_id": "ab" * 20},
            {"module": "<unmapped>"},
            {"module": "libc.so.6", "in_app": False, "offset": 0, "debug_id": "cd" * 20},
        ],
        "os": {"name": "Linux"},
        "arch": "x86_64",
        "main_module": "notes",
        "debug_id": "ab" * 20,
        "ptype": "renderer",
    }


def test_its_body_is_a_report_with_a_signature(dumps: Dumps, files: FakeDumpFiles) -> None:
    (crash,) = events_of(dumps, a_dump(files))

    report = report_of(crash.body)

    assert report is not None
    assert report.kind is Kind.NATIVE
    assert report.frames == (
        Frame(module="notes", offset=0x123, debug_id="ab" * 20),
        Frame(module="<unmapped>"),
        Frame(module="libc.so.6", in_app=False, offset=0, debug_id="cd" * 20),
    )
    assert signature_of(report).title == "SIGSEGV in notes"


def test_what_the_form_said_of_the_process_stays(dumps: Dumps, files: FakeDumpFiles) -> None:
    said = {"ptype": "gpu", "reporter": "ab12", "platform": "win32", "prod": "Electron"}

    (crash,) = events_of(dumps, a_dump(files, body=said))

    assert crash.body["ptype"] == "gpu"
    assert crash.body["reporter"] == "ab12"
    assert crash.body["platform"] == "native"
    assert "file" not in crash.body


def test_an_unknown_system_is_not_told(
    dumps: Dumps, files: FakeDumpFiles, reader: FakeDumpReader
) -> None:
    reader.reports[DATA] = replace(REPORT, os="", arch="", frames=(), annotations={})

    (crash,) = events_of(dumps, a_dump(files))

    assert crash.body.keys() == {"platform", "exception", "main_module", "debug_id"}


def test_a_dump_that_the_app_asked_for_is_a_handled_error(
    dumps: Dumps, files: FakeDumpFiles, reader: FakeDumpReader
) -> None:
    reader.reports[DATA] = replace(REPORT, error="dump requested", is_crash=False)

    (error,) = events_of(dumps, a_dump(files))

    assert error.kind == "error"
    assert error.body["exception"] == {"type": "dump requested"}


def test_everything_else_goes_by_in_its_order(dumps: Dumps, files: FakeDumpFiles) -> None:
    contact, event, dump = a_contact(), an_event(), a_dump(files)

    told, _ = dumps.read([contact, dump, event])

    assert [told[0], told[2]] == [contact, event]
    assert isinstance(told[1], Event)
    assert told[1].id == dump.id


def test_records_without_dumps_are_not_looked_at(dumps: Dumps) -> None:
    records: list[Contact | Event] = [a_contact(), an_event()]

    assert dumps.read(records) == (records, Spent())


# --- what is not read ------------------------------------------------------------------------


def test_what_is_no_dump_is_no_crash_and_is_counted(dumps: Dumps, files: FakeDumpFiles) -> None:
    told, spent = dumps.read([a_dump(files, b"<html>"), a_dump(files, b"", "d2")])

    assert told == []
    assert spent.counted == (
        Counted(
            app="demo",
            name="telemetry_rejected",
            labels=(("reason", "not_a_minidump"),),
            by=2,
        ),
    )


def test_a_dump_that_nobody_can_read_is_a_crash_with_a_name_of_its_own(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    told, spent = dumps.read([a_dump(files, b"MDMP broken")])

    assert isinstance(told[0], Event)
    assert told[0].kind == "crash"
    assert told[0].body == {"exception": {"type": "unparsed minidump"}}
    assert reasons(spent) == {"unparsed_minidump": 1}


def test_a_dump_whose_bytes_are_gone_is_the_mark_of_a_crash(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    dump = a_dump(files)
    files.kept.clear()

    told, spent = dumps.read([dump, an_event(kind="minidump", event_id="d2")])

    assert [one.body for one in told if isinstance(one, Event)] == [{}, {}]
    assert {one.kind for one in told if isinstance(one, Event)} == {"crash"}
    assert reasons(spent) == {"lost_minidump": 2}


def test_after_some_seconds_dumps_are_marks_of_crashes(
    files: FakeDumpFiles, clock: FakeClock
) -> None:
    class SlowReader(FakeDumpReader):
        def read(self, data: bytes) -> DumpReport | None:
            clock.advance(timedelta(seconds=0.9))
            return super().read(data)

    reader = SlowReader()
    reader.reports[DATA] = REPORT
    many = [a_dump(files, event_id=str(n)) for n in range(5)]

    told, spent = Dumps(files, reader, clock, most_seconds=2.0).read(many)

    assert [bool(one.body) for one in told if isinstance(one, Event)] == [True] * 3 + [False] * 2
    assert {one.kind for one in told if isinstance(one, Event)} == {"crash"}
    assert reasons(spent) == {"too_many_minidumps": 2}
    assert len(spent.files) == 5


# --- with an SDK's report --------------------------------------------------------------------


def test_a_dump_goes_into_the_report_that_it_came_with(dumps: Dumps, files: FakeDumpFiles) -> None:
    report = a_report(body={"tags": {"gpu": "intel"}, "platform": "native"})
    dump = a_dump(files, body={"event_id": "sdk1"})

    told, spent = dumps.read([report, dump])

    (crash,) = told
    assert isinstance(crash, Event)
    assert (crash.id, crash.kind) == ("sdk1", "crash")
    assert crash.body["tags"] == {"gpu": "intel"}
    assert crash.body["exception"] == {"type": "SIGSEGV"}
    assert len(crash.body["crashed_thread"]) == 3
    assert len(spent.files) == 1


def test_a_report_with_frames_of_its_own_stays_as_it_is(dumps: Dumps, files: FakeDumpFiles) -> None:
    frames = [{"module": "notes", "function": "read_note"}]
    report = a_report(body={"exception": {"type": "SIGSEGV"}, "frames": frames})

    assert events_of(dumps, report, a_dump(files, body={"event_id": "sdk1"})) == [report]


def test_a_report_that_was_sent_twice_is_the_same_both_times(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    sent = [a_report(), a_dump(files, body={"event_id": "sdk1"})]

    first, second = events_of(dumps, *sent, *sent)

    assert first == second
    assert first.body["exception"] == {"type": "SIGSEGV"}


def test_a_dump_of_a_crash_makes_a_crash_of_the_report(dumps: Dumps, files: FakeDumpFiles) -> None:
    dump = a_dump(files, body={"event_id": "sdk1"})

    (crash,) = events_of(dumps, replace(a_report(), kind="error"), dump)

    assert crash.kind == "crash"


def test_a_report_of_a_crash_stays_one_whatever_its_dump_says(
    dumps: Dumps, files: FakeDumpFiles, reader: FakeDumpReader
) -> None:
    reader.reports[DATA] = replace(REPORT, is_crash=False)
    dump = a_dump(files, body={"event_id": "sdk1"})

    assert [one.kind for one in events_of(dumps, a_report(), dump)] == ["crash"]


@pytest.mark.parametrize("data", [b"<html>", b"MDMP broken"])
def test_a_report_that_says_something_stays_as_it_is_when_its_dump_says_nothing(
    dumps: Dumps, files: FakeDumpFiles, data: bytes
) -> None:
    report = a_report(body={"exception": {"type": "SIGSEGV"}})
    dump = a_dump(files, data, body={"event_id": "sdk1"})

    assert events_of(dumps, report, dump) == [report]


def test_a_report_that_says_nothing_says_that_its_dump_does_not_either(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    dump = a_dump(files, b"MDMP broken", body={"event_id": "sdk1"})

    (crash,) = events_of(dumps, a_report(body={"tags": {"gpu": "intel"}}), dump)

    assert crash.body == {"tags": {"gpu": "intel"}, "exception": {"type": "unparsed minidump"}}


@pytest.mark.parametrize("other", [{"install": "2"}, {"kind": "session"}, {"event_id": "sdk2"}])
def test_a_dump_goes_into_no_other_event(
    dumps: Dumps, files: FakeDumpFiles, other: dict[str, str]
) -> None:
    event = an_event(**{"event_id": "sdk1", "kind": "crash", **other})

    told = events_of(dumps, event, a_dump(files, body={"event_id": "sdk1"}))

    assert told[0] == event
    assert told[1].kind == "crash"


# --- the version -----------------------------------------------------------------------------


def with_versions(files: FakeDumpFiles, reader: FakeDumpReader, clock: FakeClock) -> Dumps:
    known = {("demo", "ab" * 20): "2.4.0"}
    return Dumps(files, reader, clock, version_of=lambda *program: known.get(program))


def test_a_dump_without_a_version_is_of_the_release_that_has_its_program(
    files: FakeDumpFiles, reader: FakeDumpReader, clock: FakeClock
) -> None:
    dumps = with_versions(files, reader, clock)
    dump = a_dump(files, version="", quarantine="unknown_version")

    (crash,) = events_of(dumps, dump)

    assert (crash.version, crash.quarantine) == ("2.4.0", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "2.3.9"},
        {"install_key": b"12345678"},  # of a token, which names its releases itself
        {"app": "other"},
    ],
)
def test_what_a_dump_came_with_goes_before_its_program(
    files: FakeDumpFiles, reader: FakeDumpReader, clock: FakeClock, changes: dict[str, Any]
) -> None:
    dumps = with_versions(files, reader, clock)
    dump = a_dump(files, **{"version": "", "quarantine": "unknown_version", **changes})

    (crash,) = events_of(dumps, dump)

    assert (crash.version, crash.quarantine) == (dump.version, dump.quarantine)


def test_another_reason_to_set_a_dump_aside_stays(
    files: FakeDumpFiles, reader: FakeDumpReader, clock: FakeClock
) -> None:
    dump = a_dump(files, version="", quarantine="expired_token")

    (crash,) = events_of(with_versions(files, reader, clock), dump)

    assert (crash.version, crash.quarantine) == ("2.4.0", "expired_token")


def test_without_such_knowledge_its_version_stays_unknown(
    dumps: Dumps, files: FakeDumpFiles
) -> None:
    (crash,) = events_of(dumps, a_dump(files, version="", quarantine="unknown_version"))

    assert (crash.version, crash.quarantine) == ("", "unknown_version")


# --- files -----------------------------------------------------------------------------------


def test_files_stay_until_they_are_dropped(dumps: Dumps, files: FakeDumpFiles) -> None:
    kept = files.keep(b"MDMP another")
    _, spent = dumps.read([a_dump(files)])
    assert len(files.kept) == 2

    dumps.drop(spent)

    assert files.kept.keys() == {kept}


def test_orphans_are_swept(dumps: Dumps, files: FakeDumpFiles) -> None:
    files.keep(b"MDMP young")
    files.old = {files.keep(b"MDMP old")}

    assert dumps.sweep() == 1
    assert list(files.kept.values()) == [b"MDMP young"]


def test_its_reader_is_closed_with_it(dumps: Dumps, reader: FakeDumpReader) -> None:
    dumps.close()

    assert reader.is_closed
