from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from client_agent.config import NetworkSettings, Telemetry
from client_agent.errors import Code, NetworkError
from client_agent.machine.values import Fault
from client_agent.network.transport import Transport
from client_agent.platforms.linux import Linux
from client_agent.reports.faults import ToldCrash
from client_agent.reports.reporter import Reporter
from client_agent.reports.sender import Sender, Sent
from client_agent.reports.spool import Spool
from client_agent.values import Marker, MarkerStatus
from tests.agent.agent_fakes import START, Dice, FakeClock
from tests.agent.web_server import Asked, Reply, WebServer

V1, V2 = Version("2.0.0"), Version("2.1.0")
ID = "2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"


class Desk:
    """A spool, its reporter, and a server that takes events."""

    def __init__(self, folder: Path, server: WebServer, level: Telemetry) -> None:
        self.clock = FakeClock()
        self.spool = Spool(folder, Linux(), self.clock)
        self.tokens = {"2.0.0": "TOKEN1", "2.1.0": "TOKEN2"}
        self.reporter = Reporter(
            self.spool,
            self.clock,
            Dice(),
            lambda v: self.tokens.get(str(v)),
            level,
            metrics={"startup_ms"},
        )
        self.server = server
        self.sender = Sender(self.spool, f"{server.url}/v1/apps/demo", {"startup_ms"})

    def events(self) -> list[dict[str, Any]]:
        return [spooled.event for spooled in self.spool.load()]

    def send(self, *, in_full: bool = True) -> Sent:
        transport = Transport(self.server.url, NetworkSettings(), self.clock)
        now = self.clock.now()
        return self.sender.send(ID, self.tokens, transport, now, in_full=in_full)

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.server.asked]


def accepted(asked: Asked) -> Reply:
    count = len(json.loads(asked.body)["events"])
    return Reply(status=202, body=json.dumps({"accepted": count, "rejected": []}).encode())


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        running.on("/v1/apps/demo/events", accepted)
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: WebServer) -> Desk:
    return Desk(tmp_path, server, Telemetry.CRASH)


def a_marker(**fields: Any) -> Marker:
    marker = Marker(
        launch_id="0b0e4d3c-7b0e-4d3c-9a61-0c5f6f2b8e11",
        version=V1,
        token="MARKED",
        status=MarkerStatus.EXITED,
        started=START - timedelta(seconds=100),
        boot_id="boot",
        ended=START,
    )
    return replace(marker, **fields)


# --- what is said ------------------------------------------------------------------------


def test_a_step_says_from_where_to_where(desk: Desk) -> None:
    desk.reporter.step("downloaded", running=V1, to=V2, downloaded_bytes=500, delta=False)

    (event,) = desk.events()
    assert event["from"] == "2.0.0"
    assert event["to"] == "2.1.0"
    assert event["delta"] is False
    assert event["at"] == "2026-11-22T03:07:00Z"
    assert "error" not in event


def test_a_failure_bears_category_and_code(desk: Desk) -> None:
    fault = Fault(category="trust", code="hash_mismatch")
    desk.reporter.step("failed", running=None, to=V2, fault=fault)

    (event,) = desk.events()
    assert event["error"] == {"category": "trust", "code": "hash_mismatch"}
    assert event["from"] is None


def test_a_session_travels_with_its_markers_version_and_token(desk: Desk) -> None:
    desk.reporter.session(a_marker(), "boot")

    (spooled,) = desk.spool.load()
    assert spooled.token == "MARKED"
    assert spooled.event["status"] == "exited"
    assert spooled.event["duration_seconds"] == 100
    assert spooled.event["source"] == "launch"


@pytest.mark.parametrize(("boot_id", "cause"), [("boot", None), ("other", "reboot")])
def test_a_start_that_nobody_saw_end_is_abnormal(
    desk: Desk, boot_id: str, cause: str | None
) -> None:
    desk.reporter.session(a_marker(status=MarkerStatus.OPEN, ended=None), boot_id)

    (event,) = desk.events()
    assert event["status"] == "abnormal"
    assert event.get("cause") == cause


