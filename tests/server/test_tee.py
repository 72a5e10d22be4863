"""Accepted envelopes go on to the team's own Sentry, and nobody waits for that."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.envelopes import EVENT_ID, a_dsn, a_session, an_envelope
from tests.fakes import FakeClock
from tests.public_world import NOW, World, a_world
from update_server import tee as tees
from update_server.config_tee import EVERY_APP, Dsn, TeeError, read_tee
from update_server.tee import Tee, redirected
from update_server.web.public.app import create_app

KEY = "fedcba98" * 4
SECONDS = 20.0


@dataclass
class Sentry:
    """A server that takes envelopes; while ``held``, it does not answer."""

    port: int = 0
    status: int = 200
    retry_after: str = ""
    got: list[tuple[str, str, bytes]] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.port}/sub/7"


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    sentry = Sentry()
    sentry.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            sentry.got.append((self.path, self.headers["X-Sentry-Auth"], body))
            sentry.came.release()
            sentry.open.wait(SECONDS)
            self.send_response(sentry.status)
            self.send_header("Retry-After", sentry.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sentry.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield sentry
    sentry.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


def a_tee(sentry: Sentry, clock: FakeClock | None = None) -> Tee:
    return Tee(read_tee({"telemetry": {"tee": sentry.dsn}}), clock or FakeClock(NOW))


def test_an_envelope_goes_on_as_it_came_but_for_its_dsn(sentry: Sentry) -> None:
    world: World = a_world()
    tee = a_tee(sentry)
    client = create_app(world.make_services(tee=tee)).test_client()
    token = world.check_in().token
    body = an_envelope(a_session(), dsn=a_dsn(token))

    assert client.post("/api/1/envelope/", data=body).status_code == 200
    tee.close(SECONDS)

    ((path, auth, sent),) = sentry.got
    assert path == "/sub/api/7/envelope/"
    assert f"sentry_key={KEY}" in auth
    head, _, rest = sent.partition(b"\n")
    assert json.loads(head) == {"event_id": EVENT_ID, "dsn": sentry.dsn}
    assert rest == body.partition(b"\n")[2]
    assert token.encode() not in sent
    assert tee.dropped == 0


def test_what_was_not_accepted_does_not_go_on(sentry: Sentry) -> None:
    world = a_world()
    tee = a_tee(sentry)
    client = create_app(world.make_services(tee=tee)).test_client()
    path = f"/api/1/envelope/?sentry_key={world.check_in().token}"

    client.post("/api/1/envelope/?sentry_key=nope", data=an_envelope(a_session()))
    client.post(path, data=b"\x00")
    world.spool.full = True
    client.post(path, data=an_envelope(a_session()))
    tee.close(SECONDS)

    assert sentry.got == []


def test_an_app_without_a_dsn_passes_nothing_on(sentry: Sentry) -> None:
    tee = Tee(read_tee({"telemetry": {"tee": {"other": sentry.dsn}}}), FakeClock(NOW))

    tee.pass_on("demo", an_envelope())
    tee.pass_on("other", an_envelope())
    tee.close(SECONDS)

    assert len(sentry.got) == 1


def test_a_slow_sentry_holds_nobody_up_and_what_has_no_room_is_counted(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tees, "MAX_WAITING", 3)
    sentry.open.clear()
    tee = a_tee(sentry)
    tee.pass_on("demo", an_envelope())
    assert sentry.came.acquire(timeout=SECONDS)

    for _ in range(10):
        tee.pass_on("demo", an_envelope())

    assert tee.dropped == 7
    sentry.open.set()
    tee.close(SECONDS)
    assert len(sentry.got) == 4


def test_the_queue_is_bounded_in_bytes_too(sentry: Sentry) -> None:
    tee = a_tee(sentry)

    tee.pass_on("demo", an_envelope(bytes(tees.MAX_WAITING_BYTES)))
    tee.pass_on("demo", an_envelope())
    tee.close(SECONDS)

    assert (tee.dropped, len(sentry.got)) == (1, 1)


def test_a_sentry_that_has_enough_is_left_alone_for_as_long_as_it_says(sentry: Sentry) -> None:
    sentry.status, sentry.retry_after = 429, "120"
    clock = FakeClock(NOW)
    tee = a_tee(sentry, clock)

    tee.pass_on("demo", an_envelope())
    tee.pass_on("demo", an_envelope())
    tee.close(SECONDS)

    assert (len(sentry.got), tee.dropped) == (1, 2)


@pytest.mark.parametrize("envelope", [b"", b"[]\n", b"\xff", b"[" * 9_000])
def test_no_failure_ends_the_thread_or_tells_what_was_sent(
    sentry: Sentry, envelope: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "update_server")
    tee = a_tee(sentry)

    tee.pass_on("demo", envelope)
    tee.pass_on("demo", an_envelope())
    tee.close(SECONDS)

    assert (len(sentry.got), tee.dropped) == (1, 1)
    assert caplog.messages == ["an envelope could not be passed on"]


def test_a_sentry_that_is_not_there_is_counted() -> None:
    dsn = Dsn(text="", url="http://127.0.0.1:1/api/1/envelope/", key="k")
    tee = Tee({EVERY_APP: dsn}, FakeClock(NOW))
    client = create_app(a_world().make_services(tee=tee)).test_client()

    tee.pass_on("demo", an_envelope())
    tee.close(SECONDS)

    assert tee.dropped == 1
    told = client.get("/readyz").json
    assert told is not None
    assert [one["code"] for one in told["degraded"]] == ["tee_dropped"]


def test_a_header_without_a_dsn_gets_none() -> None:
    dsn = Dsn(text="https://k@h/1", url="", key="k")

    assert redirected(b'{"a": 1}\nrest\n', dsn) == b'{"a": 1}\nrest\n'


class TestSettings:
    def test_without_it_nothing_is_passed_on(self) -> None:
        assert read_tee({}) == {}

    def test_each_app_may_have_its_own(self) -> None:
        found = read_tee({"telemetry": {"tee": {"demo": f"https://{KEY}@h:9/a/b/3"}}})

        assert found["demo"].url == "https://h:9/a/b/api/3/envelope/"
        assert KEY not in repr(found)

    @pytest.mark.parametrize(
        "dsn",
        [
            "",
            7,
            "https://h/1",
            f"https://{KEY}@h",
            f"https://{KEY}@h/x",
            f"https://{KEY}@/1",
            f"http://{KEY}@sentry.example.org/1",
            f"ftp://{KEY}@h/1",
            f"https://{KEY}@h:x/1",
            f"https://{KEY}@h/1?a=b",
            f"https://{KEY}@[h/1",
            "https://a-b@h/1",
        ],
    )
    def test_what_is_no_dsn_is_refused_without_being_shown(self, dsn: object) -> None:
        with pytest.raises(TeeError) as caught:
            read_tee({"telemetry": {"tee": dsn}})
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("document", [{"telemetry": 1}, {"telemetry": {"te": ""}}])
    def test_what_is_not_known_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(TeeError):
            read_tee(document)
