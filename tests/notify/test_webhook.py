"""Webhooks: what is sent, that it can be verified, and that nothing else can."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.notify.messages import a_message
from tests.notify.receiver import BadSignatureError, Received, Receiver, a_receiver, verify
from update_server.notify.network import Network
from update_server.notify.settings import TargetSettings
from update_server.notify.webhook import Webhook, key_of, render, sign
from update_server.service.ports.outbox import UndeliveredError

NOW = datetime(2026, 12, 1, 3, 7, 2, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEXT = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def a_webhook(tmp_path: Path, receiver: Receiver, *secrets: str, **changes: Any) -> Webhook:
    files = []
    for number, secret in enumerate(secrets or (SECRET,)):
        files.append(tmp_path / f"ops-{number}.secret")
        files[-1].write_text(f"{secret}\n")
    settings = TargetSettings(
        name="ops",
        kind="webhook",
        url=receiver.url,
        secret_files=tuple(files),
        allow_private=("127.0.0.1",),
    )
    return Webhook(replace(settings, **changes), Network())


def test_a_receiver_that_keeps_to_the_specification_accepts_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    status = a_webhook(tmp_path, receiver).send(a_message(), NOW)

    received = receiver.next()
    assert status == 204
    assert verify(received, [SECRET], NOW.timestamp()) == "msg_1"
    assert received.path == "/hook?key=s3cr3t-path"
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_a_flipped_bit_is_rejected(tmp_path: Path, receiver: Receiver) -> None:
    a_webhook(tmp_path, receiver).send(a_message(), NOW)
    received = receiver.next()

    for position in range(0, len(received.body), 97):
        body = bytearray(received.body)
        body[position] ^= 1
        with pytest.raises(BadSignatureError):
            verify(replace(received, body=bytes(body)), [SECRET], NOW.timestamp())
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        text = received.headers[name]
        flipped = f"{text[:-2]}{chr(ord(text[-2]) ^ 1)}{text[-1]}"
        with pytest.raises(BadSignatureError):
            verify(
                replace(received, headers={**received.headers, name: flipped}),
                [SECRET],
                NOW.timestamp(),
            )


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_timestamp_is_rejected(tmp_path: Path, receiver: Receiver, seconds: int) -> None:
    a_webhook(tmp_path, receiver).send(a_message(), NOW)
    received = receiver.next()

    verify(received, [SECRET], NOW.timestamp() + seconds // 2)
    with pytest.raises(BadSignatureError):
        verify(received, [SECRET], NOW.timestamp() + seconds)


def test_another_secret_is_rejected(tmp_path: Path, receiver: Receiver) -> None:
    a_webhook(tmp_path, receiver).send(a_message(), NOW)

    with pytest.raises(BadSignatureError):
        verify(receiver.next(), [NEXT], NOW.timestamp())


def test_during_rotation_either_secret_will_do(tmp_path: Path, receiver: Receiver) -> None:
    a_webhook(tmp_path, receiver, SECRET, NEXT).send(a_message(), NOW)

    received = receiver.next()
    assert verify(received, [SECRET], NOW.timestamp()) == "msg_1"
    assert verify(received, [NEXT], NOW.timestamp()) == "msg_1"


def test_the_example_of_the_specification_gives_its_signature() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret")

    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}', [key])

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_sent_again_it_has_the_same_id_and_body(tmp_path: Path, receiver: Receiver) -> None:
    webhook = a_webhook(tmp_path, receiver)
    webhook.send(a_message(), NOW)
    webhook.send(a_message(), NOW + timedelta(hours=2))

    first, second = receiver.next(), receiver.next()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


def test_the_body_is_a_cloud_event() -> None:
    event = json.loads(render(a_message()))

    assert {name: event[name] for name in event if name != "data"} == {
        "specversion": "1.0",
        "id": "msg_1",
        "source": "/apps/demo",
        "type": "serinus.rollout.paused",
        "subject": "demo/2.4.0",
        "time": "2026-12-01T03:07:00Z",
        "datacontenttype": "application/json",
    }
    assert event["data"] == {
        "subject": "PAUSED demo 2.4.0 ring 10%: 44/3,900 crashed vs 176/35,100",
        "text": "demo, stable, 03:07 UTC, automatic. Paused 2.4.0 at ring 10 %. It stays paused.",
        "sentence": "Paused 2.4.0 at ring 10 %.",
        "level": "pages",
        "actor": "serinus",
        "alert": "al_1",
        "resolves": [],
        "rollout": {
            "id": "ro_1",
            "app": "demo",
            "channel": "stable",
            "version": "2.4.0",
            "ring": "10%",
            "state": "paused",
        },
        "decision": {"id": "de_1", "alpha": 0.01},
    }


def test_what_is_about_the_server_names_no_app() -> None:
    event = json.loads(
        render(a_message(app="", version="", rollout="", decision=None, alert="", resolves=("a",)))
    )

    assert (event["source"], event["subject"]) == ("/server", "server")
    assert event["data"]["rollout"] is None
    assert (event["data"]["alert"], event["data"]["resolves"]) == (None, ["a"])


# --- secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "ops-0.secret is empty"),
        ("whsec_not base64", "ops-0.secret is not whsec_ and base64"),
        ("whsec_" + base64.b64encode(b"short").decode(), "ops-0.secret must spell 24 to 64 bytes"),
    ],
)
def test_a_secret_that_is_none_sends_nothing_and_is_not_told(
    tmp_path: Path, receiver: Receiver, secret: str, why: str
) -> None:
    with pytest.raises(UndeliveredError) as raised:
        a_webhook(tmp_path, receiver, secret).send(a_message(), NOW)

    assert raised.value.why == why
    assert receiver.came.empty()


def test_a_secret_that_is_not_there_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    webhook = a_webhook(tmp_path, receiver, secret_files=(tmp_path / "gone.secret",))

    with pytest.raises(UndeliveredError) as raised:
        webhook.send(a_message(), NOW)

    assert raised.value.why == "gone.secret cannot be read: No such file or directory"


def test_an_address_may_stand_in_a_file(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "url").write_text(f"{receiver.url}\n")

    a_webhook(tmp_path, receiver, url="", url_file=tmp_path / "url").send(a_message(), NOW)

    assert isinstance(receiver.next(), Received)
