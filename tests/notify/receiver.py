"""Receivers on loopback, and a verifier written from the Standard Webhooks specification."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TOLERANCE_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came in, and what is answered: (status, headers) in turn, the last one for good.

    No request is answered while ``gate`` is closed.
    """

    port: int
    gate: threading.Event = field(default_factory=threading.Event)
    came: queue.Queue[Received] = field(default_factory=queue.Queue)
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=lambda: [(204, {})])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=s3cr3t-path"

    def next(self, seconds: float = 10) -> Received:
        return self.came.get(timeout=seconds)


@contextmanager
def a_receiver(port: int = 0) -> Iterator[Receiver]:
    """Serve on loopback; each request is answered once it is in the queue."""
    receiver: Receiver

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): text for name, text in self.headers.items()}
            receiver.came.put(Received(path=self.path, headers=headers, body=body))
            receiver.gate.wait(60)
            status, told = receiver.answers[0]
            if len(receiver.answers) > 1:
                receiver.answers.pop(0)
            self.send_response(status)
            for name, text in told.items():
                self.send_header(name, text)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle_one_request(self) -> None:
            with contextlib.suppress(OSError):  # whoever asked was killed meanwhile
                super().handle_one_request()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver = Receiver(port=server.server_address[1])
    receiver.gate.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


class BadSignatureError(Exception):
    """The request is not to be believed."""


def verify(received: Received, secrets: Sequence[str], now: float) -> str:
    """Return the message's id, as a receiver that keeps to the specification does.

    Standard Webhooks 1.0.0, "Verifying webhooks": all three headers; the timestamp within five
    minutes; a space-delimited list of signatures, of which one of a known version must match in
    constant time, over the bytes as they came.
    """
    try:
        message_id = received.headers["webhook-id"]
        stated = received.headers["webhook-timestamp"]
        signatures = received.headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise BadSignatureError("a header is missing") from error
    if not stated.isdecimal() or abs(now - int(stated)) > TOLERANCE_SECONDS:
        raise BadSignatureError("too old, or too new")
    signed = f"{message_id}.{stated}.".encode() + received.body
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        for each in signatures:
            version, _, digest = each.partition(",")
            if version == "v1" and hmac.compare_digest(digest.encode(), expected.encode()):
                return message_id
    raise BadSignatureError("no signature matches")
