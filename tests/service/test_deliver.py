"""To whom messages go, when they are tried again, and when that ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock, FakeDatabase
from tests.notify.messages import a_message
from update_server.service.notices.alerting import page
from update_server.service.notices.deliver import (
    GIVEN_UP_AFTER,
    WAITS,
    Deliverer,
    Events,
    Subscriber,
    wait_after,
)
from update_server.service.ports import Database
from update_server.service.ports.outbox import (
    DeliveryState,
    Level,
    Message,
    Notifier,
    UndeliveredError,
)


@dataclass
class Inbox:
    """A target: takes messages, or fails as it is told to."""

    taken: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    fails: Exception | None = None

    def send(self, message: Message, now: object) -> int:
        del now
        self.tried.append(message.id)
        if self.fails is not None:
            raise self.fails
        self.taken.append(message.id)
        return 204


@dataclass
class Post:
    """A database with messages, and who is told."""

    subscribers: list[Subscriber]
    database: Database = field(default_factory=FakeDatabase)
    clock: FakeClock = field(default_factory=FakeClock)
    log: list[str] = field(default_factory=list)
    inboxes: dict[str, Inbox] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.subscribers:
            self.inboxes.setdefault(each.name, Inbox())

    @property
    def deliverer(self) -> Deliverer:
        """What a process that has just started delivers with."""
        notifiers: Mapping[str, Notifier] = self.inboxes
        return Deliverer(
            self.database,
            self.clock,
            subscribers=self.subscribers,
            notifiers=notifiers,
            log=self.log.append,
        )

    def send(self, number: int = 1, **changes: object) -> Message:
        message = a_message(id=f"msg_{number}", at=self.clock.now(), **changes)
        with self.database.transaction() as stores:
            stores.outbox.add(message)
        return message

    def page(self, number: int = 1, **changes: object) -> Message:
        message = a_message(id=f"msg_{number}", at=self.clock.now(), **changes)
        with self.database.transaction() as stores:
            assert page(stores, message, f"reason-{number}")
            return stores.outbox.get(message.id)

    def work(self) -> None:
        """Address, escalate and try whatever is due, once for each that is."""
        deliverer = self.deliverer
        deliverer.route()
        deliverer.escalate()
        for name in self.inboxes:
            for _ in range(20):
                if not deliverer.deliver(name):
                    break

    def state(self, target: str = "ops") -> DeliveryState:
        with self.database.reading() as stores:
            [found] = [
                each for each in stores.outbox.page(None, None, 100) if each.target == target
            ]
        return found.state


def a_post(*subscribers: Subscriber) -> Post:
    return Post(list(subscribers) or [Subscriber(name="ops")])


# --- to whom ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subscriber", "wants"),
    [
        (Subscriber(name="all"), "page inform server"),
        (Subscriber(name="pages", events=Events.PAGES), "page server"),
        (Subscriber(name="informs", events=Events.INFORMS), "inform"),
        (Subscriber(name="none", events=Events.ESCALATIONS), ""),
        (Subscriber(name="mine", apps=frozenset({"demo"})), "page inform server"),
        (Subscriber(name="other", apps=frozenset({"other"})), "server"),
    ],
)
def test_targets_are_told_what_they_want(subscriber: Subscriber, wants: str) -> None:
    kinds: dict[str, Message] = {
        "page": a_message(),
        "inform": a_message(level=Level.INFORMS),
        "server": a_message(app=""),
    }

    assert " ".join(name for name, each in kinds.items() if subscriber.wants(each)) == wants


def test_a_target_is_not_told_that_it_gets_nothing() -> None:
    assert not Subscriber(name="ops").wants(a_message(not_to="ops"))
    assert Subscriber(name="chat").wants(a_message(not_to="ops"))


def test_a_message_is_brought_to_each_of_its_targets_once() -> None:
    post = a_post(Subscriber(name="ops"), Subscriber(name="chat", events=Events.INFORMS))
    post.send(1)
    post.send(2, level=Level.INFORMS)
    post.work()
    post.work()

    assert post.inboxes["ops"].taken == ["msg_1", "msg_2"]
    assert post.inboxes["chat"].taken == ["msg_2"]


def test_where_nobody_is_told_messages_wait_for_nobody() -> None:
    post = Post([])
    post.send()
    post.work()

    with post.database.reading() as stores:
        assert list(stores.outbox.unrouted(10)) == []
        assert list(stores.outbox.page(None, None, 10)) == []


def test_a_new_target_is_told_nothing_of_before() -> None:
    post = a_post()
    post.send()
    post.work()
    post.subscribers.append(Subscriber(name="late"))
    post.inboxes["late"] = Inbox()
    post.work()

    assert post.inboxes["late"].tried == []


def test_what_waits_for_a_target_that_is_gone_waits_no_more() -> None:
    post = a_post()
    post.inboxes["ops"].fails = UndeliveredError("it timed out")
    post.send()
    post.work()
    post.subscribers = [Subscriber(name="chat")]

    post.deliverer.drop_strangers()

    assert post.state() is DeliveryState.DROPPED


# --- trying again -------------------------------------------------------------------------


def test_a_target_that_is_down_is_tried_again_until_it_takes_it() -> None:
    post = a_post()
    ops = post.inboxes["ops"]
    ops.fails = UndeliveredError("it answered 503", status=503)
    post.send()
    post.work()
    post.work()
    assert ops.tried == ["msg_1"]

    for seconds in WAITS[:3]:
        post.clock.sleep(seconds)
        post.work()
    ops.fails = None
    post.clock.sleep(WAITS[3])
    post.work()
    post.work()

    assert (ops.tried, ops.taken) == (["msg_1"] * 5, ["msg_1"])
    assert post.state() is DeliveryState.DELIVERED
    assert post.log == [
        f"could not tell ops of {a_message().subject!r}, trying again: it answered 503"
    ]


def test_it_waits_longer_and_longer_and_no_longer_than_four_hours() -> None:
    waits = [wait_after(number).total_seconds() for number in range(1, 12)]

    assert waits[0] == 5
    assert waits == sorted(waits)
    assert waits[-1] == waits[-2] == 14_400


@pytest.mark.parametrize(("wish", "seconds"), [(None, 5), (1.0, 5), (90.0, 90), (1e9, 3_600)])
def test_a_targets_wish_can_make_it_wait_longer(wish: float | None, seconds: float) -> None:
    assert wait_after(1, wish) == timedelta(seconds=seconds)


def test_a_wish_is_kept_to() -> None:
    post = a_post()
    post.inboxes["ops"].fails = UndeliveredError("it answered 429", status=429, retry_seconds=60)
    post.send()
    post.work()
    post.clock.sleep(59)
    post.work()
    assert len(post.inboxes["ops"].tried) == 1

    post.clock.sleep(1)
    post.work()

    assert len(post.inboxes["ops"].tried) == 2


def test_after_a_day_it_is_given_up_and_said_so() -> None:
    post = a_post()
    post.inboxes["ops"].fails = UndeliveredError("it timed out")
    post.send()
    for _ in range(60):
        post.work()
        post.clock.sleep(1_800)
    tries = len(post.inboxes["ops"].tried)

    assert post.state() is DeliveryState.DEAD
    assert post.log[-1] == f"gave up telling ops of {a_message().subject!r}: it timed out"
    assert 10 < tries < 20
    post.clock.sleep(GIVEN_UP_AFTER.total_seconds())
    post.work()
    assert len(post.inboxes["ops"].tried) == tries


def test_a_message_that_waits_keeps_no_later_one_waiting() -> None:
    post = a_post()
    post.inboxes["ops"].fails = UndeliveredError("it timed out")
    post.send(1)
    post.work()
    post.inboxes["ops"].fails = None
    post.send(2)
    post.work()

    assert post.inboxes["ops"].taken == ["msg_2"]


def test_a_target_that_is_down_keeps_no_other_waiting() -> None:
    post = a_post(Subscriber(name="ops"), Subscriber(name="chat"))
    post.inboxes["ops"].fails = UndeliveredError("it timed out")
    post.send()
    post.work()

    assert post.inboxes["chat"].taken == ["msg_1"]


def test_a_fault_of_ours_is_told_by_its_kind_alone_and_tried_again() -> None:
    post = a_post()
    post.inboxes["ops"].fails = ValueError("whsec_a-secret")
    post.send()
    post.work()

    with post.database.reading() as stores:
        [delivery] = stores.outbox.page(None, None, 10)
    assert delivery.error == "a fault of this server's own: ValueError"
    assert "whsec" not in post.log[0]
    assert delivery.state is DeliveryState.PENDING


def test_killed_before_it_was_noted_it_comes_again_under_the_same_id() -> None:
    post = a_post()
    post.send()

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    taken = post.inboxes["ops"].taken
    post.inboxes["ops"].taken = Bomb(taken, kill)
    with pytest.raises(Killed):
        post.work()
    post.inboxes["ops"].taken = taken
    post.work()

    assert post.inboxes["ops"].tried == ["msg_1", "msg_1"]
    assert post.state() is DeliveryState.DELIVERED


class Bomb(list[str]):
    """Goes off once something is in it."""

    def __init__(self, items: list[str], off: Callable[[], None]) -> None:
        super().__init__(items)
        self._off = off

    def append(self, item: str) -> None:
        super().append(item)
        self._off()


# --- alerts -------------------------------------------------------------------------------

OPS = Subscriber(name="ops", events=Events.PAGES, escalate_to="boss")
BOSS = Subscriber(name="boss", events=Events.ESCALATIONS)


def test_what_nobody_acknowledges_is_told_to_a_second_target() -> None:
    post = a_post(OPS, BOSS)
    post.page()
    post.work()
    post.clock.sleep(15 * 60 - 1)
    post.work()
    assert post.inboxes["boss"].tried == []

    post.clock.sleep(1)
    post.work()
    post.clock.sleep(3_600)
    post.work()

    assert post.inboxes["boss"].taken == ["msg_1"]
    assert post.inboxes["ops"].taken == ["msg_1"]


def test_what_somebody_acknowledged_is_told_to_nobody_else() -> None:
    post = a_post(OPS, BOSS)
    alert = post.page().alert
    post.work()
    with post.database.transaction() as stores:
        stores.alerts.acknowledge(alert, "Ann", post.clock.now())
    post.clock.sleep(3_600)
    post.work()

    assert post.inboxes["boss"].tried == []


def test_only_targets_with_a_second_one_escalate() -> None:
    post = a_post(replace(OPS, escalate_to=""), BOSS)
    post.page()
    post.work()
    post.clock.sleep(3_600)
    post.work()

    assert post.inboxes["boss"].tried == []


def test_the_end_of_an_alert_is_told_to_all_who_were_told_of_it() -> None:
    chat = Subscriber(name="chat", events=Events.INFORMS)
    quiet = Subscriber(name="quiet", events=Events.PAGES, apps=frozenset({"other"}))
    post = a_post(OPS, BOSS, chat, quiet)
    alert = post.page(1).alert
    post.work()
    post.clock.sleep(3_600)
    post.work()

    post.send(2, level=Level.INFORMS, alert="", resolves=(alert, "al_expired"))
    post.work()

    assert post.inboxes["ops"].taken == ["msg_1", "msg_2"]
    assert post.inboxes["boss"].taken == ["msg_1", "msg_2"]
    assert post.inboxes["chat"].taken == ["msg_2"]
    assert post.inboxes["quiet"].tried == []


def test_one_alert_for_a_reason_is_open_at_a_time() -> None:
    post = a_post()
    post.page()
    with post.database.transaction() as stores:
        assert not page(stores, a_message(id="msg_2"), "reason-1")
        assert [each.id for each in stores.outbox.unrouted(10)] == ["msg_1"]


# --- over a database ----------------------------------------------------------------------


def test_an_idle_look_writes_nothing() -> None:
    post = a_post()
    post.page()
    post.work()
    before = post.database._state  # type: ignore[attr-defined]
    post.clock.sleep(60)
    post.work()

    assert post.database._state is before  # type: ignore[attr-defined]
