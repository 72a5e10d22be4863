"""Couriers work beside the controller: a slow receiver keeps nobody else waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.fakes import FakeClock, FakeDatabase
from tests.notify.messages import a_message
from update_server.controller import LEAD_SECONDS, Leadership
from update_server.couriers import Couriers
from update_server.service.notices.deliver import Deliverer, Subscriber
from update_server.service.notices.server_watch import ServerWatch
from update_server.service.ports.outbox import DeliveryState, Message


@dataclass
class Inbox:
    """A target; while ``slow`` is set it takes nothing, and does not say so either."""

    came: queue.Queue[str] = field(default_factory=queue.Queue)
    go: threading.Event = field(default_factory=threading.Event)

    def send(self, message: Message, now: object) -> int:
        del now
        self.came.put(message.id)
        assert self.go.wait(30)
        return 204


@dataclass
class Office:
    """A database, and two targets."""

    database: FakeDatabase = field(default_factory=FakeDatabase)
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[str] = field(default_factory=list)
    inboxes: dict[str, Inbox] = field(default_factory=lambda: {"ops": Inbox(), "chat": Inbox()})

    def couriers(self, name: str = "a") -> Couriers:
        deliverer = Deliverer(
            self.database,
            self.clock,
            subscribers=[Subscriber(name=each) for each in self.inboxes],
            notifiers=self.inboxes,
            log=self.told.append,
        )
        return Couriers(
            deliverer,
            ServerWatch(self.database, self.clock),
            self.clock,
            leadership=Leadership(self.database, self.clock, name, lease="*couriers"),
            log=self.told.append,
        )

    def send(self, number: int = 1) -> None:
        with self.database.transaction() as stores:
            stores.outbox.add(a_message(id=f"msg_{number}", at=self.clock.now()))

    def states(self) -> dict[str, DeliveryState]:
        with self.database.reading() as stores:
            return {each.target: each.state for each in stores.outbox.page(None, None, 10)}


@pytest.fixture
def office() -> Office:
    office = Office()
    for inbox in office.inboxes.values():
        inbox.go.set()
    return office


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "courier":
            thread.join(10)


def test_a_message_is_brought_to_everybody_as_soon_as_it_is_there(
    office: Office, stop: threading.Event
) -> None:
    office.couriers().start(stop)
    office.send()

    assert office.inboxes["ops"].came.get(timeout=10) == "msg_1"
    assert office.inboxes["chat"].came.get(timeout=10) == "msg_1"


def test_a_slow_receiver_keeps_no_other_waiting(office: Office, stop: threading.Event) -> None:
    office.inboxes["ops"].go.clear()
    office.couriers().start(stop)
    office.send(1)
    assert office.inboxes["ops"].came.get(timeout=10) == "msg_1"
    office.send(2)

    assert office.inboxes["chat"].came.get(timeout=10) == "msg_1"
    assert office.inboxes["chat"].came.get(timeout=10) == "msg_2"
    assert office.inboxes["ops"].came.empty()
    office.inboxes["ops"].go.set()
    assert office.inboxes["ops"].came.get(timeout=10) == "msg_2"


def test_one_of_two_delivers_and_the_other_follows_when_it_dies(office: Office) -> None:
    first, second = office.couriers("a"), office.couriers("b")
    first.address_once()
    office.send()

    second.address_once()
    second.deliver_once("ops")
    assert office.states() == {}
    office.clock.sleep(LEAD_SECONDS + 1)
    second.address_once()
    second.deliver_once("ops")

    assert office.states() == {"chat": DeliveryState.PENDING, "ops": DeliveryState.DELIVERED}


def test_whoever_leads_no_more_sends_nothing(office: Office) -> None:
    couriers = office.couriers()
    office.send()
    couriers.address_once()
    office.clock.sleep(LEAD_SECONDS)

    couriers.deliver_once("ops")

    assert office.states()["ops"] is DeliveryState.PENDING


def test_an_outage_is_told_once_and_its_end_once(office: Office) -> None:
    couriers = office.couriers()
    couriers.address_once()
    office.database.down = True
    couriers.address_once()
    couriers.address_once()
    office.database.down = False
    couriers.address_once()

    assert office.told == [
        "addressing messages failed: UnavailableError: the database does not answer",
        "addressing messages works again",
    ]


def test_what_is_old_expires_daily(office: Office) -> None:
    couriers = office.couriers()
    office.send()
    couriers.address_once()
    couriers.deliver_once("ops")
    couriers.deliver_once("chat")
    office.clock.sleep(91 * 86_400)

    couriers.address_once()

    assert office.states() == {}