def an_error() -> Exception:
    secret = "my password"  # a local: never told
    try:
        int(secret)
    except ValueError as error:
        return error
    raise AssertionError


def test_a_crash_tells_its_type_and_place_and_nothing_of_what_was_in_it(desk: Desk) -> None:
    desk.reporter.crash(an_error(), V1, "sid")

    (event,) = desk.events()
    assert event["exception"] == {"type": "ValueError"}
    assert event["frames"][0]["function"] == "an_error"
    assert event["frames"][0]["file"] == "test_report.py"
    assert "password" not in json.dumps(event)
    assert str(Path(__file__).parent) not in json.dumps(event)


def test_a_deep_recursion_keeps_its_innermost_64_frames(desk: Desk) -> None:
    def deeper(left: int) -> None:
        if not left:
            raise RecursionError
        deeper(left - 1)

    try:
        deeper(200)
    except RecursionError as error:
        desk.reporter.crash(error, V1, None)

    (event,) = desk.events()
    assert len(event["frames"]) == 64
    assert event["frames"][0]["function"].endswith("deeper")


def test_level_health_tells_only_the_type_of_a_crash(desk: Desk) -> None:
    desk.reporter.level = Telemetry.HEALTH
    desk.reporter.crash(an_error(), V1, None)

    (event,) = desk.events()
    assert "frames" not in event
    assert event["exception"] == {"type": "ValueError"}


def test_a_message_is_told_only_where_the_app_asks_for_it_and_scrubbed(desk: Desk) -> None:
    told = Reporter(desk.spool, desk.clock, Dice(), lambda _: None, messages=True)
    error = ValueError("no user anna@example.org")

    desk.reporter.crash(error, V1, None)
    told.crash(error, V1, None)
    told.level = Telemetry.HEALTH
    told.crash(error, V1, None)

    messages = [event["exception"].get("message") for event in desk.events()]
    assert messages == [None, "no user <email>", None]


def test_an_error_that_cannot_say_what_it_is_is_told_by_its_type(desk: Desk) -> None:
    class Broken(Exception):  # noqa: N818 - an app's own
        def __str__(self) -> str:
            raise LookupError

    told = Reporter(desk.spool, desk.clock, Dice(), lambda _: None, messages=True)

    told.crash(Broken(), V1, None)

    assert desk.events()[0]["exception"]["message"] == ""


@pytest.mark.parametrize(("level", "told"), [(Telemetry.CRASH, True), (Telemetry.HEALTH, False)])
def test_a_crash_that_somebody_tells_travels_with_its_version_and_token(
    desk: Desk, level: Telemetry, told: bool
) -> None:
    desk.reporter.level = level
    fault = ToldCrash(kind="Aborted", frames=({"function": "f", "file": "a.py", "line": 1},))

    desk.reporter.told(fault, V1, a_marker().launch_id, token="MARKED")

    spooled = desk.spool.load()[0]
    assert (spooled.version, spooled.token) == ("2.0.0", "MARKED")
    assert spooled.event["exception"] == {"type": "Aborted"}
    assert spooled.event["sid"] == a_marker().launch_id
    assert ("frames" in spooled.event) is told


def test_a_start_that_left_proof_of_a_crash_crashed(desk: Desk) -> None:
    open_ended = a_marker(status=MarkerStatus.OPEN, ended=None)

    desk.reporter.session(open_ended, "boot", died=True)
    desk.reporter.session(a_marker(status=MarkerStatus.ERRORED), "boot", died=True)

    assert [event["status"] for event in desk.events()] == ["crashed", "errored"]


def test_level_off_tells_nothing(desk: Desk) -> None:
    desk.reporter.level = Telemetry.OFF
    desk.reporter.crash(an_error(), V1, None)
    desk.reporter.step("offered", running=V1, to=V2)
    desk.reporter.metric("startup_ms", 1.0, V1)

    assert desk.events() == []


