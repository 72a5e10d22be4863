"""From the judge's pause to a signed webhook on loopback."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path

from tests.admin_world import a_released_world
from tests.notify.receiver import a_receiver, verify
from tests.service.clinic import PAUSES, a_clinic, sicken
from update_server.controller import Leadership
from update_server.couriers import Couriers
from update_server.notify import NOTIFIERS, Network, TargetSettings
from update_server.service.notices.deliver import Deliverer, Events, Subscriber
from update_server.service.notices.server_watch import ServerWatch

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
_WITHIN_SECONDS = 2.0


def test_an_automatic_pause_is_a_signed_webhook_within_two_seconds(tmp_path: Path) -> None:
    world = a_released_world(tmp_path / "signer")
    clinic = a_clinic(world, terms=PAUSES)
    sicken(clinic)
    (tmp_path / "ops.secret").write_text(SECRET)
    stop = threading.Event()
    with a_receiver() as receiver:
        settings = TargetSettings(
            name="ops",
            kind="webhook",
            url=receiver.url,
            secret_files=(tmp_path / "ops.secret",),
            allow_private=("127.0.0.1",),
        )
        deliverer = Deliverer(
            world.database,
            world.clock,
            subscribers=[Subscriber(name="ops", events=Events.PAGES)],
            notifiers={"ops": NOTIFIERS["webhook"](settings, Network())},
            log=lambda _: None,
        )
        couriers = Couriers(
            deliverer,
            ServerWatch(world.database, world.clock),
            world.clock,
            leadership=Leadership(world.database, world.clock, "a", lease="*couriers"),
            log=lambda _: None,
        )
        couriers.start(stop)
        try:
            began_at = time.monotonic()
            clinic.round()
            received = receiver.next()
            took = time.monotonic() - began_at
        finally:
            stop.set()
            for thread in threading.enumerate():
                if thread.name == "courier":
                    thread.join(10)

    assert took < _WITHIN_SECONDS
    at = float(received.headers["webhook-timestamp"])
    event = received.json()
    assert verify(received, [SECRET], at) == event["id"]
    assert event["type"] == "serinus.rollout.paused"
    assert event["data"]["level"] == "pages"
    assert event["data"]["sentence"] == event["data"]["decision"]["sentence"] == clinic.now.reason
