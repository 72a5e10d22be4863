"""Intake behind the real web server: what SDKs put on the wire, and what attackers do.

``SERINUS_FULL=1`` sends all of the 20,000 spoiled reports, else a sample.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brotli
import pytest

from tests.envelopes import EVENT_ID, a_dsn, a_dump, a_session, an_envelope, an_event, an_item
from tests.intake.wire import Web, a_web
from tests.intake.wire_app import APP_KEY, a_wire_world
from update_server.service.ports import Event
from update_server.spool import FileSpoolReader

pytestmark = pytest.mark.e2e

MOST_BYTES = 250 << 20
SPOILED = 20_000 if os.environ.get("SERINUS_FULL") == "1" else 600
TOKEN = a_wire_world().check_in().token
PATH = f"/api/1/envelope/?sentry_key={TOKEN}"
WELL = an_envelope(an_event(), a_session())
DUMP = b"MDMP" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wire")


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[Web]:
    with a_web(folder) as running:
        worker = running.worker()
        yield running
        assert running.worker() == worker, "the worker was lost"
        assert running.peak_bytes() <= MOST_BYTES


def spooled(folder: Path) -> list[Event]:
    reader = FileSpoolReader(folder / "spool")
    records = [record for spool in reader.spools() for record in reader.read(spool, 0, 10**9)[0]]
    return [record for record in records if isinstance(record, Event)]


def a_form(dump: bytes = DUMP) -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="_version"\r\n\r\n2.0.0\r\n'
        b'--b\r\nContent-Disposition: form-data; name="upload_file_minidump"; filename="a"\r\n\r\n'
        + dump
        + b"\r\n--b--\r\n"
    )


class TestReports:
    @pytest.mark.parametrize("chunks", [(), (1,), (7, 4_096, 1), (1 << 20,)])
    @pytest.mark.parametrize("encoding", ["", "gzip", "br", "deflate"])
    def test_no_length_and_no_type_need_to_be_told(
        self, web: Web, encoding: str, chunks: tuple[int, ...]
    ) -> None:
        headers = [f"Content-Encoding: {encoding}"] if encoding else []

        reply = web.post(PATH, packs(encoding, WELL), *headers, chunks=chunks)

        assert (reply.status, json.loads(reply.body)) == (200, {"id": EVENT_ID})
        assert "access-control-allow-origin: *" in reply.head

    def test_what_was_acknowledged_is_in_the_spool(self, web: Web, folder: Path) -> None:
        before = len(spooled(folder))

        assert web.post(PATH, WELL, chunks=(10,)).status == 200

        assert [event.kind for event in spooled(folder)[before:]] == ["crash", "session"]

    def test_the_key_may_stand_in_the_dsn_alone(self, web: Web) -> None:
        body = an_envelope(a_session(), dsn=a_dsn(TOKEN))

        assert web.post("/some/prefix/api/1/envelope", body).status == 200

    def test_a_crash_handler_sends_a_form_packed_and_in_chunks(self, web: Web) -> None:
        headers = ("Content-Type: multipart/form-data; boundary=b", "Content-Encoding: gzip")

        reply = web.post(
            f"/api/1/minidump/{TOKEN}?product=x&version=1&guid=y",
            gzip.compress(a_form()),
            *headers,
            chunks=(4_096,),
        )

        assert (reply.status, len(reply.body)) == (200, 32)

    def test_a_page_may_ask_first(self, web: Web) -> None:
        with web.connect() as connection:
            connection.sendall(
                f"OPTIONS {PATH} HTTP/1.1\r\nHost: x\r\nOrigin: https://app\r\n"
                "Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n".encode()
            )
            answer = connection.recv(4_096).decode().lower()

        assert answer.startswith("http/1.1 200")
        assert "access-control-allow-headers: x-sentry-auth, content-type, content-enc" in answer

    def test_a_wrong_key_opens_nothing(self, web: Web, folder: Path) -> None:
        before = len(spooled(folder))

        for path in ("/api/1/envelope/?sentry_key=no", "/api/9/envelope/", "/api/1/minidump/no"):
            reply = web.post(path, WELL, chunks=(100,))
            assert reply.status == 403
            assert {"detail", "causes"} <= json.loads(reply.body).keys()
        assert len(spooled(folder)) == before


def packs(name: str, data: bytes) -> bytes:
    match name:
        case "gzip":
            return gzip.compress(data)
        case "br":
            return bytes(brotli.compress(data, quality=3, lgwin=24))
        case "deflate":
            return zlib.compress(data)
    return data


class TestAttacks:
    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
    @pytest.mark.parametrize("path", [PATH, f"/api/1/minidump/{TOKEN}"])
    def test_bombs_are_refused_however_many_come_at_once(
        self, web: Web, encoding: str, path: str
    ) -> None:
        bomb = packs(encoding, bytes(32 << 20))
        headers = f"Content-Encoding: {encoding}"

        with ThreadPoolExecutor(64) as pool:
            replies = list(pool.map(lambda _: web.post(path, bomb, headers), range(64)))

        assert {reply.status for reply in replies} == {413}

    def test_the_largest_that_may_come_do_so_one_after_the_other(self, web: Web) -> None:
        draw = random.Random(5)  # noise and zeros: it shrinks to a twentieth
        large = b"".join(draw.randbytes(64) + bytes(1_984) for _ in range(15_900))
        body = gzip.compress(an_envelope(an_event(), a_dump(b"MDMP" + large)), 1)
        assert len(large) > 30 << 20

        form = gzip.compress(a_form(b"MDMP" + large), 1)
        cut_off = gzip.compress(a_form(b"MDMP" + large)[:-9], 1)
        too_large = gzip.compress(an_envelope(a_dump(b"MDMP" + large + large[: 3 << 20])), 1)
        forms = f"/api/1/minidump/{TOKEN}"
        requests = [(PATH, body, 200), (forms, form, 200)] * 8
        requests += [(forms, cut_off, 400), (PATH, too_large, 413)] * 8

        with ThreadPoolExecutor(16) as pool:
            replies = pool.map(
                lambda each: web.post(each[0], each[1], "Content-Encoding: gzip"), requests
            )

            assert [reply.status for reply in replies] == [status for *_, status in requests]
        assert web.peak_bytes() <= MOST_BYTES

    def test_json_that_is_as_costly_as_can_be(self, web: Web) -> None:
        item = b'{"a":' + b"[" * 60 + b"[]," * 49_000 + b"[]" + b"]" * 60 + b"}"
        bodies = [
            an_envelope(an_item("event", b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}")),
            an_envelope(*[an_item("event", item)] * 10),
            an_envelope(*[an_item("session", item)] * 50),
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"[" * 100_000,
            an_envelope(*[an_item("event", b'{"a":"' + b"\\ud800" * 100_000 + b'"}')] * 10),
        ]

        small = b'{"exception":{"values":[' + b'{"a":[[],{},{}]},' * 7_000 + b"{}]}}"
        bodies += [an_envelope(an_item("event", small))] * 8
        assert len(bodies[-1]) < 128 * 1024  # such do not take turns

        with ThreadPoolExecutor(32) as pool:  # as many large ones as may wait for their turn
            replies = list(pool.map(lambda body: web.post(PATH, body), bodies * 20))

        assert {reply.status for reply in replies} <= {200, 400, 413}

    def test_what_never_ends_is_ended(self, web: Web) -> None:
        def endless() -> Iterator[bytes]:
            for _ in range(4_096):
                yield b"10000\r\n" + bytes(0x10000) + b"\r\n"

        reply = web.send(PATH, endless(), "Transfer-Encoding: chunked")

        assert reply.status in {0, 413}  # or it is closed before all was read

    @pytest.mark.parametrize(
        "headers",
        [
            [f"X-Header-{number}: y" for number in range(20_000)],
            ["X-Header: " + "y" * (4 << 20)],
            ["X-Sentry-Auth: Sentry " + "sentry_key=a, " * 3_000],
        ],
        ids=["many", "long", "auth"],
    )
    def test_headers_that_never_end_are_ended(self, web: Web, headers: list[str]) -> None:
        assert web.post("/api/1/envelope/", WELL, *headers).status in {0, 400, 403, 431}

    def test_senders_who_stop_halfway_cost_no_memory(self, web: Web) -> None:
        connections = [web.connect() for _ in range(40)]
        try:
            for connection in connections:
                connection.sendall(
                    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n".encode()
                    + bytes(900_000)
                )
            assert web.post(PATH, WELL).status == 200
        finally:
            for connection in connections:
                connection.close()

    def test_requests_that_contradict_themselves_harm_nobody(self, web: Web) -> None:
        for headers in (
            ["Content-Length: 5", "Transfer-Encoding: chunked"],
            ["Content-Length: -1"],
            ["Content-Length: 5", "Content-Length: 6"],
            ["Transfer-Encoding: chunked", "Content-Encoding: gzip, gzip"],
        ):
            assert web.send(PATH, [b"0\r\n\r\n"], *headers).status != 429
        assert web.post(PATH, WELL).status == 200


def spoiled(number: int) -> tuple[str, bytes, list[str]]:
    """Return one of many reports with something wrong."""
    draw = random.Random(number)
    is_dump = draw.random() < 0.3
    body = bytearray(
        a_form()
        if is_dump
        else an_envelope(an_event(), a_session(), a_dump(DUMP), dsn=a_dsn(TOKEN))
    )
    for _ in range(draw.randint(1, 12)):
        at = draw.randrange(len(body))
        match draw.randrange(5):
            case 0:
                body[at] = draw.randrange(256)
            case 1:
                del body[at : at + draw.randrange(400)]
                body += b"\n"
            case 2:
                body[at:at] = body[at // 2 : at][:2_000]
            case 3:
                body[at:at] = draw.choice(
                    [b"\n", b"{", b'"', b"\x00", b"[" * 200, b"\\u", b"\r\n--b"]
                )
            case _:
                body[at:at] = draw.randbytes(draw.randrange(50))
    encoding = draw.choice(["", "", "gzip", "br", "deflate"])
    data = packs(encoding, bytes(body))
    if draw.random() < 0.1:
        data = data[: draw.randrange(len(data) + 1)]
    key = draw.choice([TOKEN, APP_KEY])
    path = f"/api/1/minidump/?sentry_key={key}" if is_dump else f"/api/1/envelope/?sentry_key={key}"
    return path, data, [f"Content-Encoding: {encoding}"] if encoding else []


@pytest.mark.timeout(900)
def test_no_spoiled_report_costs_a_worker_or_is_answered_429(web: Web) -> None:
    def send(number: int) -> int:
        path, data, headers = spoiled(number)
        return web.post(path, data, *headers, chunks=(997,) if number % 3 else ()).status

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(send, range(SPOILED)))

    assert set(statuses) <= {200, 400, 413}
    assert statuses[200] > SPOILED // 3
    assert statuses[400] > SPOILED // 50  # they really are spoiled
    assert web.peak_bytes() <= MOST_BYTES


class TestLogs:
    def test_nothing_that_came_is_written_down(self, web: Web) -> None:
        web.post(f"/api/1/minidump/{TOKEN}?guid=somebody", a_form())
        web.post("/api/1/envelope/", WELL, f"X-Sentry-Auth: Sentry sentry_key={TOKEN}")
        web.post(PATH, b"\x00")

        written = web.output.read_text()
        for secret in (TOKEN, "somebody", "sentry_key", "/api/"):
            assert secret not in written

    def test_an_access_log_would_have_written_it(self, tmp_path: Path) -> None:
        code = (
            "from granian import Granian as G\n"
            "import granian, sys\n"
            "granian.Granian = lambda *a, **k: G(*a, **{**k, 'log_access': True,"
            " 'log_level': granian.log.LogLevels.info})\n"
        )
        with a_web(tmp_path, before=code) as logging:
            logging.post(f"/api/1/minidump/{TOKEN}", b"")
            until = time.monotonic() + 10
            while TOKEN not in logging.output.read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