def test_level_health_tells_the_numbers_on_the_list_and_what_was_dropped(desk: Desk) -> None:
    desk.reporter.level = Telemetry.HEALTH
    desk.spool.dropped["crash", "too_old"] = 1

    desk.reporter.metric("startup_ms", 1.0, V1)
    desk.reporter.metric("pages_read", 1.0, V1)
    desk.reporter.dropped(V1)

    names = [event["name"] for event in desk.events()]
    assert names == ["startup_ms", "agent_dropped_crash"]


def test_a_number_off_the_list_does_not_leave_when_less_may_be_told_than_it_was(
    desk: Desk,
) -> None:
    desk.reporter.metric("startup_ms", 1.0, V1)
    desk.reporter.metric("pages_read", 1.0, V1)
    desk.spool.dropped["crash", "too_old"] = 1
    desk.reporter.dropped(V1)

    sent = desk.send(in_full=False)

    names = [event["name"] for body in desk.sent() for event in body["events"]]
    assert names == ["startup_ms", "agent_dropped_crash"]
    assert sent == Sent(accepted=2, rejected=0, waiting=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_is_none(desk: Desk, value: float) -> None:
    desk.reporter.metric("startup_ms", value, V1)

    assert desk.events() == []


def test_a_qualified_type_names_its_module(desk: Desk) -> None:
    desk.reporter.crash(json.JSONDecodeError("m", "d", 0), V1, None)

    (event,) = desk.events()
    assert event["exception"] == {"type": "json.decoder.JSONDecodeError"}


def test_what_was_given_up_is_told_as_a_metric(desk: Desk) -> None:
    desk.spool.dropped["crash", "too_many"] = 2
    desk.spool.dropped["crash", "too_old"] = 1

    desk.reporter.dropped(V1)

    (event,) = desk.events()
    assert (event["name"], event["value"]) == ("agent_dropped_crash", 3.0)
    assert not desk.spool.dropped


# --- sending -----------------------------------------------------------------------------


def test_each_token_gets_a_request_of_its_own(desk: Desk) -> None:
    desk.reporter.step("offered", running=V1, to=V2)
    desk.reporter.step("healthy", running=V2, to=V2)
    desk.reporter.session(a_marker(), "boot")

    result = desk.send()

    assert result == Sent(accepted=3, rejected=0, waiting=0)
    assert [body["token"] for body in desk.sent()] == ["TOKEN1", "TOKEN2", "MARKED"]
    assert all(body["install_id"] == ID for body in desk.sent())
    assert desk.events() == []


def test_an_event_from_before_the_first_check_in_waits_for_a_token(desk: Desk) -> None:
    desk.tokens.clear()
    desk.reporter.step("offered", running=V1, to=V2)

    assert desk.send().waiting == 1
    desk.tokens["2.1.0"] = "LATER"
    assert desk.send() == Sent(accepted=1, rejected=0, waiting=0)
    assert desk.sent()[0]["token"] == "LATER"


@pytest.mark.parametrize("status", [500, 503, 429, 408, 302])
def test_a_server_that_cannot_take_events_now_loses_none(desk: Desk, status: int) -> None:
    desk.server.on("/v1/apps/demo/events", Reply(status=status))
    desk.reporter.step("offered", running=V1, to=V2)

    with pytest.raises(NetworkError):
        desk.send()

    assert len(desk.events()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"accepted": "x", "rejected": []}',
        b'{"accepted": 1e999, "rejected": []}',
        b"[]",
    ],
)
def test_a_202_that_is_not_our_servers_delivers_nothing(desk: Desk, body: bytes) -> None:
    desk.server.on("/v1/apps/demo/events", Reply(status=202, body=body))
    desk.reporter.step("offered", running=V1, to=V2)

    with pytest.raises(NetworkError) as caught:
        desk.send()

    assert caught.value.code is Code.UNEXPECTED_ANSWER
    assert len(desk.events()) == 1


