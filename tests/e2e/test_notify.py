"""From a pause to a signed webhook, whatever is killed in between."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.running import Server, a_server, offspring
from tests.notify.receiver import Received, Receiver, a_receiver, verify

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_WITHIN_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def telling(
    workspace: Path, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that tells the receiver, with a version that everybody is offered."""
    folder = tmp_path_factory.mktemp("telling") / "updates"
    settings = f"""
[[notify]]
name = "ops"
kind = "webhook"
url = "{receiver.url}"
secret_files = ["../ops.secret"]
allow_private = ["127.0.0.1"]
"""
    (folder.parent / "ops.secret").write_text(SECRET)
    with a_server(workspace, folder, settings=settings) as server:
        first = server.new_version()
        server.publish(first)
        server.serinus("rollout", "start", first, "--ring", "all", "--reason", "test")
        yield server


def started(server: Server, receiver: Receiver) -> str:
    """Start a new version, and wait until the receiver knows."""
    version = server.new_version()
    server.publish(version)
    server.start_rollout(version)
    next_of(receiver, "serinus.rollout.started", version)
    return version


def next_of(receiver: Receiver, kind: str, version: str) -> Received:
    """Return the next message of this kind about *version*, when it comes."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        received = receiver.next(until - time.monotonic())
        event = received.json()
        if (event["type"], event["data"]["rollout"]["version"]) == (kind, version):
            assert verify(received, [SECRET], received.at) == event["id"]
            return received


def wait_until_delivered(server: Server, message: str) -> int:
    """Return after how many tries the log says that a message arrived."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for item in server.serinus("notify", "log")["items"]:
            if (item["message"]["id"], item["state"]) == (message, "delivered"):
                return len(item["attempts"])
        assert time.monotonic() < until
        time.sleep(0.5)


def test_a_pause_is_a_signed_webhook_within_two_seconds(
    telling: Server, receiver: Receiver
) -> None:
    version = started(telling, receiver)

    telling.serinus("rollout", "pause", version, "--reason", "it smells")

    received = next_of(receiver, "serinus.rollout.paused", version)
    event = received.json()
    assert received.at - datetime.fromisoformat(event["time"]).timestamp() < _WITHIN_SECONDS
    assert f"Paused {version} at ring internal: it smells. No further" in event["data"]["text"]
    wait_until_delivered(telling, event["id"])


def test_killed_before_the_answer_it_is_sent_again_under_the_same_id(
    telling: Server, receiver: Receiver
) -> None:
    version = started(telling, receiver)
    receiver.gate.clear()
    telling.serinus("rollout", "pause", version)
    first = next_of(receiver, "serinus.rollout.paused", version)

    telling.kill()
    receiver.gate.set()
    telling.start()

    again = next_of(receiver, "serinus.rollout.paused", version)
    assert again.headers["webhook-id"] == first.headers["webhook-id"]
    assert again.body == first.body
    assert wait_until_delivered(telling, again.headers["webhook-id"]) == 1  # one that was noted


def test_a_controller_killed_before_it_could_send_sends_after_its_restart(
    telling: Server, receiver: Receiver
) -> None:
    version = started(telling, receiver)
    assert telling.process is not None
    [controller] = [
        pid
        for pid in offspring(telling.process.pid)
        if b"controller" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]

    os.kill(controller, signal.SIGKILL)
    telling.serinus("rollout", "pause", version)

    received = next_of(receiver, "serinus.rollout.paused", version)
    wait_until_delivered(telling, received.headers["webhook-id"])
    others = list(receiver.came.queue)
    assert {each.headers["webhook-id"] for each in others} <= {received.headers["webhook-id"]}


def test_a_target_can_be_tried(telling: Server, receiver: Receiver) -> None:
    assert telling.serinus("notify", "test", "ops") == {"target": "ops", "delivered": True}

    # What was told of rollouts before may still be on its way.
    assert "serinus.test" in (message.json()["type"] for message in iter(receiver.next, None))
    refused = telling.serinus("notify", "test", "nobody", allowed=(2,))
    assert refused["type"].endswith("#no_target")
