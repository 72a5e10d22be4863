"""What SDKs sent, sent again to a real server: mixed, in chunks and packed, and twice."""

from __future__ import annotations

import contextlib
import http.client
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.e2e.running import an_id
from tests.intake.capture import Capture, Request, all_captures
from tests.intake.fleet import OLD, Fleet
from tests.intake.numbers import Numbers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake"), pytest.mark.timeout(300)]


def a_control(fleet: Fleet) -> str:
    """Return the token of a new install on 1.0.0 that is offered nothing."""
    while True:
        told = fleet.server.check_in(an_id(), OLD)
        if told["assignment"]["action"] == "stay":
            return str(told["token"])


def post(fleet: Fleet, request: Request) -> int:
    """Send *request* as its SDK did."""
    connection = http.client.HTTPConnection(fleet.server.public, timeout=20)
    body: bytes | Iterator[bytes] = request.body
    if request.is_chunked:
        body = iter([request.body[:100], request.body[100:]])
    with contextlib.closing(connection):
        connection.request(
            "POST",
            request.path,
            body,
            dict(request.headers),
            encode_chunked=request.is_chunked,
        )
        answer = connection.getresponse()
        answer.read()
        return answer.status


def sent_now(capture: Capture, token: str) -> Capture:
    return capture.with_key(token).with_release(f"notes@{OLD}").at(datetime.now(UTC))


def test_all_captures_mixed_and_twice_are_counted_once(fleet: Fleet) -> None:
    captures = [sent_now(each, a_control(fleet)) for each in all_captures().values()]
    requests = [request for capture in captures for request in capture.requests] * 2
    random.Random(5).shuffle(requests)
    before = fleet.numbers()

    statuses = Counter(post(fleet, request) for request in requests)

    assert statuses == {200: len(requests)}
    v, arm = OLD, "control"
    fleet.wait_until_counted(
        Numbers(
            sessions={
                (v, arm, "sdk", "exited"): 3,
                (v, arm, "sdk", "errored"): 5,
                (v, arm, "sdk", "crashed"): 4,
                (v, "aggregate", "sdk", "exited"): 4,
                (v, "aggregate", "sdk", "errored"): 1,
                (v, "aggregate", "sdk", "crashed"): 1,
            },
            crashes={(v, arm, "ValueError"): 3, (v, arm, "RangeError"): 3, (v, arm, "none"): 4},
            errors={(v, arm, "ValueError"): 4, (v, arm, "RangeError"): 2},
            crashed={(v, arm): 6},
            counters={("sdk_discarded", "before_send"): 2},
        ),
        since=before,
    )
