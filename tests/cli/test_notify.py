"""Messages to people, from the command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.cli.cli_world import APP, Cli, rows
from tests.notify.messages import a_message
from tests.notify.receiver import Receiver, a_receiver, verify
from update_server import config as configs
from update_server import wiring
from update_server.clock import SystemClock
from update_server.service.ports.outbox import Alert, Attempt, DeliveryState

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def told(released: Cli) -> Cli:
    """A server that told ops of one thing, and could not tell it of another."""
    now = SystemClock().now()
    with wiring.database(configs.load(released.folder)).transaction() as stores:
        for number in (1, 2):
            stores.outbox.add(a_message(id=f"msg_{number}", app=APP, at=now))
            stores.outbox.route(f"msg_{number}", ["ops"], now)
        first, second = stores.outbox.due("ops", now, 10)
        taken = Attempt(number=1, at=now, status=204)
        failed = Attempt(number=1, at=now, status=503, error="hooks.example.com answered 503")
        stores.outbox.note(first, taken, DeliveryState.DELIVERED, now)
        stores.outbox.note(second, failed, DeliveryState.PENDING, now)
        for name, reason in (("al_1", "paused"), ("al_2", "undelivered:ops")):
            stores.alerts.open(
                Alert(
                    id=name,
                    app=APP,
                    rollout="",
                    ring="",
                    reason=reason,
                    message="msg_1",
                    opened_at=now,
                )
            )
        stores.alerts.acknowledge("al_1", "Ann", now)
    return released


def a_target(cli: Cli, receiver: Receiver, secret: str = SECRET) -> None:
    (cli.folder / "ops.secret").write_text(secret)
    config = cli.folder / "serinus.toml"
    config.write_text(
        config.read_text()
        + f'\n[[notify]]\nname = "ops"\nkind = "webhook"\nurl = "{receiver.url}"\n'
        'secret_files = ["ops.secret"]\nallow_private = ["127.0.0.1"]\n'
    )


def test_a_target_that_works_says_so(released: Cli, receiver: Receiver) -> None:
    a_target(released, receiver)

    assert released.run("notify", "test", "ops").out == "ops took it\n"

    received = receiver.next()
    verify(received, [SECRET], received.at)
    assert received.json()["type"] == "serinus.test"
    assert received.json()["data"]["text"].endswith(
        "automatic. This is a test of ops. Whoever reads it will read of pauses and pulls here as "
        "well."
    )


def test_a_target_that_does_not_says_why(released: Cli, receiver: Receiver) -> None:
    a_target(released, receiver)
    receiver.answers = [(500, {})]

    done = released.run("notify", "test", "ops", code=1)

    assert done.err == "serinus: ops did not get it: 127.0.0.1 answered 500\n"
    assert released.refused("notify", "test", "ops") == "undelivered"


def test_a_secret_that_is_none_is_not_shown(released: Cli, receiver: Receiver) -> None:
    a_target(released, receiver, "whsec_notbase64secret")

    done = released.run("notify", "test", "ops", code=1)

    assert done.err == "serinus: ops did not get it: ops.secret is not whsec_ and base64\n"


def test_a_target_that_there_is_not(released: Cli, receiver: Receiver) -> None:
    none = released.run("notify", "test", "ops", code=2)
    a_target(released, receiver)
    other = released.run("notify", "test", "chat", code=2)

    assert "there is no [[notify]] table yet" in none.err
    assert "there is no target chat: there are ops" in other.err


def test_settings_that_are_wrong_are_told(released: Cli) -> None:
    config = released.folder / "serinus.toml"
    config.write_text(config.read_text() + "\n[[notify]]\n")

    assert released.refused("notify", "test", "ops", code=2) == "bad_config"


def test_the_log_tells_what_arrived_and_what_did_not(told: Cli) -> None:
    printed = rows(told.run("notify", "log"))
    everything = told.json("notify", "log")["items"]
    failed = told.json("notify", "log", "--failed")["items"]

    ours = [item for item in everything if item["target"] == "ops"]
    assert [item["message"]["id"] for item in ours] == ["msg_2", "msg_1"]
    assert [item["message"]["id"] for item in failed] == ["msg_2"]
    assert "hooks.example.com answered 503" in " ".join(printed[0])


def test_alerts_tell_who_knows_of_them(told: Cli) -> None:
    listed = {item["id"]: item for item in told.json("notify", "alerts")["items"]}

    assert listed["al_1"]["acknowledged_by"] == "Ann"
    assert "nobody" in " ".join(rows(told.run("notify", "alerts"))[-1])


def test_doctor_tells_of_messages_that_reach_nobody(told: Cli) -> None:
    done = told.run("doctor", "--json", code=1)

    found = {each["what"]: each for each in done.document["findings"]}
    assert found["alert undelivered:ops"]["do"].startswith("serinus notify log --failed")
    assert "alert paused" not in found