def test_what_the_server_refuses_for_good_is_dropped_and_counted(desk: Desk) -> None:
    desk.server.on("/v1/apps/demo/events", Reply(status=403))
    desk.reporter.step("offered", running=V1, to=V2)

    result = desk.send()

    assert result == Sent(accepted=0, rejected=1, waiting=0)
    assert desk.spool.dropped["update", "status_403"] == 1


def test_single_refusals_are_counted_by_their_code(desk: Desk) -> None:
    refusal = {
        "accepted": 1,
        "rejected": [{"index": 0, "code": "too_old"}, {"index": 9, "code": "x"}],
    }
    desk.server.on("/v1/apps/demo/events", Reply(status=202, body=json.dumps(refusal).encode()))
    desk.reporter.step("offered", running=V1, to=V2)
    desk.reporter.step("staged", running=V1, to=V2)

    assert desk.send() == Sent(accepted=1, rejected=1, waiting=0)
    assert desk.spool.dropped["update", "too_old"] == 1


def test_a_request_that_is_too_large_is_halved(desk: Desk) -> None:
    def at_most_two(asked: Asked) -> Reply:
        return Reply(status=413) if len(json.loads(asked.body)["events"]) > 2 else accepted(asked)

    desk.server.on("/v1/apps/demo/events", at_most_two)
    for _ in range(5):
        desk.reporter.step("offered", running=V1, to=V2)

    assert desk.send() == Sent(accepted=5, rejected=0, waiting=0)


def test_a_single_event_that_is_too_large_is_dropped(desk: Desk) -> None:
    desk.server.on("/v1/apps/demo/events", Reply(status=413))
    desk.reporter.step("offered", running=V1, to=V2)

    assert desk.send() == Sent(accepted=0, rejected=1, waiting=0)


def test_a_request_has_at_most_500_events(desk: Desk) -> None:
    for _ in range(501):
        desk.reporter.metric("startup_ms", 1.0, V1)

    desk.send()

    assert [len(body["events"]) for body in desk.sent()] == [500, 1]


def test_what_arrived_before_the_server_failed_is_not_sent_again(desk: Desk) -> None:
    def only_the_first(asked: Asked) -> Reply:
        return accepted(asked) if len(desk.server.asked) == 1 else Reply(status=500)

    desk.server.on("/v1/apps/demo/events", only_the_first)
    desk.reporter.step("offered", running=V1, to=V2)
    desk.reporter.step("healthy", running=V2, to=V2)

    with pytest.raises(NetworkError):
        desk.send()

    assert [event["phase"] for event in desk.events()] == ["healthy"]


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Users\anna\app.py",
        "/home/anna/app.py",
        "https://u/anna/app.py?token=anna",
        "app://u/app.py#anna",
    ],
)
def test_of_a_place_in_code_only_the_files_own_name_is_told(desk: Desk, path: str) -> None:
    try:
        exec(compile("raise LookupError", path, "exec"))  # as a notebook does
    except LookupError as error:
        desk.reporter.crash(error, Version("2.0.0"), None)

    (told,) = desk.spool.load()
    assert told.event["frames"][0]["file"] == "app.py"


# --- being forgotten ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 404, 422])
def test_a_wish_to_be_forgotten_is_done_when_the_server_says_so(desk: Desk, status: int) -> None:
    problem = {"Content-Type": "application/problem+json"}
    desk.server.on("/v1/apps/demo/forget", Reply(status=status, headers=problem))
    transport = Transport(desk.server.url, NetworkSettings(), desk.clock)

    assert desk.sender.forget(ID, "TOKEN1", transport)
    assert desk.sent()[0] == {"install_id": ID, "token": "TOKEN1"}


@pytest.mark.parametrize("status", [200, 403, 404, 500, 503])  # not by the server itself
def test_a_wish_to_be_forgotten_is_repeated_otherwise(desk: Desk, status: int) -> None:
    desk.server.on("/v1/apps/demo/forget", Reply(status=status))
    transport = Transport(desk.server.url, NetworkSettings(), desk.clock)

    with pytest.raises(NetworkError):
        desk.sender.forget(ID, "TOKEN1", transport)
